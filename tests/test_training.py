"""`fit`: it learns, repeats from a seed, and goes on exactly where it was stopped or killed."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from training_runs import QUICK, SMALL, TASK, Feed, interrupt, rows, run, same, start

from lddm_lite import checkpoint, train
from lddm_lite.config import SYSTEMS
from lddm_lite.model import LatentDiffusion
from lddm_lite.train import fit

# --- it learns --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", SYSTEMS)
def test_every_preset_trains_30_steps_with_falling_loss(system):
    model = start(system)
    history = fit(model, TASK, steps=30, batch=64, lr=1e-2, warmup=5, log_every=1, progress=False)
    assert [r["step"] for r in history.rows] == list(range(1, 31)) and not history.interrupted
    tokens = history.column("tokens")
    # per-step noise is about 0.3 nats, of a mean of five 0.13; the seed is fixed
    assert sum(tokens[-5:]) / 5 < sum(tokens[:5]) / 5 - 0.3
    assert not model.training and model.sample(2, 2).tokens.max() < 2


@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_both_stages_lower_their_losses(system, responsive):
    _, history = run(system, steps=40, batch=64, log_every=1)
    first, second = ([r for r in history.rows if r["stage"] == k] for k in (1, 2))
    assert len(first) == len(second) == 20 and history.events[0][0] == 20
    assert "latents" not in first[0] and ("commit" in first[0]) == (system == "di-seq")
    for name in {"tokens", "commit", "latents"} & set(history.terms()):
        values = [r[name] for r in (second if name == "latents" else first) if name in r]
        assert sum(values[-5:]) < sum(values[:5])
    for row in history.rows:
        assert row["loss"] == pytest.approx(sum(row[k] for k in history.terms() if k in row), rel=1e-5)


def test_stage_2_freezes_the_encoder(responsive):
    model, short = run("co-seq", stop=13)
    frozen = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    assert short.state.meta["stage"] == 2
    assert model.encoder.centre.num_batches_tracked == 16  # settled on fresh batches, not the averages of training
    fit(model, Feed(16), resume=short, **QUICK)
    assert all(torch.equal(v, frozen[k]) for k, v in model.encoder.state_dict().items())


def test_rows_are_means_over_the_steps_since_the_last_one():
    (_, fine), (_, coarse) = (run("mdlm", log_every=k) for k in (1, 5))
    assert [r["step"] for r in coarse.rows] == [5, 10, 15, 20, 24]
    for row in coarse.rows[:-1]:
        window = [r["tokens"] for r in fine.rows if row["step"] - 5 < r["step"] <= row["step"]]
        assert row["tokens"] == pytest.approx(sum(window) / 5)


# --- it repeats and goes on -------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_a_seed_gives_the_same_run(system):
    same(run(system), run(system))


def test_another_seed_gives_another_run():
    assert rows(run("mdlm")[1]) != rows(run("mdlm", seed=1)[1])


@pytest.fixture(scope="module")
def whole():
    """system -> its uninterrupted run, where stage 1 ends after step 12."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr(train, "z_response", lambda *a: 1.0)
        return {system: run(system) for system in ("mdlm", "co-joint", "co-seq", "di-seq")}


STOPS = [("mdlm", 7, "folder"), ("co-seq", 5, "history"), ("co-seq", 12, "folder"), ("co-seq", 12, "history")]
STOPS += [("co-seq", 13, "folder"), ("di-seq", 6, "folder"), ("di-seq", 12, "history"), ("di-seq", 23, "history")]


@pytest.mark.parametrize(("system", "stop", "by"), STOPS)
def test_interrupted_and_resumed_is_uninterrupted(system, stop, by, whole, responsive, tmp_path):
    """Also at the border of the stages, after step 12, and between two rows of the history."""
    out = tmp_path / "run" if by == "folder" else None
    before = signal.getsignal(signal.SIGINT)
    model, history = run(system, stop=stop, out=out)
    assert history.interrupted and history.state.meta["step"] == stop
    assert signal.getsignal(signal.SIGINT) is before
    assert model.sample(2, 2).tokens.max() < 2  # usable
    fresh = LatentDiffusion.preset(system, TASK, seed=9, **SMALL)  # nothing of it may survive
    again = fit(fresh, Feed(16), out=out, resume=history if by == "history" else True, **QUICK)
    same(whole[system], (fresh, again))
    assert not again.interrupted
    if by == "folder":
        loaded = LatentDiffusion.load(out).state_dict()
        assert all(torch.equal(v, loaded[k]) for k, v in whole[system][0].state_dict().items())


def test_several_stops_in_one_run(whole, responsive):
    model, history = run("co-joint", stop=3)
    for _ in range(3):
        history = fit(model, Feed(16, s6=interrupt), resume=history, **QUICK)
        assert history.interrupted
    same(whole["co-joint"], (model, fit(model, Feed(16), resume=history, **QUICK)))


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import training_runs as t
feed = t.Feed(16, s14=lambda: os.kill(os.getpid(), signal.SIGKILL))
t.fit(t.start("co-seq"), feed, out={out!r}, save_every=5, **t.QUICK)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_run_leaves_a_checkpoint_and_resumes_exactly(tmp_path):
    out = tmp_path / "run"
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(tests=here, out=str(out))],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(here),
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert LatentDiffusion.load(out).sample(2, 2).tokens.max() < 2
    model = start("co-seq")
    history = fit(model, Feed(16), out=out, resume=True, save_every=5, **QUICK)
    assert history.rows[0]["step"] == 5
    same(run("co-seq", save_every=5), (model, history))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(lr=5e-3), "these options differ from the stopped run's: lr"),
        (dict(steps=48, seed=3), "these options differ from the stopped run's: steps, seed"),
    ],
)
def test_resume_with_other_options_is_an_error(change, message):
    model, history = run("mdlm", stop=4)
    with pytest.raises(ValueError, match=message):
        fit(model, Feed(16), resume=history, **{**QUICK, **change})


def test_resume_needs_a_run_of_the_same_model(tmp_path):
    _, history = run("mdlm", stop=4)
    with pytest.raises(ValueError, match="the stopped run was of another model: width 16, now 32"):
        fit(start("mdlm", width=32), Feed(16), resume=history, **QUICK)
    with pytest.raises(ValueError, match="another model: system 'co-seq', now 'co-joint'; lead 0.5, now 0.0"):
        fit(start("co-joint"), Feed(16), resume=run("co-seq", stop=1)[1], **QUICK)
    with pytest.raises(ValueError, match="resume=True needs `out`"):
        fit(start("mdlm"), Feed(16), resume=True, **QUICK)
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint at"):
        fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, **QUICK)
    start("mdlm").save(tmp_path / "training")
    with pytest.raises(checkpoint.CheckpointError, match="holds no training state"):
        fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, **QUICK)

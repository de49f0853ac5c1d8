"""`fit`: it learns in two stages, and its rows are means."""

import pytest
import torch

from lddm_lite._common import checkpoint
from lddm_lite.config import SYSTEMS
from lddm_lite.evaluation.latents import z_response
from lddm_lite.model import LatentDiffusion
from lddm_lite.networks.encoders import ContinuousEncoder
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, rows, run, same, start


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
    # settled on fresh batches, not the averages of training
    assert model.encoder.centre.num_batches_tracked == 16
    fit(model, Feed(16), resume=short, **QUICK)
    assert all(torch.equal(v, frozen[k]) for k, v in model.encoder.state_dict().items())


def test_rows_are_means_over_the_steps_since_the_last_one():
    (_, fine), (_, coarse) = (run("mdlm", log_every=k) for k in (1, 5))
    assert [r["step"] for r in coarse.rows] == [5, 10, 15, 20, 24]
    for row in coarse.rows[:-1]:
        window = [r["tokens"] for r in fine.rows if row["step"] - 5 < r["step"] <= row["step"]]
        assert row["tokens"] == pytest.approx(sum(window) / 5)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_a_seed_gives_the_same_run(system):
    same(run(system), run(system))


def test_another_seed_gives_another_run():
    assert rows(run("mdlm")[1]) != rows(run("mdlm", seed=1)[1])


@pytest.mark.parametrize("system", ["co-seq", "di-joint"])
def test_a_collapsed_encoder_is_named_and_does_not_hold_up_stage_1(system, monkeypatch):
    def constant(self, x):
        return torch.ones(len(x), self.config.slots, self.config.dim) * self.head.bias.mean()

    monkeypatch.setattr(ContinuousEncoder, "features", constant)
    model, history = run(system, log_every=1)
    assert abs(z_response(model, TASK.sample(64))) < 1e-5
    ((step, text),) = history.events
    assert step == 15 and "the tokens do not respond to z" in text  # 0.6 of 24 steps, rounded up
    assert [r["stage"] for r in history.rows] == [1] * 15 + [2] * 9


def test_weights_are_kept_in_few_bits_and_the_run_in_all(tmp_path):
    out = tmp_path / "run"
    model, _ = run("mdlm", stop=9, out=out, weights="float16")
    kept, whole = (checkpoint.read(place)[0] for place in (out, out / "training"))
    assert torch.float16 in {v.dtype for v in kept.values()}
    assert torch.float16 not in {v.dtype for v in whole.values()}
    fresh = LatentDiffusion.preset("mdlm", TASK, seed=9, **SMALL)
    same(run("mdlm"), (fresh, fit(fresh, Feed(16), out=out, resume=True, **QUICK, weights="float16")))

"""What `fit` does when something goes wrong: numbers, disks, encoders, keyboards, arguments."""

import errno
import os

import pytest
import torch
from training_runs import QUICK, TASK, Feed, interrupt, run, same, start

from lddm_lite.config import SYSTEMS
from lddm_lite.denoiser import Prediction
from lddm_lite.encoders import ContinuousEncoder
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import Binsaw
from lddm_lite.train import TrainConfig, TrainingError, fit, z_response


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(what, system, tmp_path):
    """The state after failing in step 8 is the one after an interruption in step 7, generators apart."""
    model, calls, loss = start(system), [], LatentDiffusion.loss

    def poisoned(*args):
        out = loss(model, *args)
        calls.append(1)
        if len(calls) == 8 and what == "loss":
            out.terms["tokens"] = out.terms["tokens"] * float("nan")
        if len(calls) == 8 and what == "gradient":
            out.total = out.total * float("inf")
        return out

    model.loss = poisoned
    message = "step 8: the tokens loss is nan" if what == "loss" else "step 8: the gradient norm is (nan|inf)"
    with pytest.raises(TrainingError, match=message + ".*step 7 are kept"):
        run(system, model, out=tmp_path / "run")
    good = run(system, stop=7)[0].state_dict()
    for kept in (model.state_dict(), LatentDiffusion.load(tmp_path / "run").state_dict()):
        assert [k for k in kept if not torch.equal(kept[k], good[k])] == []
    assert model.sample(2, 2).tokens.max() < 2


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_that_explodes_leaves_finite_numbers(system):
    """The forward pass that fails must not leave its mark on running statistics and codebook."""
    model = start(system)
    with pytest.raises(TrainingError, match=r"step \d: the (tokens loss|commit loss|gradient norm) is"):
        fit(model, TASK, **{**QUICK, "lr": 1e20, "clip": 1e20})
    assert [k for k, v in model.state_dict().items() if not torch.isfinite(v).all()] == []


@pytest.fixture(scope="module")
def uninterrupted():
    return run("co-seq", save_every=5)


@pytest.mark.parametrize(("name", "n"), [("replace", n) for n in range(1, 6)] + [("fsync", n) for n in (1, 3, 5)])
def test_a_full_disk_stops_and_leaves_what_was_there(name, n, uninterrupted, tmp_path, monkeypatch):
    """The disk is full from the n-th file on: weights or description, of the run's state or of the model; or
    history.csv. It shows when a file is to take its place, or when it is written."""
    out, options = tmp_path / "run", dict(QUICK, save_every=5)
    run("co-seq", stop=9, out=out, save_every=5)
    work, count = getattr(os, name), []

    def full(*args):
        count.append(1)
        if len(count) >= n:
            raise OSError(errno.ENOSPC, "No space left on device")
        work(*args)

    model = start("co-seq")
    with monkeypatch.context() as m:
        m.setattr(os, name, full)
        with pytest.raises(OSError, match="No space left"):
            fit(model, Feed(16), out=out, resume=True, **options)
    assert model.sample(2, 2).tokens.max() < 2 and not list(out.rglob("*.part"))
    assert LatentDiffusion.load(out).sample(2, 2).tokens.max() < 2
    model = start("co-seq")
    same(uninterrupted, (model, fit(model, Feed(16), out=out, resume=True, **options)))


def test_a_model_that_could_not_be_written_does_not_spoil_the_state_of_the_run(tmp_path, monkeypatch):
    """The state kept at the end is of the run's own weights, not of the averages that were being saved."""
    out, save, options = tmp_path / "run", LatentDiffusion.save, dict(QUICK, save_every=5)

    def once(self, folder, **meta):
        monkeypatch.setattr(LatentDiffusion, "save", save)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LatentDiffusion, "save", once)
    with pytest.raises(OSError, match="No space left"):
        run("mdlm", out=out, save_every=5)
    model = start("mdlm")
    same(run("mdlm", save_every=5), (model, fit(model, Feed(16), out=out, resume=True, **options)))


def test_a_second_ctrl_c_stops_at_once_with_a_usable_model():
    model = start("mdlm")
    with pytest.raises(KeyboardInterrupt):
        fit(model, Feed(16, s5=lambda: (interrupt(), interrupt())), **QUICK)
    assert model.sample(2, 2).tokens.max() < 2


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


def test_z_response_is_the_loss_of_shuffled_latents():
    """Tokens that copy the code of their sequence: a foreign code makes them wrong as often as it differs."""
    model = start("co-seq")
    x = TASK.sample(64, seed=2)
    mode = TASK.posterior(x).argmax(1)
    model.encoder.forward = lambda x: 2.0 * TASK.posterior(x).argmax(1).float().reshape(-1, 1, 1).expand(-1, 1, 8) - 1

    def copy(x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        p = TASK.probs[(z_t.mean((1, 2)) > 0).long()]
        return Prediction(p[where].log(), None)

    model.denoiser.forward = copy
    own, other = (
        -TASK.probs[k].log().gather(-1, x.unsqueeze(-1)).sum((1, 2)).mean() for k in (mode, mode.roll(1))
    )
    assert z_response(model, x) == pytest.approx(float(other / own - 1), rel=1e-4)
    assert z_response(model, x) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(stpes=3), "unknown training option 'stpes'; allowed are accumulate, batch, clip"),
        (dict(steps=0), "steps must be an integer >= 1, got 0"),
        (dict(batch=1.5), "batch must be"),
        (dict(lr=0), "lr must be > 0"),
        (dict(lr=float("inf")), "lr must be finite"),
        (dict(clip=-1), "clip must be > 0"),
        (dict(stage1=1.2), "stage1 must be"),
        (dict(ema=float("nan")), "ema must be"),
        (dict(seed=-1), "seed must be"),
        (dict(warmup=-1), "warmup must be"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit(start("mdlm"), TASK, progress=False, **options)


def test_an_encoder_needs_more_than_one_sequence_a_batch():
    with pytest.raises(ValueError, match="batch must be >= 2 for 'di-seq'"):
        fit(start("di-seq"), TASK, batch=1, progress=False)
    assert fit(start("mdlm"), TASK, batch=1, steps=2, progress=False).rows[-1]["step"] == 2


def test_data_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match="data has length 6 and vocab 2; the model was made for 8 and 2"):
        fit(start("mdlm"), Binsaw(6), progress=False)


def test_learning_rate_warms_up_and_falls_to_zero():
    c = TrainConfig(steps=200, lr=1.0, warmup=10)
    at = [c.lr_at(k) for k in range(200)]
    assert at[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert all(a >= b for a, b in zip(at[9:], at[10:], strict=False)) and at[-1] < 1e-3

"""What `fit` does when numbers explode or the disk is full."""

import errno
import os

import pytest
import torch

from lddm_lite.config import SYSTEMS
from lddm_lite.model import LatentDiffusion
from lddm_lite.training.config import TrainingError
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, TASK, Feed, run, same, start


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(what, system, tmp_path):
    """The state after failing in step 8 is the one after an interruption in step 7, generators
    apart."""
    model, calls, loss = start(system), [], LatentDiffusion.loss

    def poisoned(*args, **options):
        out = loss(model, *args, **options)
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
    """The disk is full from the n-th file on: weights or description, of the run's state or of the
    model; or history.csv. It shows when a file is to take its place, or when it is written."""
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
    """The state kept at the end is of the run's own weights, not of the averages that were being
    saved."""
    out, save, options = tmp_path / "run", LatentDiffusion.save, dict(QUICK, save_every=5)

    def once(self, folder, **meta):
        monkeypatch.setattr(LatentDiffusion, "save", save)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LatentDiffusion, "save", once)
    with pytest.raises(OSError, match="No space left"):
        run("mdlm", out=out, save_every=5)
    model = start("mdlm")
    same(run("mdlm", save_every=5), (model, fit(model, Feed(16), out=out, resume=True, **options)))

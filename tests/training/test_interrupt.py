"""Ctrl-C: training stops after its step, and goes on exactly where it was."""

import signal

import pytest
import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.training import loop
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, interrupt, run, same, start


@pytest.fixture(scope="module")
def whole():
    """system -> its uninterrupted run, where stage 1 ends after step 12."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr(loop, "z_response", lambda *a: 1.0)
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


def test_out_of_time_is_a_stop_after_a_step_and_goes_on(whole, responsive):
    """However little time: each piece takes a step at least, so that a run in pieces comes to its end."""
    model, history = start("mdlm"), False
    for pieces in range(1, 25):
        history = fit(model, Feed(16), resume=history, minutes=1e-9, **QUICK)
        assert history.state.meta["step"] == pieces
    assert not history.interrupted
    same(whole["mdlm"], (model, history))


def test_a_second_ctrl_c_stops_at_once_with_a_usable_model():
    model = start("mdlm")
    with pytest.raises(KeyboardInterrupt):
        fit(model, Feed(16, s5=lambda: (interrupt(), interrupt())), **QUICK)
    assert model.sample(2, 2).tokens.max() < 2

"""More steps than planned: the rate warms up again; what was learned before is kept."""

import pytest
import torch

from lddm_lite.training import TrainConfig
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, Feed, run, same, start


def test_the_rate_warms_up_to_half_its_peak_and_falls_to_zero():
    config = TrainConfig(steps=100, lr=1.0, warmup=10)
    rates = [config.lr_at(k, again=40) for k in range(40, 100)]
    assert rates[0] == 0.05 and max(rates) == rates[9] == rates[10] == 0.5 and rates[-1] < 1e-3
    assert [config.lr_at(k) for k in (9, 10)] == [1.0, 1.0]


@pytest.mark.parametrize("stop", [None, 7])
def test_a_run_goes_on_for_longer_than_planned(tmp_path, stop):
    model, history = run("mdlm", out=tmp_path / "r", stop=stop)
    at = stop or QUICK["steps"]
    again = fit(model, Feed(16), out=tmp_path / "r", resume=True, **{**QUICK, "steps": 40})
    assert again.rows[-1]["step"] == 40 and not again.interrupted
    assert again.events[-1] == (at, f"40 steps instead of {QUICK['steps']}: lr warms up again, to half its peak")
    later = [row["lr"] for row in again.rows if row["step"] > at]
    assert max(later) <= QUICK["lr"] / 2 and later[-1] < 1e-3


def test_stopped_on_its_longer_way_it_goes_on_exactly(tmp_path):
    whole = []
    for name, stop in (("a", None), ("b", 30)):
        model, _ = run("mdlm", out=tmp_path / name)
        longer = {**QUICK, "steps": 40}
        feed = Feed(16)
        if stop:
            from tests.support.training_runs import interrupt

            stopped = fit(model, Feed(16, **{f"s{stop - 24}": interrupt}), out=tmp_path / name, resume=True, **longer)
            assert stopped.interrupted and stopped.state.meta["again"] == 24
            model = start("mdlm")
        whole.append((model, fit(model, feed, out=tmp_path / name, resume=True, **longer)))
    same(*whole)


def test_fewer_steps_and_other_options_are_another_run(tmp_path):
    model, _ = run("mdlm", out=tmp_path / "r")
    for other in (dict(steps=12), dict(steps=48, lr=1e-3)):
        with pytest.raises(ValueError, match="these options differ from the stopped run's: "):
            fit(model, Feed(16), out=tmp_path / "r", resume=True, **{**QUICK, **other})


def test_it_saves_before_the_first_planned_save(tmp_path, monkeypatch):
    from lddm_lite.training import loop

    seen = []
    monkeypatch.setattr(loop, "FIRST_SAVE", 0.0)
    feed = Feed(16, s3=lambda: seen.append((tmp_path / "r" / "training" / "config.json").is_file()))
    fit(start("mdlm"), feed, out=tmp_path / "r", **QUICK)
    assert seen == [True]


def test_a_signal_that_ends_the_process_saves_and_says_how_to_go_on(tmp_path, capfd):
    import os
    import signal

    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        feed = Feed(16, s5=lambda: signal.raise_signal(signal.SIGTERM))
        fit(start("mdlm"), feed, out=tmp_path / "r", **QUICK)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    said = capfd.readouterr().err
    assert "SIGTERM: stopped after step 5" in said and "--resume" in said
    model = start("mdlm")
    assert fit(model, Feed(16), out=tmp_path / "r", resume=True, **QUICK).rows[-1]["step"] == QUICK["steps"]

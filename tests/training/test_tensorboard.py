"""Rows of the history for TensorBoard."""

import importlib.util
import sys
import types

import pytest

from lddm_lite.cli import commands
from lddm_lite.training.loop import fit
from tests.support.command_line import TINY
from tests.support.training_runs import QUICK, Feed, run, start


def test_tensorboard_that_is_missing_is_named_before_anything_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = ["train", "--task", "mixture", "--system", "mdlm", "--tensorboard", "--out", str(tmp_path / "a"), *TINY]
    assert commands.main(words) == 2 and "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="pip install tensorboard")
def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = run("mdlm", stop=12, out=tmp_path, tensorboard=True)
    fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, tensorboard=True, **QUICK)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("tokens")] == [5, 10, 15, 20, 24]


def test_rows_go_to_tensorboard(monkeypatch, tmp_path):
    """Against a stand-in for its writer, which is not installed everywhere."""
    calls = []

    class Writer:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, *what):
            calls.append(what)

        def flush(self):
            pass

        close = flush

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    _, history = run("mdlm", out=tmp_path, tensorboard=True)
    assert calls[0] == (str(tmp_path / "tensorboard"), 1)
    assert [w[1:] for w in calls if w[0] == "tokens"] == [(r["tokens"], r["step"]) for r in history.rows]

"""The history of a run: as JSON, as CSV, as columns."""

import json
import math

import numpy as np
import pytest

from lddm_lite.training.history import History
from tests.support.training_runs import TASK, run


def test_a_history_comes_back_from_json_and_goes_to_csv(tmp_path):
    h = History([{"step": 1, "tokens": 2.5}, {"step": 2, "tokens": 0.1, "latents": 1e-9}], [(1, "frozen")], True)
    h.save(tmp_path / "h.json")
    h.save(tmp_path / "h.csv")
    back = History.from_dict(json.loads((tmp_path / "h.json").read_text()))
    assert (back.rows, back.events, back.interrupted) == (h.rows, h.events, True)
    assert (tmp_path / "h.csv").read_text().splitlines() == ["step,tokens,latents", "1,2.5,", "2,0.1,1e-09"]
    assert h.terms() == ["tokens", "latents"] and np.isnan(h.column("latents")[0])


def test_the_history_is_a_csv_that_pandas_reads(responsive, tmp_path):
    pandas = pytest.importorskip("pandas")
    _, history = run("co-seq", out=tmp_path, held_out=TASK, validate_every=10)
    table = pandas.read_csv(tmp_path / "history.csv")
    assert table["step"].tolist() == [5, 10, 15, 20, 24] and table["stage"].tolist() == [1, 1, 2, 2, 2]
    for name in ("loss", "tokens", "latents", "held_out", "held_out_se", "lr"):
        column = history.column(name)
        assert [v == w or (math.isnan(v) and math.isnan(w)) for v, w in zip(table[name], column, strict=True)]
    assert not list(tmp_path.rglob("*.part"))


def test_an_empty_history_has_a_header(tmp_path):
    History().save(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text() == "step,stage,lr,loss,seconds\n"


def test_previews_come_back():
    h = History([], previews=[(5, ["a", "b"])])
    assert History.from_dict(json.loads(json.dumps(h.to_dict()))).previews == [(5, ["a", "b"])]

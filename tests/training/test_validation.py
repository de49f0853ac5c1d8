"""Validation: held-out bounds and samples while training, which they do not disturb."""

import sys

import pytest
import torch

from lddm_lite.training import validation
from tests.support.training_runs import TASK, rows, run

OFTEN = dict(validate_every=8, preview_every=6)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_bounds_and_samples_do_not_disturb_training(system, responsive):
    model, history = run(system, held_out=TASK, log_every=4, **OFTEN)
    plain, unseen = run(system, log_every=4)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())
    found = {r["step"]: (r["held_out"], r["held_out_se"]) for r in history.rows if "held_out" in r}
    assert list(found) == [8, 16, 24] and all(se > 0 for _, se in found.values())
    hidden = [{k: v for k, v in r.items() if not k.startswith("held_out")} for r in rows(history)]
    assert hidden == rows(unseen) and history.terms() == unseen.terms()
    assert [step for step, _ in history.previews] == [6, 12, 18, 24]
    # the last ones are those of the model that fit leaves behind
    assert found[24][0] == validation.held_out_bound(model, TASK, 0)["held_out"]
    assert history.previews[-1][1] == validation.preview(model, 0)


def test_a_bound_between_two_rows_makes_a_row(responsive):
    _, history = run("mdlm", held_out=TASK, validate_every=7)
    assert [r["step"] for r in history.rows] == [5, 7, 10, 14, 15, 20, 21, 24]
    assert [r["step"] for r in history.rows if "held_out" in r] == [7, 14, 21]


def test_the_bar_and_previews_can_be_read(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run("mdlm", steps=10, held_out=TASK, progress=True, validate_every=5, preview_every=5)
    done = capsys.readouterr()
    assert "training mdlm" in done.err and "held out" in done.err and "step 10: " in done.out + done.err

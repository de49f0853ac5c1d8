"""Curves: training, the few-step frontier, the bound's integrand."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lddm_lite import History, plots
from lddm_lite.plots.style import COLOURS

from .drawing import CURVE, ROWS, TRAINED


def test_training_draws_each_term_and_the_freeze():
    ax = plots.training(TRAINED)
    lines = {line.get_label(): line for line in ax.lines}
    assert np.allclose(lines["tokens"].get_ydata(), TRAINED.column("tokens"))
    assert np.isnan(lines["latents"].get_ydata()[:30]).all() and np.allclose(lines["latents"].get_ydata()[30:], 2)
    assert list(lines["encoder frozen"].get_xdata()) == [20 * 31] * 2
    assert "nats" in ax.get_ylabel() and ax.get_ylim()[0] <= 0
    assert len(plots.training(History([{"step": 3, "stage": 2, "tokens": 1.0}])).lines) == 1


def test_training_needs_rows():
    with pytest.raises(ValueError, match="no rows"):
        plots.training(History())


def test_frontier_draws_the_rows_with_two_standard_errors():
    ax = plots.frontier(ROWS)
    drawn = {c.get_label(): c for c in ax.containers}
    assert list(drawn) == ["exact predictor, even steps", "mdlm", "co-seq", "di-seq", "own"]
    line, caps, (bars,) = drawn["mdlm"].lines
    assert list(line.get_xdata()) == [1, 2, 4, 8, 16]
    assert list(line.get_ydata()) == pytest.approx([47, 47 / 2, 47 / 4, 47 / 8, 47 / 16])
    assert [float(s[1][1] - s[0][1]) for s in bars.get_segments()] == pytest.approx([0.8] * 5)
    assert drawn["exact predictor, even steps"].lines[0].get_linestyle() == "--" and line.get_linestyle() == "-"
    at_best = plots.frontier([r | {"system": "exact predictor, best steps"} for r in ROWS[:1]])
    assert at_best.containers[0].lines[0].get_linestyle() == ":"
    assert ax.get_ylim()[1] > 47 and ax.get_ylim()[0] < -0.7
    assert {0, 1, 50} <= {round(v, 6) for v in ax.get_yticks()}
    by_steps = plots.frontier(ROWS, x="token_steps", key="excess")
    assert list(by_steps.containers[2].lines[0].get_xdata()) == [1, 2, 4, 8, 16]


def test_frontiers_side_by_side_keep_all_in_view():
    _, (left, right) = plt.subplots(1, 2, sharey=True)
    plots.frontier(ROWS, ax=left)
    plots.frontier([r for r in ROWS if r["system"] == "co-seq"], ax=right)
    assert left.get_ylim()[1] > 47


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "rows must be a list of 1 or more"),
        ([{"system": "mdlm", "nfe": 1}], {}, "'excess'"),
        ([{"system": "mdlm", "nfe": 1, "excess": 1.0}], {"x": "token_steps"}, "'token_steps'"),
    ],
)
def test_frontier_names_what_is_missing(rows, options, message):
    with pytest.raises(ValueError, match=message):
        plots.frontier(rows, **options)


def test_bound_rates_draws_curves_areas_and_bands():
    ax = plots.bound_rates(CURVE[::-1])  # in any order
    tokens, latents = ax.lines
    assert np.allclose(tokens.get_xdata(), [0, 0.5, 1]) and np.allclose(tokens.get_ydata(), [60, 70, 80])
    assert np.allclose(latents.get_ydata(), [6, 3, 0])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["tokens: 70.00 nats", "latents: 3.00 nats"]
    tops = [c.get_paths()[0].vertices[:, 1].max() for c in ax.collections]
    assert tops == pytest.approx([80, 82, 6, 6.2])  # area, band, area, band
    only = plots.bound_rates({"t": [0.0, 1.0], "tokens": torch.tensor([1.0, 3.0])})
    assert len(only.lines) == 1 and only.get_legend().get_texts()[0].get_text() == "tokens: 2.00 nats"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tokens": [1, 2]}, "'t'"),
        ({"t": [0, 1]}, "at least one of"),
        ({"t": [0, 1], "tokens": [1, 2, 3]}, r"table\['tokens'\]"),
        ({"t": [0], "tokens": [1]}, "at least 2"),
        ({"t": [0, 1], "tokens": [1, math.nan]}, "not finite"),
        ([{"t": 0, "tokens": 1}, {"t": 1}], "not finite"),
        ([], "'t'"),
    ],
)
def test_bound_rates_refuses_other_tables(table, message):
    with pytest.raises(ValueError, match=message):
        plots.bound_rates(table)


def test_both_limits_are_drawn_and_named():
    """Even and best steps of one system are two curves; the exact predictor's are told apart by line."""
    rows = [
        {"system": s, "nfe": k, "excess": 8.0 / k, "excess_se": 0.1, **({"schedule": "best"} if best else {})}
        for s in ("exact", "mdlm") for best in (False, True) for k in (2, 4)
    ]  # fmt: skip
    ax = plots.frontier(rows)
    drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    assert list(drawn) == ["exact predictor, even steps", "exact predictor, best steps", "mdlm", "mdlm, best steps"]
    assert [drawn[name].lines[0].get_linestyle() for name in drawn] == ["--", ":", "-", "-."]


def test_a_name_says_best_steps_once():
    """Rows that were renamed look as those that were not; another exact model is no limit."""
    rows = [{"nfe": k, "excess": 8.0 / k, "excess_se": 0.1} for k in (2, 4)]
    names = "exact predictor, best steps", "mdlm, best steps", "exact z, joint"
    ax = plots.frontier(
        [{**row, "system": name, "schedule": "best" if "best" in name else "even"} for name in names for row in rows]
    )
    drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    assert list(drawn) == list(names)
    assert [drawn[name].lines[0].get_linestyle() for name in names] == [":", "-.", "-"]
    assert drawn["mdlm, best steps"].lines[0].get_color() == COLOURS["mdlm"]

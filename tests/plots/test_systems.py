"""The figure of a comparison: what is drawn is what the report says, and all of it can be read."""

import matplotlib.pyplot as plt
import pytest

from lddm_lite import plots

from .drawing import readable

TOTALS = (1, 2, 4, 8, 16, 32, 64, 128)
SYSTEMS = ("mdlm", "co-joint", "co-seq", "di-joint", "di-seq")


def text_report(names=SYSTEMS, totals=TOTALS):
    rows = [
        {"model": name, "system": name if name in SYSTEMS else "co-seq", "nfe": k, "entropy": 5 + 0.1 * i + 0.01 * k}
        | {"distinct_2": 0.9 - 0.01 * i}
        | {"gen_ppl": 4000 / k**0.5 / (1 + i), "gen_ppl_se": 20.0}
        for k in totals for i, name in enumerate(names)
    ]  # fmt: skip
    return {"kind": "text", "rows": rows, "real": {"entropy": 5.4, "distinct_2": 0.95, "gen_ppl": 60.0}}


def task_report(totals=TOTALS):
    rows = [
        {"model": name, "system": name, "nfe": k, "excess": e / k - 0.2, "excess_se": 0.1, "coherent": 1 - 0.9 / k}
        for k in totals for name, e in (("mdlm", 47.0), ("co-seq", 8.0), ("exact", 44.0))
    ]  # fmt: skip
    return {"kind": "task", "rows": rows, "real": {"entropy": {"value": 60.0, "stderr": 0.1}}}


def lines(ax):
    return {c.get_label(): c.lines for c in ax.containers}


def test_text_is_gen_ppl_beside_entropy_with_two_standard_errors():
    left, right = plots.comparison(text_report())
    assert (left.get_ylabel(), right.get_ylabel()) == ("Gen PPL", "token entropy (nats)")
    assert left.get_xscale() == left.get_yscale() == "log" and right.get_xscale() == "log"
    line, _, (bars,) = lines(left)["co-seq"]
    assert list(line.get_xdata()) == list(TOTALS)
    assert list(line.get_ydata()) == pytest.approx([4000 / k**0.5 / 3 for k in TOTALS])
    assert [float(s[1][1] - s[0][1]) for s in bars.get_segments()] == pytest.approx([80.0] * 8)
    assert line.get_color() == plots.COLOURS["co-seq"]
    assert list(lines(right)["mdlm"][0].get_ydata()) == pytest.approx([5 + 0.01 * k for k in TOTALS])
    real = [next(v for v in ax.lines if v.get_label() == "real sentences") for ax in (left, right)]
    assert [v.get_ydata()[0] for v in real] == [60.0, 5.4]


def test_without_a_judge_entropy_stands_beside_distinct_pairs():
    report = text_report()
    for row in report["rows"]:
        del row["gen_ppl"], row["gen_ppl_se"]
    left, right = plots.comparison(report)
    assert (left.get_ylabel(), right.get_ylabel()) == ("token entropy (nats)", "distinct pairs (share)")


def test_a_task_is_coherence_and_excess_beside_the_exact_limit():
    left, right = plots.comparison(task_report())
    assert left.get_ylabel().startswith("coherent") and right.get_ylabel().startswith("excess")
    drawn = lines(right)
    assert list(drawn) == ["mdlm", "co-seq", "exact predictor, even steps"]
    assert drawn["exact predictor, even steps"][0].get_linestyle() == "--" and right.get_yscale() == "symlog"


@pytest.mark.parametrize("totals", [(4,), (1, 2), TOTALS, (1, 7, 1000)])
@pytest.mark.parametrize("names", [SYSTEMS, ("mdlm", "co-seq", "runs/a-very-long-name-of-a-folder/and-another/$x$")])
def test_all_of_it_can_be_read(totals, names):
    for report in (text_report(names, totals), task_report(totals)):
        shown = readable(plots.comparison(report)[0].figure)
        assert "network calls in all (NFE)" in shown


def test_models_of_one_system_differ():
    left, _ = plots.comparison(text_report(("mdlm", "seq-a", "seq-b", "seq-c")))
    styles = [(v[0].get_color(), v[0].get_linestyle()) for k, v in lines(left).items() if k.startswith("seq")]
    assert len(set(styles)) == 3


def test_what_is_not_a_number_is_left_out():
    report = text_report(("mdlm", "co-seq"), (1, 2))
    report["rows"][0]["gen_ppl"] = report["rows"][1]["gen_ppl"] = None
    report["rows"][2]["gen_ppl_se"], report["rows"][3]["gen_ppl_se"] = None, 1e6
    left, _ = plots.comparison(report)
    assert left.get_ylim()[0] > 10, "an error above the value does not stretch the axis downwards for ever"
    assert list(lines(left)["mdlm"][0].get_xdata()) == [2]
    readable(left.figure)


def test_it_draws_into_axes():
    _, two = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    assert plots.comparison(task_report(), two) == (two[0], two[1])
    readable(two[0].figure)


def test_it_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="ax must be two Axes, got 3"):
        plots.comparison(task_report(), plt.subplots(1, 3)[1])
    with pytest.raises(ValueError, match="report has no rows"):
        plots.comparison({"kind": "text", "rows": []})

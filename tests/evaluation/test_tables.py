"""Tables for a terminal, and strict JSON: they line up, and no perplexity stands alone."""

import json
import math

import pytest

from lddm_lite import LatentDiffusion
from lddm_lite._common.estimate import Estimate
from lddm_lite.evaluation import comparison, tables
from lddm_lite.evaluation.tables import comparison_table, generation_table
from lddm_lite.evaluation.text_scores import generation_report
from tests.support.comparisons import DATA, OneNatAWord, build

# --- the frontier ---------------------------------------------------------------------------------

def test_tables_line_up_and_leave_out_what_is_not_there():
    rows = [
        {"system": "co-joint", "token_steps": 128, "nfe": 128, "excess": -0.004, "excess_se": 0.01, "mode_tv": 0.5},
        {"system": "exact", "token_steps": 1, "nfe": 1, "excess": 44, "excess_se": 0.2, "mode_tv": 0.1},
    ]
    rows[1]["mode_tv_fresh"] = 0.0
    head, first, second = tables.as_text(rows).splitlines()
    assert "SWD" not in head and "sec" not in head
    assert len(head) == len(second) and "44.00 ± 0.20" in second and "0.100 (0.000)" in second and "0.500" in first
    assert head.index("NFE") == first.index("128  -0")


def test_a_divergence_is_shown_with_its_error_and_a_bound_as_a_bound():
    rows = [
        {"system": "a", "kl_forward": 0.182, "kl_forward_se": 0.009, "kl_forward_upper": False, "entropy_gap": -0.27},
        {"system": "b", "kl_forward": 1.46, "kl_forward_se": 0.1, "kl_forward_upper": True},
        {"system": "c", "kl_forward": 0.5, "kl_forward_se": 0.0, "kl_forward_upper": False, "entropy_gap": 0.1},
        {"system": "d", "kl_forward": math.inf, "kl_forward_se": math.nan, "kl_forward_upper": False},
        {"system": "e"},
    ]
    head, *cells = tables.as_text(rows).splitlines()
    assert head.endswith("KL(p*||q)  H(q) - H(p*)")
    assert cells[0].endswith("0.18 ± 0.01         -0.27") and cells[1].endswith("≤ 1.46 ± 0.10")
    assert cells[2].endswith(" 0.50          0.10") and cells[3].endswith(" inf") and cells[4] == "e"
    told = {"kind": "task", "data": "Binsaw()", "n": 64, "seed": 0, "rows": json.loads(tables.as_json(rows))}
    told["rows"] = [{"model": row["system"], **row} for row in told["rows"]]
    assert "≤ 1.46 ± 0.10" in comparison_table(told)


# --- a comparison ---------------------------------------------------------------------------------

def test_a_perplexity_is_never_shown_without_entropy(found):
    shown = comparison_table(found).splitlines()
    assert shown[0].endswith("20 samples a row, seed 3, order even")
    head = shown[2]
    assert head.index("Gen PPL") < head.index("entropy, nats") < head.index("Gen PPL / mdlm") < head.index("entropy -")
    for line in shown[3:]:
        if "Gen PPL" in line and "judge" not in line and "Lower" not in line:
            assert line.count("entropy") >= line.count("Gen PPL"), line
    quiet = comparison_table(comparison.compare({"m": build("mdlm")}, DATA, (1,), 8, None))
    assert "Gen PPL" not in quiet and "entropy, nats" in quiet


# --- a report of texts ----------------------------------------------------------------------------

TEXTS = ["the bank rose", "the bank fell", "", "rain"]
REAL = ["rain fell on paris", "the river rose", "snow fell", "today the bank closed in paris", "rain"]


def test_a_report_of_texts_shows_no_perplexity_without_entropy():
    alone, beside = generation_report(TEXTS, OneNatAWord()), generation_report(TEXTS, OneNatAWord(), REAL)
    for report, sides in ((alone, 1), (beside, 2)):
        head, *rows, judge = generation_table(report).splitlines()
        assert head.split()[:4] == ["Gen", "PPL", "entropy,", "nats"] and judge == "judge: counter"
        assert [row.split()[0] for row in rows] == ["samples", "real"][:sides]
        assert f"2.7 ± 0.0  {report['entropy']:>13.3f}" in rows[0] and rows[0].endswith("1.8 ± 0.8      1")
    assert "Gen PPL" not in generation_table(generation_report(TEXTS))


def test_a_perplexity_of_nothing_is_shown_as_nan():
    assert "nan" in generation_table(generation_report(["", " "], OneNatAWord()))


# --- JSON -----------------------------------------------------------------------------------------

def test_json_is_strict_whatever_is_in_it(saw):
    bound = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1).nelbo(saw.sample(16))
    value = {"rows": [{"excess_se": float("nan"), "x": float("inf")}], "nelbo": bound, "e": Estimate(1.0, 0.5)}
    raw = json.loads(tables.as_json(value), parse_constant=lambda c: pytest.fail(c))
    assert raw["rows"] == [{"excess_se": None, "x": None}] and raw["e"] == {"value": 1.0, "stderr": 0.5}
    assert raw["nelbo"]["total"]["value"] == bound.total.value


def test_json_of_a_report_of_texts():
    plain = json.loads(tables.as_json(generation_report(TEXTS, OneNatAWord(), REAL)))
    assert plain["gen_ppl"]["value"] == pytest.approx(math.e) and "entropy" in plain["reference"]

"""Scores of texts by counting on fingers."""

import math

import pytest
import torch

from lddm_lite.evaluation.text_scores import copied, distinct_n, generation_report, repetition
from lddm_lite.text import dataset
from tests.support.comparisons import OneNatAWord

TEXTS = ["the bank rose", "the bank fell", "", "rain"]
REAL = ["rain fell on paris", "the river rose", "snow fell", "today the bank closed in paris", "rain"]


def test_copied_by_hand():
    """Of the pairs ab, bc and xy, yx, xy the source of the same row has ab, and xy twice."""
    texts, sources = ["a b c", "x y x y"], ["a b", "x y . b c"]
    assert copied(texts, sources, 2) == 3 / 5 and copied(texts, sources[::-1], 2) == 1 / 5
    assert copied([[1, 2]], [[2, 1]], 1) == 1 and math.isnan(copied(["a"], ["a"], 2))
    with pytest.raises(ValueError, match="sources must be as many as texts, 2; got 1"):
        copied(texts, sources[:1], 2)


def test_distinct_n_by_hand():
    assert distinct_n(TEXTS, 1) == 5 / 7 and distinct_n(TEXTS, 2) == 3 / 4 and distinct_n(TEXTS, 3) == 1
    assert math.isnan(distinct_n(TEXTS, 4))
    assert distinct_n([[1, 2, 1], [2, 1]], 2) == 2 / 3, "ids work too, and no pair reaches into the next text"
    with pytest.raises(ValueError, match="n must be an integer >= 1, got 0"):
        distinct_n(TEXTS, 0)


def test_repetition_by_hand():
    assert repetition(["a b a b", "a b"], 2) == pytest.approx(1 / 4)
    assert repetition(TEXTS, 1) == 0, "repeated in another text is not repeated"
    assert math.isnan(repetition([""], 1))


def test_a_report_by_hand():
    report = generation_report(TEXTS, OneNatAWord(), REAL)
    assert OneNatAWord.seen == REAL[:4], "the reference is as long as the samples"
    p = torch.tensor([2, 2, 1, 1, 1]) / 7
    assert report["entropy"] == pytest.approx(float(-(p * p.log()).sum()))
    assert report["entropy_text"] == pytest.approx((2 * math.log(3) + 0) / 3)
    assert (report["texts"], report["empty"], report["tokens"], report["judge"]) == (4, 1, 7, "counter")
    assert report["length"].value == 7 / 4
    assert report["gen_ppl"].value == pytest.approx(math.e) and report["gen_ppl"].stderr == 0
    assert report["reference"]["texts"] == 4 and report["reference"]["empty"] == 0



def test_nothing_but_empty_texts_is_no_perplexity():
    report = generation_report(["", " "], OneNatAWord())
    assert math.isnan(report["gen_ppl"].value) and report["empty"] == 2 and report["entropy"] == 0


def test_the_tokens_may_be_those_of_the_model():
    data = dataset.from_lines(["rain fell.", "snow fell, rain rose."], vocab=200, tokenizer="words")
    report = generation_report(["rain fell."], tokenise=lambda t: data.codec.tokenise([t])[0])
    assert report["tokens"] == 3 and generation_report(["rain fell."])["tokens"] == 2


@pytest.mark.parametrize("texts, reference, message", [
    ([], None, "texts must hold at least one text, got none"),
    ("text", None, "texts must be a list of texts, got one text"),
    (["a", 3], None, r"texts\[1\] must be a text, got 3"),
    (["a", "b"], ["a"], "reference must hold as many texts as there are, 2; got 1"),
])
def test_bad_texts_are_named(texts, reference, message):
    with pytest.raises(ValueError, match=message):
        generation_report(texts, reference=reference)

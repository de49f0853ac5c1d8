"""Metrics of text by counting on fingers; what latents do, against the model's own bound and the exact scores."""

import json
import math

import pytest
import torch

from lddm_lite import LatentDiffusion, Path, evaluate, text, textmetrics
from lddm_lite.estimate import Estimate
from lddm_lite.judge import perplexity_of
from lddm_lite.tasks import MixtureOfProducts
from lddm_lite.textmetrics import as_text, distinct_n, generation_report, latent_health, repetition

TEXTS = ["the bank rose", "the bank fell", "", "rain"]
REAL = ["rain fell on paris", "the river rose", "snow fell", "today the bank closed in paris", "rain"]


class Judge:
    """One nat a word."""

    name = "counter"
    seen: list = []

    def perplexity(self, texts, progress=True):
        Judge.seen = list(texts)
        counts = torch.tensor([len(t.split()) for t in texts])
        return perplexity_of(counts.double(), counts, self.name)


# --- counting ---------------------------------------------------------------------------------------------

def test_distinct_n_and_repetition_by_hand():
    assert distinct_n(TEXTS, 1) == 5 / 7 and distinct_n(TEXTS, 2) == 3 / 4 and distinct_n(TEXTS, 3) == 1
    assert math.isnan(distinct_n(TEXTS, 4)) and math.isnan(repetition([""], 1))
    assert distinct_n([[1, 2, 1], [2, 1]], 2) == 2 / 3, "ids work too, and no pair reaches into the next text"
    assert repetition(["a b a b", "a b"], 2) == pytest.approx(1 / 4)
    assert repetition(TEXTS, 1) == 0, "repeated in another text is not repeated"
    with pytest.raises(ValueError, match="n must be an integer >= 1, got 0"):
        distinct_n(TEXTS, 0)


def test_a_report_by_hand():
    report = generation_report(TEXTS, Judge(), REAL)
    assert Judge.seen == REAL[:4], "the reference is as long as the samples"
    p = torch.tensor([2, 2, 1, 1, 1]) / 7
    assert report["entropy"] == pytest.approx(float(-(p * p.log()).sum()))
    assert report["entropy_text"] == pytest.approx((2 * math.log(3) + 0) / 3)
    assert (report["texts"], report["empty"], report["tokens"], report["judge"]) == (4, 1, 7, "counter")
    assert report["length"].value == 7 / 4
    assert report["gen_ppl"].value == pytest.approx(math.e) and report["gen_ppl"].stderr == 0
    assert report["reference"]["texts"] == 4 and report["reference"]["empty"] == 0
    plain = json.loads(evaluate.as_json(report))
    assert plain["gen_ppl"]["value"] == pytest.approx(math.e) and "entropy" in plain["reference"]


def test_a_perplexity_is_never_shown_without_entropy():
    for report in (generation_report(TEXTS, Judge()), generation_report(TEXTS, Judge(), REAL)):
        lines = as_text(report).splitlines()
        assert lines[1].startswith("Gen PPL") and lines[2].startswith("token entropy")
        assert lines[-1] == "judge: counter"
    assert "real" in lines[0] and "Gen PPL" not in as_text(generation_report(TEXTS))


def test_nothing_but_empty_texts_is_no_perplexity():
    report = generation_report(["", " "], Judge())
    assert math.isnan(report["gen_ppl"].value) and report["empty"] == 2 and report["entropy"] == 0
    assert "nan" in as_text(report)


def test_the_tokens_may_be_those_of_the_model():
    data = text.from_lines(["rain fell.", "snow fell, rain rose."], vocab=200)
    report = generation_report(["rain fell."], tokenise=lambda t: data.codec.tokenise([t])[0])
    assert report["tokens"] == 3 and generation_report(["rain fell."])["tokens"] == 2


@pytest.mark.parametrize("texts, reference, message", [
    ([], None, "texts must be a list of texts, got none"),
    ("text", None, "texts must be a list of texts, got one text"),
    (["a", 3], None, "got something else"),
    (["a", "b"], ["a"], "reference must hold as many texts as there are, 2; got 1"),
])
def test_bad_texts_are_named(texts, reference, message):
    with pytest.raises(ValueError, match=message):
        generation_report(texts, reference=reference)


# --- latents ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def task():
    return MixtureOfProducts(length=6, modes=3, noise=0.05)


@pytest.fixture(scope="module", params=["continuous", "discrete"])
def exact(request, task, settled):
    """The best possible model with latents of a settled encoder that tells sequences apart."""
    return LatentDiffusion.exact(task, settled(task, request.param, dim=4, slots=2))


def test_the_cost_of_the_token_steps_is_that_of_the_bound(exact, task):
    x = task.sample(2000)
    given = textmetrics._latents(exact, x, torch.Generator().manual_seed(1))
    for k in (1, 3):
        got = textmetrics._nll(exact, x, given["encoder"], k, torch.Generator().manual_seed(2))
        want = exact.nelbo(x, Path.sequential(), token_steps=k, latent_steps=2, seed=3).tokens
        error = math.hypot(got.stderr, want.stderr / 6)
        assert abs(got.value - want.value / 6) < 4 * error + 1e-6
    assert list(given) == ["encoder", "shuffled", "zeroed", "mixed"]


def test_draws_given_latents_are_those_of_one_step(exact, task):
    x = task.sample(2000)
    z = textmetrics._latents(exact, x, torch.Generator().manual_seed(1))["encoder"]
    drawn = textmetrics._draw(exact, x, z, 1, torch.Generator().manual_seed(2))
    score, want = task.score(drawn), evaluate.health(exact, task, 2000)["one_step"]["encoder"]
    assert abs(score["excess"] - want.value) < 4 * math.hypot(score["excess_se"], want.stderr)
    more = textmetrics._draw(exact, x, z, 6, torch.Generator().manual_seed(2))
    assert int(more.max()) < task.vocab, "every mask is gone"


@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_a_text_model_is_examined_with_its_padding(system):
    data = text.from_lines(REAL * 3, length=10)
    model = LatentDiffusion.preset(system, data, slots=2, dim=3, codes=8, width=16, blocks=1).train()
    found = latent_health(model, data, (1, 2), n=12, judge=Judge(), seed=4)
    assert model.training
    assert {"z_response", "spread", "cosine"} <= set(found) and set(found["token_steps"]) == {1, 2}
    for part in found["token_steps"].values():
        assert set(part["nll"]) == {"encoder", "shuffled", "zeroed"}
        assert all(isinstance(v, Estimate) for v in part["nll"].values())
        assert set(part["samples"]) == {"encoder", "zeroed", "mixed", "own"}
    # an untrained head is uniform over all but the padding
    assert found["token_steps"][1]["nll"]["zeroed"].value == pytest.approx(math.log(data.vocab - 1), rel=1e-4)
    real = found["real"]
    assert real["gen_ppl"].value == pytest.approx(math.e)
    g = torch.Generator().manual_seed(0)
    x0 = data.sample(8)
    drawn = textmetrics._draw(model.eval(), x0, textmetrics._latents(model, x0, g)["zeroed"], 2, g)
    assert torch.equal(drawn == 0, (drawn == 0) | (x0 == 0)), "padding stays padding"
    assert json.loads(evaluate.as_json(found))["token_steps"]["1"]["nll"]["encoder"]["value"] > 0
    again = latent_health(model, data, (1, 2), n=12, judge=Judge(), seed=4)
    assert evaluate.as_json(again) == evaluate.as_json(found)


def test_health_of_nothing_and_bad_arguments():
    data = text.from_lines(REAL, length=10)
    assert latent_health(LatentDiffusion.preset("mdlm", data, width=16, blocks=1), data) == {}
    model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    with pytest.raises(ValueError, match="token_steps must be an integer >= 1, got 0"):
        latent_health(model, data, (0,))
    with pytest.raises(ValueError, match="data must have `decode`"):
        latent_health(model, object())

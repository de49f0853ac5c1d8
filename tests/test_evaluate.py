"""Evaluation: rows that mean what they say, the exact limit, and a diagnosis that tells good latents from bad."""

import json

import pytest
import torch

from lddm_lite import LatentDiffusion, Path, evaluate, plots, text
from lddm_lite.estimate import Estimate


@pytest.fixture(scope="module")
def co_seq(saw):
    return LatentDiffusion.preset("co-seq", saw, width=16, blocks=1)


@pytest.fixture(scope="module")
def co_joint(saw):
    return LatentDiffusion.preset("co-joint", saw, width=16, blocks=1)


# --- frontier ---------------------------------------------------------------------------------------------

def test_rows_count_every_network_call(co_seq, co_joint, saw):
    seq = evaluate.frontier(co_seq, saw, (1, 4), latent_steps=3, n=16)
    assert [(r["token_steps"], r["latent_steps"], r["nfe"]) for r in seq] == [(1, 3, 4), (4, 3, 7)]
    joint = evaluate.frontier(co_joint, saw, (1, 4), n=16)
    assert [(r["token_steps"], r["latent_steps"], r["nfe"]) for r in joint] == [(1, 1, 1), (4, 4, 4)]
    usual = evaluate.frontier(co_seq, saw, (2,), n=16)
    assert [(r["latent_steps"], r["nfe"]) for r in usual] == [(16, 18)]
    other = evaluate.frontier(co_seq, saw, (2,), latent_steps=2, path=Path(0.0), n=16)
    assert [(r["lead"], r["nfe"]) for r in other] == [(0.0, 2)]


def test_rows_carry_the_tasks_own_scores_and_repeat_from_a_seed(co_seq, saw):
    (row,) = evaluate.frontier(co_seq, saw, (2,), latent_steps=2, n=64, seed=5)
    trace = co_seq.sample(64, token_steps=2, latent_steps=2, seed=5)
    for key, value in saw.score(trace.tokens, seed=6).items():
        assert row[key] == pytest.approx(value, nan_ok=True)
    again = evaluate.frontier(co_seq, saw, (2,), latent_steps=2, n=64, seed=5)[0]
    assert {**row, "seconds": 0} == {**again, "seconds": 0}


def test_budgets_above_the_length_are_dropped(co_seq, saw):
    assert [r["token_steps"] for r in evaluate.frontier(co_seq, saw, (8, 9, 128), n=8)] == [8]
    with pytest.raises(ValueError, match="token_steps must hold a budget of at most length=8"):
        evaluate.frontier(co_seq, saw, (9,), n=8)


@pytest.mark.parametrize("bad", [dict(token_steps=(0,)), dict(token_steps=(1.5,)), dict(n=0), dict(latent_steps=0)])
def test_bad_arguments(co_seq, saw, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        evaluate.frontier(co_seq, saw, **{"token_steps": (1,), "n": 4, **bad})


def test_exact_limit_of_binsaw_32(saw32):
    """8.03, 3.93, 1.93: the prototype's exact oracle, an independent programme."""
    rows = evaluate.exact_limit(saw32, (1, 2, 4), n=2048)
    for row, known in zip(rows, (8.03, 3.93, 1.93), strict=True):
        assert row["excess"] == pytest.approx(known, abs=0.05 * known + 3 * row["excess_se"])
        assert (row["system"], row["nfe"], row["latent_steps"]) == ("exact", row["token_steps"], 0)


def test_rows_can_be_plotted(saw):
    rows = evaluate.exact_limit(saw, (1, 2), n=32)
    assert plots.frontier(rows).get_xlabel() == "network calls (NFE)"


# --- text ---------------------------------------------------------------------------------------------------

def test_text_is_judged_by_its_bound_and_entropy():
    data = text.from_lines(["the bank rose .", "the yen fell on friday ."] * 4, vocab=64, length=8)
    model = LatentDiffusion.preset("mdlm", data, width=16, blocks=1)
    one, four = evaluate.frontier(model, data, (1, 4), n=32)
    # before training every piece but the padding has the same probability, whatever is seen
    expected = torch.tensor(data.vocab - 1.0).log().item()
    assert one["bound"] == pytest.approx(expected, rel=1e-4)
    assert four["bound"] == pytest.approx(expected, abs=4 * four["bound_se"])
    assert 0 < one["entropy_data"] < one["entropy"] < expected
    assert "excess" not in one and evaluate.health(model, data) == {}
    latent = LatentDiffusion.preset("di-seq", data, width=16, blocks=1, codes=8)
    assert sorted(evaluate.health(latent, data, n=32)) == ["codes", "cosine", "perplexity", "spread", "z_response"]


# --- health -----------------------------------------------------------------------------------------------

def test_health_of_the_exact_shift_latent(saw32):
    """z is Binsaw's own shift and the denoiser is exact: tokens drawn in one step from it lose next to nothing."""
    health = evaluate.health(LatentDiffusion.exact(saw32, "shift"), saw32, n=1024)
    excess = {k: v.value for k, v in health["one_step"].items()}
    assert excess["encoder"] < 0.7 and excess["own"] < 1.5, "limits: what the noise floor and 16 latent steps cost"
    assert excess["zeroed"] == pytest.approx(8.0, rel=0.1), "as if there were no latents"
    assert excess["half"] < 0.7 and excess["half_swapped"] > 2
    assert health["z_response"] > 0.2
    assert health["spread"] == pytest.approx(1, abs=0.05) and abs(health["cosine"]) < 0.02


def test_health_sees_a_collapsed_encoder(saw):
    model = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1)  # with closed gates: the same z for all
    torch.nn.init.zeros_(model.encoder.head.weight)
    health = evaluate.health(model, saw, n=128)
    assert health["spread"] == pytest.approx(0, abs=1e-6) and health["cosine"] == pytest.approx(1)
    assert health["z_response"] == pytest.approx(0, abs=1e-5)


def test_health_of_discrete_latents_and_of_none(saw):
    model = LatentDiffusion.preset("di-seq", saw, width=16, blocks=1, slots=2, codes=8)
    health = evaluate.health(model, saw, n=128)
    assert 1 <= health["perplexity"] <= health["codes"] == 8
    assert set(health["one_step"]) == {"own", "encoder", "zeroed", "half", "half_swapped"}
    assert evaluate.health(LatentDiffusion.preset("mdlm", saw, width=16), saw) == {}
    assert evaluate.health(LatentDiffusion.exact(saw), saw) == {}


def test_health_leaves_the_model_as_it_was(saw):
    model = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (evaluate.health(model, saw, n=64, seed=2) for _ in range(2))
    assert model.training and a == b
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# --- showing it -------------------------------------------------------------------------------------------

def test_tables_line_up_and_leave_out_what_is_not_there():
    rows = [
        {"system": "co-joint", "token_steps": 128, "nfe": 128, "excess": -0.004, "excess_se": 0.01, "mode_tv": 0.5},
        {"system": "exact", "token_steps": 1, "nfe": 1, "excess": 44, "excess_se": 0.2, "mode_tv": 0.1},
    ]
    rows[1]["mode_tv_fresh"] = 0.0
    head, first, second = evaluate.as_text(rows).splitlines()
    assert "SWD" not in head and "sec" not in head
    assert len(head) == len(second) and "44.00 ± 0.20" in second and "0.100 (0.000)" in second and "0.500" in first
    assert head.index("NFE") == first.index("128  -0")


def test_json_is_strict_whatever_is_in_it(saw, co_seq):
    bound = co_seq.nelbo(saw.sample(16))
    value = {"rows": [{"excess_se": float("nan"), "x": float("inf")}], "nelbo": bound, "e": Estimate(1.0, 0.5)}
    raw = json.loads(evaluate.as_json(value), parse_constant=lambda c: pytest.fail(c))
    assert raw["rows"] == [{"excess_se": None, "x": None}] and raw["e"] == {"value": 1.0, "stderr": 0.5}
    assert raw["nelbo"]["total"]["value"] == bound.total.value

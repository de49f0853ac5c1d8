"""The few-step frontier: rows that mean what they say, and the exact limit."""

import math

import pytest
import torch

from lddm_lite import LatentDiffusion, Path, plots, tasks
from lddm_lite.evaluation import few_steps
from lddm_lite.text import dataset


@pytest.fixture(scope="module")
def co_seq(saw):
    return LatentDiffusion.preset("co-seq", saw, width=16, blocks=1)


@pytest.fixture(scope="module")
def co_joint(saw):
    return LatentDiffusion.preset("co-joint", saw, width=16, blocks=1)


def test_rows_count_every_network_call(co_seq, co_joint, saw):
    seq = few_steps.frontier(co_seq, saw, (1, 4), latent_steps=3, n=16)
    assert [(r["token_steps"], r["latent_steps"], r["nfe"]) for r in seq] == [(1, 3, 4), (4, 3, 7)]
    joint = few_steps.frontier(co_joint, saw, (1, 4), n=16)
    assert [(r["token_steps"], r["latent_steps"], r["nfe"]) for r in joint] == [(1, 1, 1), (4, 4, 4)]
    usual = few_steps.frontier(co_seq, saw, (2,), n=16)
    assert [(r["latent_steps"], r["nfe"]) for r in usual] == [(16, 18)]
    other = few_steps.frontier(co_seq, saw, (2,), latent_steps=2, path=Path(0.0), n=16)
    assert [(r["lead"], r["nfe"]) for r in other] == [(0.0, 2)]


def test_rows_carry_the_tasks_own_scores_and_repeat_from_a_seed(co_seq, saw):
    (row,) = few_steps.frontier(co_seq, saw, (2,), latent_steps=2, n=64, seed=5)
    trace = co_seq.sample(64, token_steps=2, latent_steps=2, seed=5)
    for key, value in saw.score(trace.tokens, seed=6).items():
        assert row[key] == pytest.approx(value, nan_ok=True)
    again = few_steps.frontier(co_seq, saw, (2,), latent_steps=2, n=64, seed=5)[0]
    assert {**row, "seconds": 0} == {**again, "seconds": 0}


def test_rows_of_a_task_hold_its_divergences(saw32):
    """Of the exact predictor one token step is a product, whose law is known; of two the bound is.
    """
    one, two = few_steps.exact_limit(saw32, (1, 2), n=256, seed=1)
    assert one["kl_reverse"] + one["entropy_gap"] == pytest.approx(one["excess"])  # of the same samples
    assert not one["kl_forward_upper"] and 0 < one["kl_forward"] and one["kl_reverse_se"] > 0
    assert two["kl_forward_upper"] and two["kl_forward"] < one["kl_forward"] and "kl_reverse" not in two
    (sharp,) = few_steps.frontier(LatentDiffusion.exact(saw32), saw32, (2,), n=16, temperature=0.6)
    assert "excess" in sharp and "kl_forward" not in sharp


def test_step_counts_above_the_length_are_dropped(co_seq, saw):
    assert [r["token_steps"] for r in few_steps.frontier(co_seq, saw, (8, 9, 128), n=8)] == [8]
    with pytest.raises(ValueError, match="token_steps must hold a number of at most length=8"):
        few_steps.frontier(co_seq, saw, (9,), n=8)


@pytest.mark.parametrize("bad", [dict(token_steps=(0,)), dict(token_steps=(1.5,)), dict(n=0), dict(latent_steps=0)])
def test_bad_arguments(co_seq, saw, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        few_steps.frontier(co_seq, saw, **{"token_steps": (1,), "n": 4, **bad})


def test_exact_limit_of_binsaw_32(saw32):
    """8.03, 3.93, 1.93: the table of METHOD 8."""
    rows = few_steps.exact_limit(saw32, (1, 2, 4), n=2048)
    for row, known in zip(rows, (8.03, 3.93, 1.93), strict=True):
        assert row["excess"] == pytest.approx(known, abs=0.05 * known + 3 * row["excess_se"])
        assert (row["system"], row["nfe"], row["latent_steps"]) == ("exact", row["token_steps"], 0)


def test_rows_can_be_plotted(saw):
    rows = few_steps.exact_limit(saw, (1, 2), n=32)
    assert plots.frontier(rows).get_xlabel() == "network calls (NFE)"


def test_text_is_judged_by_its_bound_and_entropy():
    lines = ["the bank rose .", "the yen fell on friday ."] * 4
    data = dataset.from_lines(lines, vocab=64, length=8, tokenizer="words", allow_losses=True)
    model = LatentDiffusion.preset("mdlm", data, width=16, blocks=1)
    one, four = few_steps.frontier(model, data, (1, 4), n=32)
    # before training every token but the padding has the same probability, whatever is seen
    expected = torch.tensor(data.vocab - 1.0).log().item()
    assert one["bound"] == pytest.approx(expected, rel=1e-4)
    assert four["bound"] == pytest.approx(expected, abs=4 * four["bound_se"])
    assert 0 < one["entropy_data"] < one["entropy"] < expected
    assert "excess" not in one


def test_the_best_schedule_of_a_frontier():
    """In all calls given, and no worse than even steps in those: three standard errors."""
    task = tasks.Binsaw(length=32)
    for model in (LatentDiffusion.exact(task), LatentDiffusion.exact(task, "shift")):
        best = few_steps.frontier(model, task, (2, 4), n=512, schedule="best")
        assert [row["nfe"] for row in best] == [2, 4]
        assert all(row["token_steps"] + row["latent_steps"] >= row["nfe"] for row in best)
        if model.latent_channel is None:
            even = few_steps.frontier(model, task, (2, 4), n=512)
            for a, b in zip(best, even, strict=True):
                assert a["excess"] < b["excess"] + 3 * math.hypot(a["excess_se"], b["excess_se"])
            assert best[1]["excess"] < even[1]["excess"]


def test_a_best_schedule_decides_alone():
    model, task = LatentDiffusion.exact(tasks.Binsaw(length=8)), tasks.Binsaw(length=8)
    with pytest.raises(ValueError, match="schedule must be even or best, got 'tuned'"):
        few_steps.frontier(model, task, (2,), schedule="tuned")
    with pytest.raises(ValueError, match="path must be left out with schedule='best'"):
        few_steps.frontier(model, task, (2,), path=Path(0.5), schedule="best")


def test_the_time_left_goes_by_the_steps_not_by_the_rows(saw, told_by):
    told = told_by(few_steps)
    few_steps.exact_limit(saw, (1, 2, 4), n=8, progress=True)
    assert told == [7, 1, 2, 4], "half of the time goes into the last of three rows"

"""Categorical draws: in float64, from what has a probability, as often as it says; and rows of data at
random."""

import math

import pytest
import torch

from lddm_lite._common import randomness
from lddm_lite._common.randomness import draw_categorical, random_rows, split_rows
from tests.support.statistics import agree

F64 = torch.float64


def test_draws_follow_their_probabilities_and_never_take_what_has_none(gen):
    p = torch.tensor([0.0, 0.5, 1e-4, 0.0, 0.3, 0.1999, 0.0], dtype=F64)
    drawn = draw_categorical(p.log().expand(200_000, -1), gen(1))
    agree(torch.bincount(drawn, minlength=7), p)


def test_draws_take_log_probabilities_up_to_a_constant_row_by_row(gen):
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=F64)
    constant = torch.tensor([[3.0], [-700.0]], dtype=F64)
    drawn = draw_categorical((p.log() + constant).repeat(50_000, 1), gen(2))
    for row in (0, 1):
        agree(torch.bincount(drawn[row::2], minlength=2), p[row])


def test_draws_are_made_in_float64(monkeypatch, gen):
    """float32 has no number between 1 - 6e-8 and 1, and its uniform draws are 0 once in 16 million:
    tails get lost."""
    u = torch.tensor([[0.5e-12], [1.5e-12], [1 - 2.5e-12], [1 - 1.5e-12]], dtype=F64)
    monkeypatch.setattr(randomness, "rand", lambda shape, g, like=None, dtype=torch.float32: u.to(dtype))
    # as a network gives
    log_probs = torch.tensor([1e-12, 1 - 3e-12, 2e-12], dtype=F64).log().float().expand(4, -1)
    assert draw_categorical(log_probs, gen()).tolist() == [0, 1, 1, 2]


def test_the_ends_of_the_unit_interval_give_possible_tokens(monkeypatch, gen):
    u = torch.tensor([[0.0], [1 - 2.0**-53]], dtype=F64)
    monkeypatch.setattr(randomness, "rand", lambda shape, g, like=None, dtype=torch.float32: u.to(dtype))
    p = torch.tensor([0.0, 0.1, 0.7, 0.1, 0.1, 0.0], dtype=F64)
    assert draw_categorical(p.log().expand(2, -1), gen()).tolist() == [1, 4]


def test_chunks_of_a_large_draw_change_nothing(monkeypatch, gen):
    log_probs = torch.randn(100, 7, generator=gen(3))
    whole = draw_categorical(log_probs, gen(4))
    monkeypatch.setattr(randomness, "_DRAW_ENTRIES", 16)  # two rows a chunk
    assert torch.equal(whole, draw_categorical(log_probs, gen(4)))
    assert draw_categorical(torch.empty(0, 7), gen()).shape == (0,)


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_a_row_without_probabilities_is_an_error_not_a_zero(bad, gen):
    with pytest.raises(ValueError, match="log_probs.*nan|log_probs.*inf"):
        draw_categorical(torch.tensor([[0.0, 0.0], [bad, bad]]), gen())


# --- rows of data ----------------------------------------------------------------------------------

def test_all_rows_are_drawn_alike_and_a_seed_repeats_them():
    drawn = random_rows(4, 40_000, seed=0)
    # sd of a share of a quarter in 40,000 draws is 0.0022: four of them
    assert torch.allclose(drawn.bincount(minlength=4) / 40_000, torch.tensor(0.25), atol=0.009)
    assert torch.equal(random_rows(4, 9, seed=3), random_rows(4, 9, seed=torch.Generator().manual_seed(3)))
    for bad in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n must be"):
            random_rows(4, bad, seed=0)


@pytest.mark.parametrize("fraction, held", [(0.001, 1), (0.25, 5), (0.999, 19)])
def test_a_split_takes_each_row_once_and_leaves_some_on_both_sides(fraction, held):
    rest, out = split_rows(20, fraction, seed=1)
    assert len(out) == held and sorted([*rest.tolist(), *out.tolist()]) == list(range(20))
    assert rest.tolist() == sorted(rest.tolist()) and torch.equal(split_rows(20, fraction, seed=1)[1], out)


@pytest.mark.parametrize("bad", [0, 1, -0.5, float("nan"), "half", None])
def test_other_fractions(bad):
    with pytest.raises(ValueError, match="fraction must be a number in"):
        split_rows(20, bad, seed=0)


def test_one_row_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 sequences; there is 1"):
        split_rows(1, 0.5, seed=0)

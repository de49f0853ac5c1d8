"""Where token steps are best placed: dynamic programming against all schedules, and even steps."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite.diffusion import best_counts, even_counts, finite_bound
from lddm_lite.diffusion.unmasking_order import still_masked

tables = st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=8).map(
    lambda f: torch.tensor(f, dtype=torch.float64)
)


@settings(max_examples=200)
@given(tables, st.data())
def test_the_best_of_all_schedules_is_found(costs, data):
    """Of any table, falling or not, by trying every schedule with so many steps."""
    steps = data.draw(st.integers(1, len(costs)))
    every = ([0, *rest] for rest in itertools.combinations(range(1, len(costs)), steps - 1))
    least = min(finite_bound(costs, counts) for counts in every)
    found = best_counts(costs, steps)
    assert len(found) == steps and finite_bound(costs, found) == pytest.approx(least, abs=1e-12)


@settings(max_examples=100)
@given(tables.map(lambda f: f.sort(descending=True).values), st.data())
def test_more_steps_never_cost_more_and_even_ones_never_less(costs, data):
    steps = data.draw(st.integers(1, len(costs)))
    best = [finite_bound(costs, best_counts(costs, k)) for k in range(1, steps + 1)]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(best))
    assert best[-1] <= finite_bound(costs, even_counts(len(costs), steps)) + 1e-12
    assert finite_bound(costs, range(len(costs))) == pytest.approx(float(costs.sum()))


@given(st.integers(1, 200), st.data())
def test_even_counts_are_those_of_the_sampler(length, data):
    steps = data.draw(st.integers(1, length))
    left = [int(still_masked(torch.tensor([length]), 1 - k / steps)) for k in range(steps)]
    assert even_counts(length, steps) == [length - v for v in left]


@pytest.mark.parametrize("counts", [[], [1, 2], [0, 0], [0, 2, 1], [0, 3]])
def test_counts_that_do_not_rise_from_0_are_named(counts):
    with pytest.raises(ValueError, match="counts must"):
        finite_bound(torch.ones(3), counts)


@pytest.mark.parametrize("steps", [0, 4, 1.5])
def test_steps_that_there_cannot_be_are_named(steps):
    for call in (lambda: best_counts(torch.ones(3), steps), lambda: even_counts(3, steps)):
        with pytest.raises(ValueError, match="steps must be an integer in"):
            call()

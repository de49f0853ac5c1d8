"""Where token steps are best placed: dynamic programming against all schedules, and even steps."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite.diffusion import best_counts, even_counts, finite_bound
from lddm_lite.diffusion.best_schedule import MOVES, StepCosts
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


@st.composite
def step_tables(draw):
    """A table of costs on a tiny grid, falling nowhere in particular."""
    last, top = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    size = (last + 1) * (top + 1)
    numbers = st.lists(st.floats(0, 5, allow_nan=False), min_size=size, max_size=size)
    tokens, latents = (torch.tensor(draw(numbers), dtype=torch.float64).reshape(last + 1, -1) for _ in range(2))
    rising = [st.lists(st.floats(0.1, 3), min_size=k, max_size=k) for k in (last, top)]
    t_x, gains = (torch.tensor([0.0, *draw(r)], dtype=torch.float64).cumsum(0) for r in rising)
    t_z = torch.linspace(1, 0, top + 1) if top else torch.zeros(1)
    return StepCosts(1 - t_x / t_x[-1], t_z, gains, tokens, latents)


def walks(costs, steps, moves):
    """Every walk of so many steps, by its definition, with what it costs."""
    last, top = len(costs.t_x) - 1, len(costs.t_z) - 1
    points = [(i, j) for i in range(last) for j in range(top + 1)]
    for between in itertools.combinations(points[1:], steps - 1):
        walk = [(0, 0), *sorted(between), (last, top)]
        pairs = list(itertools.pairwise(walk))
        if any(b[1] < a[1] for a, b in pairs):
            continue
        if moves == "sequential" and any(b[0] > 0 and a[1] < top for a, b in pairs):
            continue
        if moves == "joint" and any(b[0] == a[0] or b[1] == a[1] for a, b in pairs):
            continue
        total = 0.0
        for (i, j), (k, m) in pairs:
            total += float((costs.t_x[i] - costs.t_x[k]) * costs.tokens[i, j])
            if k < last:
                total += float((costs.gains[m] - costs.gains[j]) * costs.latents[i, j])
        yield walk, total


@settings(max_examples=200)
@given(step_tables(), st.integers(1, 5), st.sampled_from(MOVES))
def test_the_best_of_all_monotone_walks_is_found(costs, steps, moves):
    """In two dimensions, by trying every walk; latents that move with the last token are free."""
    every = list(walks(costs, steps, moves))
    for walk, total in every:
        assert costs.bound(walk) == pytest.approx(total, abs=1e-9)
    if not every:
        with pytest.raises(ValueError, match=f"none that a walk with {moves} moves has"):
            costs.best(steps, moves)
        return
    found = costs.best(steps, moves)
    assert found in [walk for walk, _ in every]
    assert costs.bound(found) == pytest.approx(min(total for _, total in every), abs=1e-9)


@settings(max_examples=200)
@given(step_tables(), st.data(), st.sampled_from(MOVES))
def test_tokens_are_placed_best_where_levels_are_given(costs, data, moves):
    last, top = len(costs.t_x) - 1, len(costs.t_z) - 1
    levels = [0, *sorted(data.draw(st.lists(st.integers(0, top), max_size=3)))]
    after = [*levels[1:], levels[-1]]
    best = None
    for inner in itertools.combinations_with_replacement(range(last), len(levels) - 1):
        i = [0, *inner, last]
        moved = [b > a for a, b in itertools.pairwise(i)]
        rests = [moves != "joint" and b > a for a, b in zip(levels, after, strict=True)]
        if any(not (m or r) or (m and r and moves == "sequential") for m, r in zip(moved, rests, strict=True)):
            continue
        cost = sum(float((costs.t_x[a] - costs.t_x[b]) * costs.tokens[a, j])
                   for (a, b), j in zip(itertools.pairwise(i), levels, strict=True))
        best = cost if best is None else min(best, cost)
    if best is None:
        with pytest.raises(ValueError, match="leave no walk"):
            costs.best_tokens(levels, moves)
        return
    walk = costs.best_tokens(levels, moves)
    assert [j for _, j in walk] == [*levels, top]
    pairs = itertools.pairwise(walk)
    found = sum(float((costs.t_x[a] - costs.t_x[b]) * costs.tokens[a, j]) for (a, j), (b, _) in pairs)
    assert found == pytest.approx(best, abs=1e-9)


@given(tables, st.data())
def test_without_latents_the_best_walk_is_the_best_counts(costs, data):
    steps, length = data.draw(st.integers(1, len(costs))), len(costs)
    table = torch.cat([costs * length, torch.zeros(1)]).unsqueeze(1)
    t_x = 1 - torch.arange(length + 1, dtype=torch.float64) / length
    alone = StepCosts(t_x, torch.zeros(1), torch.zeros(1), table, torch.zeros_like(table))
    found = alone.bound(alone.best(steps))
    assert found == pytest.approx(finite_bound(costs, best_counts(costs, steps)), abs=1e-9)
    assert alone.schedule(alone.best(steps)).nfe() == steps


def test_unknown_moves_and_levels_are_named():
    half = torch.tensor([1.0, 0.0])
    costs = StepCosts(half, half, 1 - half, torch.ones(2, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match="moves must be one of any, sequential, joint; got 'all'"):
        costs.best(1, "all")
    for levels in ([], [1], [0, 1, 0]):
        with pytest.raises(ValueError, match="levels must begin with 0 and never fall"):
            costs.best_tokens(levels)

"""Two chains: the law against its definition, and joint steps that beat latents first, by exact bounds
and by samples."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lddm_lite import LatentDiffusion
from lddm_lite._common.estimate import Estimate
from lddm_lite.diffusion.best_schedule import StepCosts, best_counts, finite_bound
from lddm_lite.evaluation.measure_visible_costs import step_costs
from lddm_lite.tasks import TwinChains, make


class Agreement(nn.Module):
    """Where the two chains agree, as codes."""

    config = SimpleNamespace(codes=2)

    def forward(self, x):
        u, v = x.chunk(2, dim=1)
        return (u == v).long()


def exact_costs(task) -> StepCosts:
    """The table of `step_costs` by its definition: conditional entropies, averaged over all sets of
    visible tokens and all sets of visible slots."""
    x = task.all_sequences()
    both, p = torch.cat([x, task.agreement(x)], 1).numpy(), task.log_prob(x).exp().numpy()
    length, m = x.shape[1], x.shape[1] // 2
    key = both @ (1 << np.arange(length + m))
    h = np.zeros((1 << length, 1 << m))  # entropy of the visible ones
    for seen, slots in itertools.product(range(1 << length), range(1 << m)):
        q = np.bincount(np.unique(key & (seen | slots << length), return_inverse=True)[1], p)
        h[seen, slots] = -(q * np.log(q)).sum()
    tokens, latents, n = (np.zeros((length + 1, m + 1)) for _ in range(3))
    for seen, slots in itertools.product(range(1 << length), range(1 << m)):
        at = seen.bit_count(), slots.bit_count()
        n[at] += 1
        gain = [h[seen | 1 << i, slots] for i in range(length) if not seen >> i & 1]
        tokens[at] += length * (np.mean(gain) - h[seen, slots]) if gain else 0
        gain = [h[seen, slots | 1 << j] for j in range(m) if not slots >> j & 1]
        latents[at] += m * (np.mean(gain) - h[seen, slots]) if gain else 0
    share = [torch.arange(k + 1, dtype=torch.float64) / k for k in (length, m)]
    return StepCosts(1 - share[0], 1 - share[1], share[1], torch.tensor(tokens / n), torch.tensor(latents / n))


@pytest.fixture(scope="module")
def task():
    return TwinChains(length=8, flip=0.02)


@pytest.fixture(scope="module")
def costs(task):
    return exact_costs(task)


def test_the_law_is_that_of_its_definition():
    task = TwinChains(length=6, flip=0.1)
    x = task.all_sequences()
    want = [
        math.prod(0.5 * math.prod(0.1 if a != b else 0.9 for a, b in itertools.pairwise(c)) for c in (r[:3], r[3:]))
        for r in x.tolist()
    ]
    assert torch.allclose(task.log_prob(x).exp(), torch.tensor(want, dtype=torch.float64), atol=1e-12)
    log_p = task.log_prob(x)
    assert task.entropy().value == pytest.approx(-float((log_p.exp() * log_p).sum()), abs=1e-9)
    assert make(**task.spec()).spec() == task.spec()


def test_all_slots_leave_a_token_at_even_odds(task):
    """What they tell is only which tokens go together."""
    model = LatentDiffusion.exact(task, Agreement())
    z = task.agreement(task.all_sequences())
    blank, now = torch.full((len(z), 8), 2), torch.zeros(len(z))
    p = model.predict(blank, z, now, blank == 2).tokens.exp()
    assert torch.allclose(p, torch.full_like(p, 0.5))


def test_measured_costs_are_those_of_enumeration(task, costs):
    """Entropies of exact predictions, 4,096 sequences; sets of visible ones are drawn, too. Five
    times what another seed differs by, by which the tolerance is set: below 0.12 nats of up to 5.5."""
    model, x = LatentDiffusion.exact(task, Agreement()), task.sample(4096, seed=1)
    found = step_costs(model, x, points=9, levels=5, seed=2)
    for name in ("t_x", "t_z", "gains"):
        assert torch.allclose(getattr(found, name), getattr(costs, name))
    assert (found.tokens - costs.tokens)[:-1].abs().max() < 0.12
    assert (found.latents - costs.latents)[:-1, :-1].abs().max() < 0.12


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_joint_steps_have_a_smaller_bound_than_any_sequential_ones_and_than_none_with_latents(task, costs, steps):
    """Exact, by enumeration and dynamic programming: each step of the joint walk moves both."""
    truth = task.entropy().value
    bound = {moves: costs.bound(costs.best(steps, moves)) - truth for moves in ("joint", "sequential")}
    f = costs.tokens[:-1, 0] / task.length
    alone = finite_bound(f, best_counts(f, steps)) - truth
    assert bound["joint"] < 0.6 * alone and bound["joint"] < 0.4 * bound["sequential"]


def test_samples_say_so_too(task, costs):
    """4 calls, 4,096 samples, against each of the 45 sequential schedules: the excess, with more than
    five standard errors between; and the total variation from the law, joint below half."""
    model, truth = LatentDiffusion.exact(task, Agreement()), task.entropy().value
    law = task.log_prob(task.all_sequences()).exp()

    def scored(walk, n):
        x = torch.as_tensor(model.sample(n, path=costs.schedule(walk), order="even", seed=1).tokens).long()
        seen = torch.bincount(x @ 2 ** torch.arange(7, -1, -1), minlength=256).double() / n
        return Estimate.of(-task.log_prob(x) - truth), float((seen - law).abs().sum() / 2)

    walks = [
        [(0, j) for j in (0, *a, 4)] + [(i, 4) for i in (*b, 8)]
        for k in (1, 2, 3)
        for a in itertools.combinations(range(1, 4), k - 1)
        for b in itertools.combinations(range(1, 8), 3 - k)
    ]
    assert len(walks) == 45
    best = min(walks, key=lambda walk: scored(walk, 512)[0].value)
    (joint, off), (sequential, other) = scored(costs.best(4, "joint"), 4096), scored(best, 4096)
    assert joint.value + 5 * math.hypot(joint.stderr, sequential.stderr) < sequential.value
    assert off < 0.6 * other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(length=7), "length must be even"),
        (dict(length=14), "length must be an integer in"),
        (dict(flip=0.0), "flip must be in"),
        (dict(flip=0.7), "flip must be in"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TwinChains(**arguments)

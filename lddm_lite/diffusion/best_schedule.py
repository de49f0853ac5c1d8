"""Optimal step schedules by dynamic programming: the counts of visible tokens with the smallest
bound in finite steps.

With k of L tokens visible, drawn at random, let f(k) = E[-log p(x_i | k visible)], nats a masked
token. A step that begins with a tokens visible and ends with b costs (b - a) f(a), whatever came
before (M4 by counts), so that a schedule costs a sum over its steps, and the best one is a shortest
path. `evaluation.visible_costs` measures f, of exact and of trained models.
"""

from __future__ import annotations

import torch

from .._common.arguments import integer
from .unmasking_order import still_masked

__all__ = ["best_counts", "even_counts", "finite_bound"]


def finite_bound(costs: torch.Tensor, counts) -> float:
    """Bound in finite steps, nats per sequence, of token steps that begin with `counts` tokens
    visible; `costs` [L] is f(0), ..., f(L-1). ValueError for counts that do not rise from 0, below
    L.

    >>> finite_bound(torch.tensor([1.0, 0.5, 0.25]), [0, 1])
    2.0
    """
    f, counts = costs.double(), [integer("counts", k, 0, len(costs) - 1) for k in counts]
    if not counts or counts[0] != 0 or any(b <= a for a, b in zip(counts, counts[1:], strict=False)):
        raise ValueError(f"counts must rise from 0, got {counts}")
    return float(sum((b - a) * f[a] for a, b in zip(counts, [*counts[1:], len(f)], strict=True)))


def even_counts(length: int, steps: int) -> list[int]:
    """Uniform schedule: visible tokens before each of `steps` even token steps: what the schedule
    (M1) leaves masked, to the nearest integer.

    >>> even_counts(10, 4)
    [0, 2, 5, 7]
    """
    integer("steps", steps, 1, length)
    return [length - int(still_masked(torch.tensor(length), 1 - k / steps)) for k in range(steps)]


def best_counts(costs: torch.Tensor, steps: int) -> list[int]:
    """Optimal schedule: visible tokens before each of `steps` token steps with the smallest
    `finite_bound`. ValueError for more steps than tokens.

    >>> best_counts(torch.tensor([1.0, 0.1, 0.1, 0.1]), 2)
    [0, 1]
    """
    length = len(costs)
    integer("steps", steps, 1, length)
    f, at = costs.double(), torch.arange(length + 1, dtype=torch.float64)
    gain = at - at[:-1].unsqueeze(1)  # [L, L + 1], b - a
    step = torch.where(gain > 0, gain * f.unsqueeze(1), torch.inf)  # what a step from a to b costs
    total = step[0]  # [L + 1], least cost of b visible after so many steps
    came = []
    for _ in range(steps - 1):
        total, best = (total[:-1].unsqueeze(1) + step).min(0)
        came.append(best)
    counts = [length]
    for best in reversed(came):
        counts.append(int(best[counts[-1]]))
    return [0, *reversed(counts[1:])]

"""Optimal step schedules by dynamic programming: those with the smallest bound in finite steps.

With k of L tokens visible, drawn at random, let f(k) = E[-log p(x_i | k visible)], nats a masked
token. A step that begins with a tokens visible and ends with b costs (b - a) f(a), whatever came
before (M4 by counts), so that a schedule costs a sum over its steps, and the best one is a shortest
path. With latents f depends on their level, too, they cost likewise (M7, or M4 for codes), and the
shortest path is one in two dimensions (M12). `evaluation.visible_costs` and
`evaluation.step_costs` measure such tables, of exact and of trained models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._common import schemas
from .._common.arguments import integer, shown
from .paths import Schedule
from .unmasking_order import still_masked

__all__ = ["MOVES", "StepCosts", "best_counts", "even_counts", "finite_bound"]

MOVES = ("any", "sequential", "joint")


@schemas.checked(costs=schemas.line, counts=schemas.counts)
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


@schemas.checked(length=schemas.whole(1))
def even_counts(length: int, steps: int) -> list[int]:
    """Uniform schedule: visible tokens before each of `steps` even token steps: what the schedule
    (M1) leaves masked, to the nearest integer.

    >>> even_counts(10, 4)
    [0, 2, 5, 7]
    """
    integer("steps", steps, 1, length)
    return [length - int(still_masked(torch.tensor(length), 1 - k / steps)) for k in range(steps)]


@schemas.checked(costs=schemas.line)
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
    return _shortest([torch.cat([step, torch.full_like(step[:1], torch.inf)])] * steps)[:-1]


@dataclass(frozen=True)
class StepCosts:
    """What steps cost that begin on a grid of points (t_x, t_z), both channels in nats per sequence.

    - `t_x` [I + 1], `t_z` [J + 1]: falling times, from 1 to 0.
    - `gains` [J + 1]: what the latents have at t_z, rising: the share of visible slots, or the SNR.
    - `tokens`, `latents` [I + 1, J + 1]: cost at a point of a share of the tokens, and of a unit of
      gain. Not looked at where a channel is done.

    A step from (i, j) to (i', j') costs (t_x[i] - t_x[i']) tokens[i, j] + (gains[j'] - gains[j])
    latents[i, j]: what both channels cost where it begins. Latents that move in the step that ends
    the tokens are free, for nothing looks at them: the latent variable of the bound is then z at the
    time at which that step begins.
    """

    t_x: torch.Tensor
    t_z: torch.Tensor
    gains: torch.Tensor
    tokens: torch.Tensor
    latents: torch.Tensor

    def __post_init__(self):
        for name in ("t_x", "t_z", "gains", "tokens", "latents"):
            of = schemas.line if name in ("t_x", "t_z", "gains") else schemas.floats
            object.__setattr__(self, name, of(name, getattr(self, name)))
        wide = len(self.t_x), len(self.t_z)
        for name, shape in (("gains", wide[1:]), ("tokens", wide), ("latents", wide)):
            schemas.of_shape(name, getattr(self, name), shape)

    def bound(self, walk) -> float:
        """The bound, nats per sequence and without the prior term (M8), of the steps between the
        points (i, j) of a `walk`.

        >>> half = torch.tensor([1.0, 0.0])
        >>> StepCosts(half, half, 1 - half, torch.tensor([[3.0, 1.0]] * 2), torch.full((2, 2), 1.5)).bound(
        ...     [(0, 0), (0, 1), (1, 1)]
        ... )
        2.5
        """
        walk, table, wide = self._walk(walk), self._table(), len(self.t_z)
        at = [i * wide + j for i, j in walk]
        return float(sum(table[a, b] for a, b in zip(at, at[1:], strict=False)))

    def best(self, steps: int, moves: str = "any") -> list[tuple[int, int]]:
        """The walk (i, j) of exactly `steps` steps, each of which moves a channel, with the smallest
        `bound`. `moves`: "any" of all monotone walks; "sequential": the latents' all before the
        first token's; "joint": each step moves both channels. ValueError where there is no such
        walk.

        >>> half = torch.tensor([1.0, 0.0])
        >>> costs = StepCosts(half, half, 1 - half, torch.tensor([[3.0, 1.0]] * 2), torch.full((2, 2), 1.5))
        >>> costs.best(1), costs.best(2)
        ([(0, 0), (1, 1)], [(0, 0), (0, 1), (1, 1)])
        """
        _known(moves)
        integer("steps", steps, 1)
        wide = len(self.t_z)
        found = _shortest([self._table(moves)] * steps)
        if not found:
            raise ValueError(
                f"steps={steps} are none that a walk with {moves} moves has on {len(self.t_x) - 1} token and "
                f"{wide - 1} latent intervals"
            )
        return [divmod(at, wide) for at in found]

    def best_tokens(self, levels, moves: str = "any") -> list[tuple[int, int]]:
        """The walk (i, j) that is at `levels` j where its steps begin (0, ..., never falling), with
        the smallest token part of the `bound`: for Gaussian latents, whose own part says little of
        few steps (M12). A step that moves latents may leave the tokens where they are; with moves
        "sequential" it must, unless it is the last, and with "joint" none may. ValueError for other
        levels, and where there is no such walk.

        >>> half = torch.tensor([1.0, 0.0])
        >>> costs = StepCosts(half, half, 1 - half, torch.tensor([[3.0, 1.0]] * 2), torch.full((2, 2), 1.5))
        >>> costs.best_tokens([0]), costs.best_tokens([0, 1])
        ([(0, 0), (1, 1)], [(0, 0), (0, 1), (1, 1)])
        """
        last, wide = len(self.t_x) - 1, len(self.t_z)
        levels = schemas.items(schemas.whole(0, wide - 1))("levels", levels)
        _known(moves)
        if not levels or levels[0] != 0 or levels != sorted(levels):
            raise ValueError(f"levels must begin with 0 and never fall, got {levels}")
        i = torch.arange(last + 1)
        a = i.unsqueeze(1)
        tables = []
        for j, after in zip(levels, [*levels[1:], levels[-1]], strict=True):
            cost = (self.t_x[a] - self.t_x[i]).double() * self.tokens.double()[a, j]
            legal = (i > a) if after == j or moves == "joint" else (i == a) if moves == "sequential" else (i >= a)
            tables.append(torch.where(legal & (a < last), cost, torch.inf))
        found = _shortest(tables)
        if not found:
            raise ValueError(f"levels={levels} leave no walk with {moves} moves on {last} token intervals")
        return [*zip(found, [*levels, wide - 1], strict=True)]

    def schedule(self, walk) -> Schedule:
        """The knots of a walk; without latents (one t_z, 0) those of the tokens."""
        return Schedule([(float(self.t_x[i]), float(self.t_z[j])) for i, j in self._walk(walk)])

    def _walk(self, walk) -> list:
        last = schemas.whole(0, len(self.t_x) - 1), schemas.whole(0, len(self.t_z) - 1)
        return schemas.items(schemas.pair(*last), least=1)("walk", walk)

    def _table(self, moves: str = "any") -> torch.Tensor:
        """Cost of each step [S, S] between points i (J + 1) + j; inf where there is none."""
        last, wide = len(self.t_x) - 1, len(self.t_z)
        i, j = torch.arange(last + 1).repeat_interleave(wide), torch.arange(wide).repeat(last + 1)
        a, b = i.unsqueeze(1), j.unsqueeze(1)  # where a step begins
        t_x, gains = self.t_x.double(), self.gains.double()
        free = i == last
        cost = (t_x[a] - t_x[i]) * self.tokens.double()[a, b]
        cost = cost + torch.where(free, 0.0, (gains[j] - gains[b]) * self.latents.double()[a, b])
        legal = (i >= a) & (j >= b) & ((i > a) | (j > b)) & (a < last) & (~free | (j == wide - 1))
        if moves == "sequential":
            legal &= (i == 0) | (b == wide - 1)
        elif moves == "joint":
            legal &= (i > a) & (j > b)
        return torch.where(legal, cost, torch.inf)


def _known(moves: str) -> None:
    if moves not in MOVES:
        raise ValueError(f"moves must be one of {', '.join(MOVES)}; got {shown(moves)}")


def _shortest(tables: list[torch.Tensor]) -> list[int]:
    """The points of a path from the first to the last, whose step n has a cost in table n [S, S],
    with the least sum; none where all are inf."""
    total, came = tables[0][0], []
    for table in tables[1:]:
        total, best = (total.unsqueeze(1) + table).min(0)
        came.append(best)
    if not torch.isfinite(total[-1]):
        return []
    points = [len(total) - 1]
    for best in reversed(came):
        points.append(int(best[points[-1]]))
    return [0, *reversed(points)]

"""Paths of noise times (t_x, t_z) from clean (0, 0) to pure noise (1, 1), and the knots a sampler walks. METHOD 4."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .checks import integer, number

__all__ = ["Knot", "Path"]


@dataclass(frozen=True)
class Knot:
    """A point of a path: token noise time `t_x` and latent noise time `t_z`."""

    t_x: float
    t_z: float


@dataclass(frozen=True)
class Path:
    """The one-parameter family of paths (M10): `lead` in [0, 1/2] says how far the latents run ahead of the tokens.

    t_x = clip(u/(1-lead), 0, 1), t_z = clip((u-lead)/(1-lead), 0, 1). Where both move, t_z = t_x - gap with
    gap = lead/(1-lead): 0 is joint (the diagonal), 1 is sequential (latents first, tokens after).

    >>> Path(0.5).knots(token_steps=1, latent_steps=2)
    [Knot(t_x=1.0, t_z=1.0), Knot(t_x=1.0, t_z=0.5), Knot(t_x=1.0, t_z=0.0), Knot(t_x=0.0, t_z=0.0)]
    """

    lead: float = 0.5

    def __post_init__(self):
        number("lead", self.lead, 0.0, 0.5)

    @classmethod
    def joint(cls) -> Path:
        """Tokens and latents together: lead 0."""
        return cls(0.0)

    @classmethod
    def sequential(cls) -> Path:
        """Latents first, then tokens: lead 1/2."""
        return cls(0.5)

    @property
    def gap(self) -> float:
        """t_x - t_z where both channels move."""
        return self.lead / (1 - self.lead)

    def at(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(M10): times (t_x, t_z) at path parameters u in [0, 1].

        >>> Path(0.25).at(torch.tensor([0.5]))
        (tensor([0.6667]), tensor([0.3333]))
        """
        scale = 1 - self.lead
        return (u / scale).clamp(0, 1), ((u - self.lead) / scale).clamp(0, 1)

    def knots(self, token_steps: int, latent_steps: int = 0) -> list[Knot]:
        """The points a sampler visits, from pure noise to clean, for the given step budgets.

        Each channel moves at its own evenly spaced knots and rests in between; a token move waits for the latent moves
        before it. One segment = one network call, so the NFE is `nfe(...)` = len(knots) - 1. With latent_steps=0
        there is no latent channel and t_z is 0 throughout. Raises ValueError for budgets below 1 (0 for latents).

        >>> len(Path(0.0).knots(4, 4)), len(Path(0.5).knots(4, 4)), len(Path().knots(4))
        (5, 9, 5)
        """
        integer("token_steps", token_steps, minimum=1)
        integer("latent_steps", latent_steps, minimum=0)
        if latent_steps == 0:
            return [Knot(1 - k / token_steps, 0.0) for k in range(token_steps + 1)]
        scale = 1 - self.lead
        # parameter u at which a channel arrives at its k-th knot, and the time it then has
        token_at = [(scale * (1 - k / token_steps), 1 - k / token_steps) for k in range(1, token_steps + 1)]
        latent_at = [
            (self.lead + scale * (1 - k / latent_steps), 1 - k / latent_steps) for k in range(1, latent_steps + 1)
        ]
        events: dict[float, dict] = {}
        for name, moves in (("t_x", token_at), ("t_z", latent_at)):
            for u, t in moves:
                events.setdefault(round(u, 9), {})[name] = t
        knots = [Knot(1.0, 1.0)]
        for u in sorted(events, reverse=True):
            knots.append(Knot(events[u].get("t_x", knots[-1].t_x), events[u].get("t_z", knots[-1].t_z)))
        return knots

    def nfe(self, token_steps: int, latent_steps: int = 0) -> int:
        """Network calls of a sampler with these budgets.

        >>> Path.sequential().nfe(2, 16)
        18
        """
        return len(self.knots(token_steps, latent_steps)) - 1

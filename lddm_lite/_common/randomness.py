"""Seeded randomness: everything random in the library is drawn from an explicit `torch.Generator`.

So one integer repeats a run.
"""

from __future__ import annotations

import torch

from .arguments import integer

__all__ = ["draw_categorical", "generator", "rand", "randn"]

_DRAW_ENTRIES = 1 << 22  # float64 entries of one chunk of a categorical draw: 32 MiB


def draw_categorical(log_probs: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Categorical samples, one per row of `log_probs` [N, V] -> [N], by inverse CDF in float64
    (METHOD 7: float32 draws cut the tail). ValueError for a row that holds nan or no finite entry.

    >>> draw_categorical(torch.tensor([[0.0, -1e9], [-1e9, 0.0]]), torch.Generator().manual_seed(0))
    tensor([0, 1])
    """
    u = rand((len(log_probs), 1), g, log_probs, torch.float64)
    rows = max(1, _DRAW_ENTRIES // max(1, log_probs.shape[-1]))
    out = [log_probs.new_empty(0, dtype=torch.long)]
    for lp, v in zip(log_probs.split(rows), u.split(rows), strict=True):
        cdf = lp.double().softmax(-1).cumsum(-1)
        if not bool((cdf[:, -1] > 0.5).all()):  # without this, such a row would quietly become token 0
            raise ValueError("log_probs has a row with nan, +inf or only -inf: there is nothing to draw from")
        # scaling by the last entry makes the CDF end at exactly 1, so that rounding never yields an
        # id out of range
        out.append((v * cdf[:, -1:] >= cdf).sum(-1).clamp_max(lp.shape[-1] - 1))
    return torch.cat(out)


def generator(seed: int | torch.Generator, device: str | torch.device = "cpu") -> torch.Generator:
    """A `torch.Generator` from an integer seed (>= 0); a generator passes through unchanged.

    >>> generator(0).initial_seed()
    0
    """
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator(device=device).manual_seed(integer("seed", seed, minimum=0))


def rand(shape, g: torch.Generator, like: torch.Tensor | None = None, dtype=torch.float32) -> torch.Tensor:
    """Uniform [0,1) draws from `g`, made on the generator's device and moved to that of `like`."""
    out = torch.rand(shape, generator=g, device=g.device, dtype=dtype)
    return out if like is None else out.to(like.device)


def randn(shape, g: torch.Generator, like: torch.Tensor | None = None) -> torch.Tensor:
    """Standard normal draws from `g`, made on the generator's device and moved to that of `like`.
    """
    out = torch.randn(shape, generator=g, device=g.device)
    return out if like is None else out.to(like.device)

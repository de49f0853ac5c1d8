"""Binsaw, the factorisation task of arXiv 2510.18114: bits under a saw wave with a hidden shift."""

from __future__ import annotations

import math

import numpy as np
import torch

from .._common import arguments, schemas
from .._common.arguments import shown
from .mixture import MixtureTask

__all__ = ["Binsaw"]


class Binsaw(MixtureTask):
    """Bits x in {0,1}^L, independent given a hidden shift s ~ U[0,1):

        p(x_i = 1 | s) = eps + (1 - 2 eps) tri(((i/L + s) mod 1) saws mod 1),   tri(u) = 1 - |2u - 1|

    Source: METHOD section 8; defaults as in the paper. The law has period 1/saws in s, so the
    hidden mode is s mod 1/saws. p*(x) is an integral over that period. Its integrand is a
    polynomial between the kinks of the saws, so Gauss-Legendre nodes inside each piece turn the
    integral into a finite mixture that equals it to float64 rounding: the nodes are this task's
    mixture components.

    Arguments: `length` L >= 2, `saws` >= 1, `eps` in (0, 0.5), `mode_bins`: bins of the shift for
    mode coverage. Attributes: `shift` [G], the shift of each component, in [0, 1/saws).

    >>> task = Binsaw(length=8)
    >>> task.sample(4, seed=0).shape, len(task.labels)
    (torch.Size([4, 8]), 2)
    """

    name = "binsaw"

    def __init__(self, length: int = 128, saws: int = 2, eps: float = 0.01, mode_bins: int = 16):
        length = arguments.within("length", arguments.integer("length", length, 2))
        saws = arguments.integer("saws", saws, 1, 1024)
        mode_bins = arguments.integer("mode_bins", mode_bins, 2, 1 << 20)
        arguments.within("components", 4 * length * length * 2, "length: the probabilities that it makes")
        if not 0 < arguments.number("eps", eps) < 0.5:
            raise ValueError(f"eps must be in (0, 0.5), got {shown(eps)}")
        eps = float(eps)
        self._arguments = dict(length=length, saws=saws, eps=eps, mode_bins=mode_bins)
        self.saws, self.eps, self.period = saws, eps, 1.0 / saws
        self.shift, weight = _nodes(length, saws)
        p1 = self.bit_probs(self.shift)  # [G, L]
        modes = (self.shift * saws * mode_bins).long().clamp_max(mode_bins - 1)
        super().__init__(weight.log(), torch.stack([(1 - p1).log(), p1.log()], -1), modes, ["0", "1"])

    @schemas.checked(shift=schemas.floats)
    def bit_probs(self, shift) -> torch.Tensor:
        """p(x_i = 1 | s) for shifts [n]: [n, L], float64.

        >>> Binsaw(length=4, saws=1).bit_probs(torch.tensor([0.0])).round(decimals=3)
        tensor([[0.0100, 0.5000, 0.9900, 0.5000]], dtype=torch.float64)
        """
        shift = torch.as_tensor(shift, dtype=torch.float64)
        length = self._arguments["length"]
        at = (torch.arange(length, dtype=torch.float64) / length + shift.unsqueeze(-1)) % 1 * self.saws % 1
        return self.eps + (1 - 2 * self.eps) * (1 - (2 * at - 1).abs())

    def angle(self) -> torch.Tensor:
        """The hidden shift of each component as an angle in [0, 2 pi): [G]."""
        return 2 * math.pi * self.shift * self.saws

    def find_shift(self, x) -> torch.Tensor:
        """Posterior circular mean of the hidden shift of sequences [B, L]: [B], in [0, 1/saws).

        >>> task = Binsaw(length=32)
        >>> s = task.find_shift(task.sample(3, seed=0))
        >>> bool(((0 <= s) & (s < 0.5)).all())
        True
        """
        a, w = self.angle(), self.posterior(x)
        mean = torch.atan2(w @ a.sin(), w @ a.cos()) % (2 * math.pi)
        return mean / (2 * math.pi * self.saws) % self.period


def _nodes(length: int, saws: int, total: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    """Gauss-Legendre nodes and weights over one period of the shift, piecewise between the kinks of
    all p_i(s)."""
    period = 1.0 / saws
    half = np.arange(2) / (2 * saws)
    kinks = np.unique(np.round((half[None] - np.arange(length)[:, None] / length).ravel() % period, 12))
    kinks = np.unique(np.append(kinks[kinks < period - 1e-9], [0.0, period]))
    order = max(4, math.ceil(total / (len(kinks) - 1)))
    u, w = np.polynomial.legendre.leggauss(order)
    low, width = kinks[:-1, None], np.diff(kinks)[:, None]
    nodes, weights = low + width * (u + 1) / 2, width * w / 2 / period
    return torch.from_numpy(nodes.ravel()), torch.from_numpy(weights.ravel())

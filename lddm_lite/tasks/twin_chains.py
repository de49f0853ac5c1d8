"""Two chains of bits, and where they agree: a law with latents on which joint steps beat latents first."""

from __future__ import annotations

import math

import torch

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .mixture import MixtureTask

__all__ = ["TwinChains"]


class TwinChains(MixtureTask):
    """Two independent Markov chains u, v of `length` / 2 bits each, x = (u, v): a chain begins with
    even odds and then changes with probability `flip`.

    Its latents are where the two agree, z_j = 1[u_j = v_j], a code for each j. They are a chain
    themselves, so that they want many steps; given all of them each token is still even odds, and
    the tokens a chain, which wants many steps again. The entropy is
    2 (log 2 + (length / 2 - 1) h(flip)), h the binary entropy in nats.

    - `length`: even, 4 to 12; the components are all 2^length sequences.
    - `flip`: in (0, 0.5].

    >>> task = TwinChains(length=4)
    >>> task.agreement(torch.tensor([[0, 1, 1, 1]]))
    tensor([[0, 1]])
    """

    name = "twins"

    def __init__(self, length: int = 8, flip: float = 0.02):
        length = arguments.integer("length", length, 4, 12)
        if length % 2:
            raise ValueError(f"length must be even, half for each chain; got {length}")
        if not 0 < arguments.number("flip", flip) <= 0.5:
            raise ValueError(f"flip must be in (0, 0.5], got {shown(flip)}")
        flip = float(flip)
        self._arguments = dict(length=length, flip=flip)
        x = torch.arange(2**length).unsqueeze(1) >> torch.arange(length - 1, -1, -1) & 1  # all sequences
        changes = x.unflatten(1, (2, -1)).diff(dim=-1).abs().sum((1, 2)).double()
        log_prior = changes * math.log(flip) + (length - 2 - changes) * math.log(1 - flip)
        codes = self.agreement(x) @ (2 ** torch.arange(length // 2))  # the modes
        super().__init__(log_prior, torch.nn.functional.one_hot(x, 2).double().clamp_min(1e-300).log(), codes)
        h = -sum(q * math.log(q) for q in (flip, 1 - flip))
        self._entropy = Estimate(2 * (math.log(2) + (length // 2 - 1) * h))

    def agreement(self, x: torch.Tensor) -> torch.Tensor:
        """Where the two chains of sequences [B, L] agree: codes [B, L / 2], 0 or 1."""
        u, v = schemas.ids("x", x).chunk(2, dim=1)
        return (u == v).long()

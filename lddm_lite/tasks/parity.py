"""Blocks of even parity: what tokens share is in no pair of them, and copying some says nothing of
it."""

from __future__ import annotations

import math

import torch

from .._common import arguments
from .._common.arguments import shown
from .._common.estimate import Estimate
from .mixture import MixtureTask

__all__ = ["ParityBlocks"]


class ParityBlocks(MixtureTask):
    """Bits in `blocks` of `size`, each block of even parity before every bit is flipped with
    probability `noise`; else all are even odds.

    Any size - 1 bits of a block are independent, so that a latent which copies some of them lowers
    what tokens cost, and leaves all that they share: a gauge of latents that only asks how much
    tokens respond to them is fooled (METHOD 5). Per block the total correlation is
    log 2 - h((1 - (1 - 2 noise)^size) / 2), h the binary entropy in nats.

    - `blocks`, `size`: at most 16 bits go into the even strings, 2^((size - 1) blocks) of them.
    - `noise`: in [0, 0.5).

    >>> task = ParityBlocks(blocks=2, size=4)
    >>> task.length, bool(task.coherent(torch.tensor([[0, 1, 1, 0, 1, 1, 1, 1]])))
    (8, True)
    """

    name = "parity"

    def __init__(self, blocks: int = 4, size: int = 4, noise: float = 0.02):
        blocks, size = arguments.integer("blocks", blocks, 1), arguments.integer("size", size, 2)
        if not 0 <= arguments.number("noise", noise) < 0.5:
            raise ValueError(f"noise must be in [0, 0.5), got {shown(noise)}")
        noise = float(noise)
        free = (size - 1) * blocks
        if free > 16:
            raise ValueError(f"(size - 1) * blocks must be at most 16, got {free}")
        self._arguments = dict(blocks=blocks, size=size, noise=noise)
        self.blocks, self.size = blocks, size
        bits = torch.arange(2**free).unsqueeze(1) >> torch.arange(free) & 1  # every choice of the free bits
        bits = bits.reshape(-1, blocks, size - 1)
        whole = torch.cat([bits, bits.sum(-1, keepdim=True) % 2], -1).flatten(1).double()  # [G, L]
        p1 = (noise + (1 - 2 * noise) * whole).clamp(1e-300, 1)
        first = bits[:, 0] @ (2 ** torch.arange(size - 1))  # the modes: what the first block begins with
        log_probs = torch.stack([(1 - p1).clamp_min(1e-300).log(), p1.log()], -1)
        super().__init__(torch.zeros(len(bits)), log_probs, first, ["0", "1"])
        self._entropy = Estimate(self.length * math.log(2) - self.total_correlation())

    def coherent(self, x) -> torch.Tensor:
        """Bool [B]: has every block of sequences [B, L] even parity?"""
        x = arguments.tokens("x", x, self.length, self.vocab, mask_ok=True)
        return (x.reshape(-1, self.blocks, self.size).sum(-1) % 2 == 0).all(-1)

    def total_correlation(self) -> float:
        """sum_i H(x_i) - H(x), nats per sequence, in closed form.

        >>> round(ParityBlocks(blocks=1, size=4, noise=0.0).total_correlation(), 6)
        0.693147
        """
        odd = (1 - (1 - 2 * self._arguments["noise"]) ** self.size) / 2
        h = -sum(q * math.log(q) for q in (odd, 1 - odd) if q > 0)
        return self.blocks * (math.log(2) - h)

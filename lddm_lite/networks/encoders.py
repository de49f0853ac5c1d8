"""Learned encoders x_0 -> z_0, with the cures of METHOD 5 against collapse and blow-up.

The discrete one is in `codebook`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .._common import schemas
from ..config import Config
from .transformer import TwoStreamTransformer, sinusoid, start_small

__all__ = ["ContinuousEncoder"]


class ContinuousEncoder(nn.Module):
    """Transformer encoder, sequences [B, L] -> latents [B, m, d]: m latent queries read the tokens
    through a small two-stream transformer.

    The output is first centred and scaled by batch statistics (running ones in eval mode), so that
    the encoder cannot collapse to a constant, and then put on the sphere of radius sqrt(d), so that
    it cannot grow to escape the noise.

    >>> enc = ContinuousEncoder(Config.preset("co-seq", length=8, vocab=2, dim=4)).eval()
    >>> enc(torch.zeros(3, 8, dtype=torch.long)).pow(2).sum(-1).round().flatten()
    tensor([4., 4., 4.], grad_fn=<ViewBackward0>)
    """

    positions: torch.Tensor  # [L, W]

    @schemas.checked(config=schemas.is_a(Config))
    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab, c.width)
        self.register_buffer("positions", sinusoid(torch.arange(c.length), c.width), persistent=False)
        start_small(self)
        self.queries = nn.Parameter(torch.randn(c.slots, c.width))
        text = c.network != "plain"
        self.trunk = TwoStreamTransformer(c.width, c.encoder_blocks, c.heads, latent=True, timed=False, text=text)
        self.head = nn.Linear(c.width, c.dim)  # not zero-initialised: nothing could then move the latents apart
        self.centre = nn.BatchNorm1d(c.slots * c.dim, affine=False, momentum=0.05)

    @schemas.checked(x=schemas.integers)
    @schemas.fitting
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Centred latents on the sphere, [B, m, d]."""
        c = self.config
        h = self.embed(x) + self.positions[: x.shape[1]]
        _, y = self.trunk(h, self.queries.expand(len(x), -1, -1), tokens=False)
        y = self.head(F.layer_norm(y, y.shape[-1:]))  # [B, m, d]
        y = self.centre(y.flatten(1)).unflatten(1, (c.slots, c.dim))
        return math.sqrt(c.dim) * F.normalize(y, dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> z_0 [B, m, d]."""
        return self.features(x)

    @torch.no_grad()
    def settle(self, batches) -> None:
        """Recompute the running statistics as plain averages over `batches` of sequences, then
        leave train mode. Called when the encoder is frozen, so that the statistics belong to the
        final weights."""
        self.centre.reset_running_stats()
        self.centre.momentum, kept = None, self.centre.momentum
        self.train()
        for x in batches:
            self.features(x)
        self.centre.momentum = kept
        self.eval()

"""x_0 -> z_0: learned continuous and learned discrete encoders, with the cures of METHOD 5 against collapse and
blow-up.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .checks import generator, rand
from .config import Config
from .denoiser import Trunk, sinusoid, start_small

__all__ = ["ContinuousEncoder", "DiscreteEncoder", "make_encoder"]


class ContinuousEncoder(nn.Module):
    """Sequences [B, L] -> latents [B, m, d]: a small two-stream transformer whose m latent queries read the tokens.

    The output is first centred and scaled by batch statistics (running ones in eval mode), so that the encoder cannot
    collapse to a constant, and then put on the sphere of radius sqrt(d), so that it cannot grow to escape the noise.

    >>> enc = ContinuousEncoder(Config.preset("co-seq", length=8, vocab=2, dim=4)).eval()
    >>> enc(torch.zeros(3, 8, dtype=torch.long)).pow(2).sum(-1).round().flatten()
    tensor([4., 4., 4.], grad_fn=<ViewBackward0>)
    """

    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab, c.width)
        self.register_buffer("positions", sinusoid(torch.arange(c.length), c.width), persistent=False)
        start_small(self)
        self.queries = nn.Parameter(torch.randn(c.slots, c.width))
        self.trunk = Trunk(c.width, c.encoder_blocks, c.heads, latent=True, timed=False, text=c.network == "text")
        self.head = nn.Linear(c.width, c.dim)  # not zero-initialised: nothing could then move the latents apart
        self.centre = nn.BatchNorm1d(c.slots * c.dim, affine=False, momentum=0.05)

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
        """Recompute the running statistics as plain averages over `batches` of sequences, then leave train mode. Called
        when the encoder is frozen, so that the statistics belong to the final weights."""
        self.centre.reset_running_stats()
        self.centre.momentum, kept = None, self.centre.momentum
        self.train()
        for x in batches:
            self.features(x)
        self.centre.momentum = kept
        self.eval()


class DiscreteEncoder(ContinuousEncoder):
    """Sequences -> codes [B, m] of a K-entry codebook, by cosine-nearest vector quantisation of the sphere (METHOD 6).

    The codebook follows the features by exponential averages; codes that go unused are re-seeded from the batch. Call
    `quantise(x, g)` in training: it returns codes, straight-through vectors and the commitment loss.

    >>> enc = DiscreteEncoder(Config.preset("di-seq", length=8, vocab=2, codes=16)).eval()
    >>> enc(torch.zeros(3, 8, dtype=torch.long)).shape
    torch.Size([3, 1])
    """

    decay = 0.97
    commitment = 1.0
    dead_share = 0.1  # a code used less than this share of an even split is re-seeded
    late = False  # no codes until `settle`, which then finds them by k-means; set by `fit` (TrainConfig.late_codes)

    def __init__(self, config: Config):
        super().__init__(config)
        book = F.normalize(torch.randn(config.codes, config.dim), dim=-1) * math.sqrt(config.dim)
        self.register_buffer("codebook", book)  # [K, d], rows on the sphere of radius sqrt(d)
        self.register_buffer("usage", torch.full((config.codes,), 1.0 / config.codes))
        self.register_buffer("sums", book / config.codes)

    def nearest(self, features: torch.Tensor) -> torch.Tensor:
        """Codes [B, m] nearest in angle to features [B, m, d]."""
        return (features @ self.codebook.T).argmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> codes [B, m], int64."""
        return self.nearest(self.features(x))

    def quantise(self, x: torch.Tensor, g: torch.Generator):
        """Training pass: (codes [B, m], straight-through vectors [B, m, d], commitment loss [B])."""
        y = self.features(x)
        codes = self.nearest(y.detach())
        if self.late:
            return codes, y, torch.zeros(len(y), device=y.device)
        if self.training:
            self._follow(y.detach().flatten(0, 1), codes.flatten(), g)
        q = self.codebook[codes]
        commit = self.commitment * (y - q).pow(2).flatten(1).sum(1)
        return codes, y + (q - y).detach(), commit

    def settle(self, batches) -> None:
        """As for continuous latents; with `late` codes, the codebook is then made: k-means by angle of the features of
        `batches`, from centres drawn far apart (k-means++, Arthur & Vassilvitskii 2007). Source: METHOD 5, 6."""
        super().settle(batches)
        if self.late:
            with torch.no_grad():
                y = torch.cat([self.features(x) for x in batches]).flatten(0, 1)
                self.codebook.copy_(_k_means(y, len(self.codebook)))

    @torch.no_grad()
    def _follow(self, y: torch.Tensor, codes: torch.Tensor, g: torch.Generator) -> None:
        k, n = len(self.codebook), len(y)
        hits = torch.bincount(codes, minlength=k).float() / n
        self.usage.lerp_(hits, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, y) / n, 1 - self.decay)
        dead = self.usage < self.dead_share / k
        if dead.any():
            new = y[(rand((int(dead.sum()),), g, y) * n).long()]
            self.usage[dead], self.sums[dead] = 1.0 / k, new / k
        self.codebook.copy_(F.normalize(self.sums, dim=-1) * math.sqrt(y.shape[-1]))

    def perplexity(self, x: torch.Tensor) -> float:
        """exp of the entropy of code use over sequences [B, L], averaged over slots: codes effectively in use."""
        with torch.no_grad():
            p = F.one_hot(self(x), len(self.codebook)).double().mean(0)  # [m, K]
        return float((-(p * p.clamp_min(1e-12).log()).sum(-1)).exp().mean())


def _k_means(y: torch.Tensor, k: int, rounds: int = 10, seed: int = 0) -> torch.Tensor:
    """k centres [k, d] of points y [N, d] on a sphere, on that sphere."""
    g = generator(seed, y.device)
    centres = y[:1]
    gap = (y - centres).pow(2).sum(-1)  # [N], squared distance to the nearest centre
    for _ in range(k - 1):
        u = rand((1,), g, y, dtype=torch.float64)
        at = torch.searchsorted(gap.double().cumsum(0), u * gap.double().sum()).clamp_max(len(y) - 1)
        centres = torch.cat([centres, y[at]])
        gap = torch.minimum(gap, (y - y[at]).pow(2).sum(-1))
    for _ in range(rounds):
        of = (y @ centres.T).argmax(-1)
        sums = torch.zeros_like(centres).index_add_(0, of, y)
        used = torch.bincount(of, minlength=k) > 0
        centres = torch.where(used.unsqueeze(1), F.normalize(sums, dim=-1) * y[0].norm(), centres)
    return centres


def make_encoder(config: Config, labels) -> nn.Module | None:
    """The encoder a configuration asks for, a frozen one reading the `labels` as text; None without latents."""
    if config.encoder != "learned":
        from .frozen import FrozenEncoder
        from .frozenlatents import FrozenLatents

        return FrozenLatents(FrozenEncoder(config.encoder, config.slots, config.dim), labels)
    return {"none": lambda c: None, "continuous": ContinuousEncoder, "discrete": DiscreteEncoder}[config.latent](config)

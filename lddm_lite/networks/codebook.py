"""Vector quantisation: the discrete encoder and its codebook, updated by exponential moving
averages, over several processes too.

METHOD 5, 6.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .._common import schemas
from .._common.progress import bar
from .._common.protocols import Encoder
from .._common.randomness import generator, rand
from ..config import Config
from .encoders import ContinuousEncoder

__all__ = ["DiscreteEncoder"]

COMPARED = 1 << 24  # pairs of a vector and a code that are compared at once


class DiscreteEncoder(ContinuousEncoder):
    """Vector-quantised encoder: sequences -> codes [B, m] of a K-entry codebook, the cosine-nearest
    on the sphere (METHOD 6).

    The codebook follows the features by exponential averages; codes that go unused are re-seeded
    from the batch. Call `quantise(x, g)` in training: it returns codes, straight-through vectors
    and the commitment loss.

    >>> enc = DiscreteEncoder(Config.preset("di-seq", length=8, vocab=2, codes=16)).eval()
    >>> enc(torch.zeros(3, 8, dtype=torch.long)).shape
    torch.Size([3, 1])
    """

    decay = 0.97
    commitment = 1.0
    dead_share = 0.1  # a code used less than this share of an even split is re-seeded
    codebook: torch.Tensor  # [K, d], rows on the sphere of radius sqrt(d)
    usage: torch.Tensor  # [K], share of the inputs that took a code, averaged
    sums: torch.Tensor  # [K, d], of their features, averaged alike
    reseeded: torch.Tensor | None = None  # [K] bool: codes found dead, and replaced, in the last training pass
    late = False  # no codes until `settle`, which then finds them by k-means; set by `fit` (TrainConfig.late_codes)

    @schemas.checked(config=schemas.is_a(Config))
    def __init__(self, config: Config):
        super().__init__(config)
        book = F.normalize(torch.randn(config.codes, config.dim), dim=-1) * math.sqrt(config.dim)
        self.register_buffer("codebook", book)
        self.register_buffer("usage", torch.full((config.codes,), 1.0 / config.codes))
        self.register_buffer("sums", book / config.codes)

    @schemas.checked(features=schemas.reals)
    @schemas.fitting
    def nearest(self, features: torch.Tensor) -> torch.Tensor:
        """Codes [B, m] nearest in angle to features [B, m, d]."""
        return nearest(features, self.codebook)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences [B, L] -> codes [B, m], int64."""
        return self.nearest(self.features(x))

    @schemas.checked("g")
    def quantise(self, x: torch.Tensor, g: torch.Generator):
        """Training pass: (codes [B, m], straight-through vectors [B, m, d], commitment loss [B]).
        """
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
        """As for continuous latents; with `late` codes, the codebook is then made: `k_means`
        of the features of `batches`. Source: METHOD 5, 6."""
        super().settle(batches)
        if self.late:
            with torch.no_grad():
                y = torch.cat([self.features(x) for x in batches]).flatten(0, 1)
                self.codebook.copy_(k_means(y, len(self.codebook)))

    @torch.no_grad()
    def _follow(self, y: torch.Tensor, codes: torch.Tensor, g: torch.Generator) -> None:
        k, n = len(self.codebook), len(y)
        hits = torch.bincount(codes, minlength=k).float() / n
        self.usage.lerp_(hits, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, y) / n, 1 - self.decay)
        self.reseeded = dead = self.usage < self.dead_share / k
        if dead.any():
            new = y[(rand((int(dead.sum()),), g, y) * n).long()]
            self.usage[dead], self.sums[dead] = 1.0 / k, new / k
        self.codebook.copy_(F.normalize(self.sums, dim=-1) * math.sqrt(y.shape[-1]))

    def perplexity(self, x: torch.Tensor) -> float:
        """exp of the entropy of code use over sequences [B, L], averaged over slots: codes
        effectively in use."""
        with torch.no_grad():
            p = F.one_hot(self(x), len(self.codebook)).double().mean(0)  # [m, K]
        return float((-(p * p.clamp_min(1e-12).log()).sum(-1)).exp().mean())


def nearest(y: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
    """Codes [...], the rows of `book` [K, d] that are nearest in angle to y [..., d], both on a
    sphere."""
    parts = y.flatten(0, -2).split(max(1, COMPARED // len(book)))
    return torch.cat([(part @ book.T).argmax(-1) for part in parts]).view(y.shape[:-1])


def k_means(y: torch.Tensor, k: int, rounds: int = 10, seed: int = 0, progress: bool = False) -> torch.Tensor:
    """Centres [k, d] of points on a sphere, on that sphere: k-means by angle, from centres drawn far
    apart (k-means++, Arthur & Vassilvitskii 2007).

    - `y` [N, d]: the points;
    - `k`: how many centres;
    - `rounds`: of assigning points and moving centres;
    - `seed`: of the first centres;
    - `progress`: show bars.
    """
    g = generator(seed, y.device)
    centres = y[:1].repeat(k, 1)
    gap = (y - y[0]).pow(2).sum(-1)  # [N], squared distance to the nearest centre
    for j in bar(range(1, k), show=progress, desc="first centres", unit="centre", leave=False):
        far = gap.double().cumsum(0)
        at = torch.searchsorted(far, rand((1,), g, y, dtype=torch.float64) * far[-1]).clamp_max(len(y) - 1)
        centres[j] = y[at]
        gap = torch.minimum(gap, (y - y[at]).pow(2).sum(-1))
    for _ in bar(range(rounds), show=progress, desc="k-means", unit="round", leave=False):
        of = nearest(y, centres)
        sums = torch.zeros_like(centres).index_add_(0, of, y)
        used = torch.bincount(of, minlength=k) > 0
        centres = torch.where(used.unsqueeze(1), F.normalize(sums, dim=-1) * y[0].norm(), centres)
    return centres


class BufferMean:
    """Buffers averaged over micro-batches: each starts from the encoder's statistics, and the mean
    of what they become is kept.

    A codebook needs more: a code that a micro-batch found dead was replaced by a feature of its
    own. It counts as dead when all say so, and then takes the feature of one of them, since the
    mean of several is typical of none.
    """

    def __init__(self, encoder: Encoder, micro_batches: int):
        self.micro_batches = micro_batches
        self.codes = encoder if isinstance(encoder, DiscreteEncoder) else None
        self.live = {k: b for k, b in encoder.named_buffers() if b.is_floating_point()}
        self.before = {k: b.clone() for k, b in self.live.items()}
        self.sums = {k: torch.zeros_like(b) for k, b in self.live.items()}
        if self.codes is not None:
            self.sums["alive"] = torch.zeros_like(self.codes.usage)
            self.sums["fresh"] = torch.zeros_like(self.codes.sums)

    @torch.no_grad()
    def take(self, i: int) -> None:
        """Add what micro-batch i made of the buffers, and put them back."""
        new = {k: b.clone() for k, b in self.live.items()}
        if self.codes is not None:
            dead = self.codes.reseeded
            if dead is None:  # codes that come late follow nothing yet
                dead = torch.zeros_like(new["usage"], dtype=torch.bool)
            turn = torch.arange(len(dead), device=dead.device) % self.micro_batches == i
            new["fresh"] = new["sums"] * (dead & turn).unsqueeze(-1)
            new["alive"] = (~dead).float()
            new["usage"], new["sums"] = new["usage"] * ~dead, new["sums"] * (~dead).unsqueeze(-1)
        for name, b in new.items():
            self.sums[name] += b
        for name, b in self.live.items():
            b.copy_(self.before[name])

    @torch.no_grad()
    def put(self, add) -> None:
        """Write the means over all micro-batches of all processes; `add` sums a list of tensors
        over the processes."""
        total = dict(zip(self.sums, add(list(self.sums.values())), strict=True))
        mean = {k: total[k] / self.micro_batches for k in self.live}
        if self.codes is not None:
            k, d = self.live["codebook"].shape
            alive = total["alive"]
            n = alive.clamp_min(1)
            mean["usage"] = torch.where(alive > 0, total["usage"] / n, torch.full_like(n, 1.0 / k))
            rows = (alive > 0).unsqueeze(-1)
            mean["sums"] = torch.where(rows, total["sums"] / n.unsqueeze(-1), total["fresh"])
            mean["codebook"] = math.sqrt(d) * F.normalize(mean["sums"], dim=-1)
        for name, b in self.live.items():
            b.copy_(mean[name])

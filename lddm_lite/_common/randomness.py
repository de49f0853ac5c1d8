"""Seeded randomness: everything random in the library is drawn from an explicit source.

So one integer repeats a run. Data and training draw from a `torch.Generator`, one number after
another. The sampler and the bound draw from `Streams`, one stream of numbers a row, so that what
happens to a sequence depends neither on how many others there are nor on the batches they are in.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

import numpy as np
import torch

from . import schemas
from .arguments import integer, number

__all__ = [
    "Source", "Streams", "at_quantiles", "draw_categorical", "generator", "quantiles", "rand", "randn", "random_rows",
    "split_rows", "wide",
]  # fmt: skip

NO_FLOAT64 = {"mps"}  # kinds of devices that have none: what else is float64 is float32 there

_DRAW_ENTRIES = 1 << 22  # float64 entries of one chunk of a categorical draw: 32 MiB


class Streams:
    """Independent streams of random numbers, one a row: the row r of everything drawn comes from
    stream r of `seed` alone, on any device.

    Streams of another `purpose`, or of another step (`at`), are independent of these. Numbers are
    those of SplitMix64, a counter put through a mixer (Steele, Lea and Flood 2014), which starts
    elsewhere for each row.

    >>> few, many = Streams(0, range(2)), Streams(0, range(8))
    >>> bool((few.rand((2, 3)) == many.rand((8, 3))[:2]).all())
    True
    """

    device = torch.device("cpu")

    def __init__(self, seed: int, rows: Iterable[int], purpose: str = ""):
        start = integer("seed", seed, 0, 2**64 - 1) ^ zlib.crc32(purpose.encode()) << 32
        rows = np.fromiter(rows, np.uint64)
        self._keys = _mixed(_mixed(np.full(1, start, np.uint64)) + rows * _GOLDEN)
        self._drawn = 0

    def at(self, step: int) -> Streams:
        """Streams for one step: the same whatever was drawn from these before."""
        new = object.__new__(Streams)
        new._keys, new._drawn = _mixed(self._keys + np.uint64(integer("step", step, 0) + 1)), 0
        return new

    def bits(self, shape) -> np.ndarray:
        """Random 64-bit integers of `shape`, whose first axis is the rows'."""
        if shape[0] != len(self._keys):
            raise ValueError(f"shape must begin with {len(self._keys)} rows, a stream each; got {list(shape)}")
        n = math.prod(shape[1:])
        count = np.arange(self._drawn + 1, self._drawn + n + 1, dtype=np.uint64) * _GOLDEN
        self._drawn += n
        return _mixed(self._keys[:, None] + count).reshape(shape)

    def rand(self, shape, dtype=torch.float32) -> torch.Tensor:
        """Uniform draws from [0, 1)."""
        digits = 53 if dtype == torch.float64 else 24  # what the type holds: a rounded 1 would be out of range
        bits = self.bits(shape) >> np.uint64(64 - digits)
        return torch.from_numpy(bits.astype(np.float64) * 2.0**-digits).to(dtype)

    def randn(self, shape) -> torch.Tensor:
        """Standard normal draws, the quantiles of uniform ones."""
        middle = (self.bits(shape) >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53  # never 0 or 1
        return torch.special.ndtri(torch.from_numpy(middle)).float()


Source = torch.Generator | Streams  # what random numbers are drawn from

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's mixer: each bit of the result depends on every bit of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw_categorical(log_probs: torch.Tensor, g: Source, where: torch.Tensor | None = None) -> torch.Tensor:
    """Categorical samples, one per row of `log_probs` [N, V] -> [N], by inverse CDF in float64
    (METHOD 7: float32 draws cut the tail). `where` [B, L]: the N places that they are for, in
    row-major order; each place has a number of its own. ValueError for a row that holds nan or no
    finite entry.

    >>> draw_categorical(torch.tensor([[0.0, -1e9], [-1e9, 0.0]]), torch.Generator().manual_seed(0))
    tensor([0, 1])
    """
    at = torch.ones(len(log_probs), 1, dtype=torch.bool) if where is None else where
    return at_quantiles(log_probs, quantiles(at, g))


def quantiles(where: torch.Tensor, g: Source) -> torch.Tensor:
    """A uniform number from [0, 1) for each True in `where` [B, L], in row-major order: [N],
    float64. Each place has a number of its own, whichever of them are asked for.

    >>> quantiles(torch.tensor([[True, False, True]]), torch.Generator()).shape
    torch.Size([2])
    """
    return rand(where.shape, g, dtype=torch.float64).cpu()[where.cpu()]


def at_quantiles(log_probs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The category of each row of `log_probs` [N, V] at the quantile u [N]: [N]. ValueError as for
    `draw_categorical`.

    >>> at_quantiles(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0.6]))
    tensor([1])
    """
    u = u.unsqueeze(-1)
    u = (u.float() if log_probs.device.type in NO_FLOAT64 else u).to(log_probs.device)
    rows = max(1, _DRAW_ENTRIES // max(1, log_probs.shape[-1]))
    out = [log_probs.new_empty(0, dtype=torch.long)]
    for lp, v in zip(log_probs.split(rows), u.split(rows), strict=True):
        cdf = wide(lp).softmax(-1).cumsum(-1)
        if not bool((cdf[:, -1] > 0.5).all()):  # without this, such a row would quietly become token 0
            raise ValueError("log_probs has a row with nan, +inf or only -inf: there is nothing to draw from")
        # scaling by the last entry makes the CDF end at exactly 1, so that rounding never yields an
        # id out of range
        out.append((v * cdf[:, -1:] >= cdf).sum(-1).clamp_max(lp.shape[-1] - 1))
    return torch.cat(out)


def wide(x: torch.Tensor) -> torch.Tensor:
    """`x` in float64, or float32 on a device that has no float64.

    >>> wide(torch.zeros(1)).dtype
    torch.float64
    """
    return x.float() if x.device.type in NO_FLOAT64 else x.double()


def generator(seed: int | torch.Generator, device: str | torch.device = "cpu") -> torch.Generator:
    """A `torch.Generator` from an integer seed (>= 0); a generator passes through unchanged.

    >>> generator(0).initial_seed()
    0
    """
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator(device=device).manual_seed(integer("seed", seed, 0, 2**64 - 1))


def rand(shape, g: Source, like: torch.Tensor | None = None, dtype=torch.float32) -> torch.Tensor:
    """Uniform [0,1) draws from `g`, made on its own device and moved to that of `like`."""
    if isinstance(g, Streams):
        out = g.rand(shape, dtype)
    else:
        out = torch.rand(shape, generator=g, device=g.device, dtype=dtype)
    return out if like is None else out.to(like.device)


def randn(shape, g: Source, like: torch.Tensor | None = None) -> torch.Tensor:
    """Standard normal draws from `g`, made on its own device and moved to that of `like`."""
    out = g.randn(shape) if isinstance(g, Streams) else torch.randn(shape, generator=g, device=g.device)
    return out if like is None else out.to(like.device)


@schemas.checked("seed", n=schemas.whole(1, limit="samples"))
def random_rows(of: int, n: int, seed: int | torch.Generator) -> torch.Tensor:
    """Bootstrap sample: numbers of `n` rows out of so many, with replacement: [n], int64.

    >>> random_rows(1, 3, seed=0)
    tensor([0, 0, 0])
    """
    u = rand((n,), generator(seed), dtype=torch.float64).cpu()
    return (u * of).long()


@schemas.checked("seed")
def split_rows(n: int, fraction: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Train-validation split: numbers of n rows, rising: those to train on, and a random
    `fraction`, at least one, that is held out. ValueError for fewer than two rows, and a fraction
    outside (0, 1).

    >>> rest, held = split_rows(4, 0.3, seed=0)
    >>> sorted([*rest.tolist(), *held.tolist()]), len(held)
    ([0, 1, 2, 3], 1)
    """
    number("fraction", fraction, above=0, below=1)
    if n < 2:
        raise ValueError(f"a split needs at least 2 sequences; there is {n}")
    order = torch.randperm(n, generator=generator(seed))
    count = min(n - 1, max(1, round(fraction * n)))
    return order[count:].sort().values, order[:count].sort().values

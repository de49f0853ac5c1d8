"""A shuffle of 0..n-1 that is computed, not stored: the same memory for ten numbers and for ten billion."""

from __future__ import annotations

import numpy as np

from . import checks

__all__ = ["Permutation"]

ROUNDS = 6


class Permutation:
    """A seeded random-looking permutation of 0..n-1; `p(i)` takes and gives int64 arrays.

    A Feistel network (Luby & Rackoff 1988) permutes the smallest square 2^h x 2^h that holds n numbers; where it
    leads outside, it is applied again until it is back inside (Black & Rogaway 2002), four times at most on average.
    Good for shuffling data, not for secrets. ValueError for n < 1 or a bad seed.

    >>> sorted(Permutation(5, seed=0)(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, n: int, seed: int = 0):
        self.n = checks.integer("n", n, minimum=1, maximum=2**62)
        self._half = max(1, ((self.n - 1).bit_length() + 1) // 2)
        start = np.uint64(checks.integer("seed", seed, minimum=0) % 2**64)
        self._keys = _mix(start + np.arange(1, ROUNDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))

    def __call__(self, i) -> np.ndarray:
        i = np.asarray(i, dtype=np.int64)
        if i.size and (i.min() < 0 or i.max() >= self.n):
            raise ValueError(f"i must lie in 0..{self.n - 1}, got {i.min()}..{i.max()}")
        out = self._once(i.astype(np.uint64))
        while (outside := out >= self.n).any():
            out[outside] = self._once(out[outside])
        return out.astype(np.int64)

    def _once(self, x: np.ndarray) -> np.ndarray:
        half, mask = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = x >> half, x & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return np.atleast_1d((left << half) | right).reshape(x.shape)


def _mix(x: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele et al. 2014); unsigned overflow is meant."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

"""Scores of samples of a task that no likelihood gives: sliced Wasserstein distance."""

from __future__ import annotations

import torch

from .._common.randomness import generator, randn

__all__ = ["sliced_wasserstein"]


def sliced_wasserstein(a: torch.Tensor, b: torch.Tensor, directions: int = 128, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance between two sample sets [n, D] of equal size, over random unit
    directions.

    Source: Bonneel et al. 2015. In units of the data; 0 for equal sets, not in nats.

    >>> sliced_wasserstein(torch.eye(4), torch.eye(4))
    0.0
    """
    a, b = a.double(), b.double()
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    w = randn((a.shape[1], directions), generator(seed)).double()
    w = w / w.norm(dim=0)
    gap = (a @ w).sort(0).values - (b @ w).sort(0).values
    return float(gap.pow(2).mean(0).mean().sqrt())

"""Metrics of sampled tokens: unigram entropy."""

from __future__ import annotations

import torch

from .._common import schemas
from .._common.arguments import shown

__all__ = ["unigram_entropy"]


@schemas.checked(
    x=schemas.tensor, vocab=schemas.whole(1, limit="vocab"), pad_id=schemas.maybe(schemas.whole(0)),
)  # fmt: skip
def unigram_entropy(x: torch.Tensor, vocab: int, pad_id: int | None = None) -> float:
    """Entropy in nats of the token frequencies in samples [B, L], padding left out.

    >>> round(unigram_entropy(torch.tensor([[0, 1]]), vocab=2), 4)
    0.6931
    """
    x = x.flatten()
    odd = x.is_floating_point() or x.is_complex() or x.dtype == torch.bool
    if odd or (x.numel() and not 0 <= int(x.min()) <= int(x.max()) < vocab):
        raise ValueError(f"x must hold token ids 0..{vocab - 1}, got {shown(x)}")
    if pad_id is not None:
        x = x[x != pad_id]
    p = torch.bincount(x, minlength=vocab).double() / max(1, len(x))
    return float(-(p[p > 0] * p[p > 0].log()).sum())

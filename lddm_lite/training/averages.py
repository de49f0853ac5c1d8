"""Exponential moving average of the weights, held by a model for a while."""

from __future__ import annotations

from contextlib import contextmanager

import torch

from .._common.modes import evaluating
from .._common.protocols import Module

__all__ = ["averaged"]


@contextmanager
def averaged(model: Module, params, ema):
    """Within this block the model holds the averaged weights `ema`, in eval mode; afterwards its
    own again, also after an error.

    >>> layer = torch.nn.Linear(1, 1)
    >>> with averaged(layer, list(layer.parameters()), [torch.zeros(1, 1), torch.zeros(1)]):
    ...     layer(torch.ones(1)).item()
    0.0
    """
    kept = [p.detach().clone() for p in params]
    try:
        with torch.no_grad():
            for p, e in zip(params, ema, strict=True):
                p.copy_(e)
        with evaluating(model):
            yield model
    finally:
        with torch.no_grad():
            for p, k in zip(params, kept, strict=True):
                p.copy_(k)

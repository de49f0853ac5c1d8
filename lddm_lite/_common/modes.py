"""Evaluation mode as a context: dropout and batch statistics off, then each module as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from .protocols import Module

__all__ = ["evaluating"]

M = TypeVar("M", bound=Module)


@contextmanager
def evaluating(model: M) -> Iterator[M]:
    """Within this block all modules of `model` are in evaluation mode; afterwards each is in its
    own mode again, also after an error.

    >>> import torch
    >>> layers = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout().eval())
    >>> with evaluating(layers):
    ...     layers[0].training
    False
    >>> layers[0].training, layers[1].training
    (True, False)
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode

"""Estimates: a mean with its standard error, as every measured figure of the library has one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error (0 when the value is exact), in nats unless a name says
    otherwise.

    >>> print(Estimate(1.5, 0.01))
    1.500 ± 0.010
    """

    value: float
    stderr: float = 0.0

    @classmethod
    def of(cls, samples: torch.Tensor) -> Estimate:
        """Mean and standard error over independent values [n].

        >>> Estimate.of(torch.tensor([1.0, 3.0]))
        Estimate(value=2.0, stderr=1.0)
        """
        s = samples.detach().double().flatten()
        return cls(float(s.mean()), float(s.std() / math.sqrt(len(s))) if len(s) > 1 else float("nan"))

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3f}" if self.stderr == 0 else f"{self.value:.3f} ± {self.stderr:.3f}"

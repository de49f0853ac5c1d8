"""Estimates: a mean with its standard error, as every measured figure of the library has one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from . import schemas

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

    def __post_init__(self):
        for name, least in (("value", None), ("stderr", 0.0)):  # infinite and nan where there is no telling
            given = getattr(self, name)
            if not isinstance(given, float):
                object.__setattr__(self, name, schemas.number(least)(name, given))
            elif least is not None and given < 0:
                raise ValueError(f"{name} must be 0 or more, got {given}")

    @classmethod
    @schemas.checked(samples=schemas.floats)
    def of(cls, samples: torch.Tensor) -> Estimate:
        """Mean and standard error over independent values [n].

        >>> Estimate.of(torch.tensor([1.0, 3.0]))
        Estimate(value=2.0, stderr=1.0)
        """
        s = samples.detach().double().flatten()
        return cls(float(s.mean()), float(s.std() / math.sqrt(len(s))) if len(s) > 1 else float("nan"))

    @classmethod
    @schemas.checked(
        samples=schemas.line, group=schemas.tensor, weights=schemas.maybe(schemas.line),
    )  # fmt: skip
    def of_groups(cls, samples: torch.Tensor, group: torch.Tensor, weights: torch.Tensor | None = None) -> Estimate:
        """Mean of values [n], or sum of values over sum of `weights` [n], with a standard error from
        independent groups: `group` [n] numbers that of each value from 0. Within a group values may
        depend on each other, and so may a value and its weight.

        >>> Estimate.of_groups(torch.tensor([1.0, 1.0, 3.0, 3.0]), torch.tensor([0, 0, 1, 1]))
        Estimate(value=2.0, stderr=1.0)
        """
        s = samples.detach().double().cpu()
        if group.shape != s.shape or group.is_floating_point() or group.is_complex() or group.dtype == torch.bool:
            raise ValueError(f"group must hold {len(s)} integers, a group for each of the samples, got {group}")
        if not 0 <= int(group.min()) <= int(group.max()) < len(s):
            raise ValueError(f"group must number the groups from 0, below {len(s)}, got {group}")
        w = torch.ones_like(s) if weights is None else weights.double().cpu()
        value = float(s.sum() / w.sum())
        n = int(group.max()) + 1
        off = torch.zeros(n, dtype=torch.float64).index_add(0, group.cpu(), s - value * w)
        spread = math.sqrt(float(off.pow(2).sum()) * n / (n - 1)) if n > 1 else float("nan")
        return cls(value, spread / float(w.sum()))

    def exp(self) -> Estimate:
        """Its exponential, the error by the delta method: of nats per token, the perplexity.

        >>> print(Estimate(0.0, 0.01).exp())
        1.000 ± 0.010
        """
        value = math.exp(self.value) if self.value < 700 else math.inf
        return Estimate(value, value * self.stderr)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3f}" if self.stderr == 0 else f"{self.value:.3f} ± {self.stderr:.3f}"

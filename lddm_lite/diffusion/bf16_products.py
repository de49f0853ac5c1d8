"""Products of bfloat16 matrices on a CPU, as training in that precision makes them: the shapes and
layouts that oneDNN is fast at.

Under autocast both factors are rounded; outside of it, where `training.precision` allows that too,
products of float32 matrices round theirs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["evened", "factor", "linear", "padded"]

MULTIPLE = 64  # numbers of rows are rounded up to it: 3 % more of a usual batch


def _rounds(t: torch.Tensor) -> bool:
    return t.device.type == "cpu" and torch.get_float32_matmul_precision() == "medium"


def factor(t: torch.Tensor) -> torch.Tensor:
    """A matrix as a product reads it: one that is a factor twice is better rounded once.

    >>> factor(torch.ones(2, 2)).dtype
    torch.float32
    """
    return t.bfloat16() if _rounds(t) else t


def _spare(rows: torch.Tensor) -> int:
    """Rows to be added. oneDNN writes a kernel for each new shape, which takes about as long as the
    product, and keeps the latest thousand; the number of masked tokens is another one in each step."""
    return -len(rows) % MULTIPLE if _rounds(rows) else 0


def padded(rows: torch.Tensor) -> torch.Tensor:
    """Rows [N, W] with spare ones behind, which are 0.

    >>> padded(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """
    spare = _spare(rows)
    return F.pad(rows, (0, 0, 0, spare)) if spare else rows


def evened(at: torch.Tensor) -> torch.Tensor:
    """Indices of rows [N], with the first one again for each spare row.

    >>> evened(torch.tensor([5, 7]))
    tensor([5, 7])
    """
    spare = _spare(at)
    return torch.cat([at, at[:1].expand(spare)]) if spare else at


def linear(layer: nn.Linear, rows: torch.Tensor) -> torch.Tensor:
    """A layer's output for rows [N, W].

    >>> linear(nn.Linear(2, 3), torch.ones(5, 2)).shape
    torch.Size([5, 3])
    """
    if rows.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled():
        return _Linear.apply(rows, layer.weight, layer.bias)
    return layer(rows)


class _Linear(torch.autograd.Function):
    """The same by bfloat16 products. That of the weights' gradient reads a factor along its columns,
    which takes longer than copying the narrower one first."""

    @staticmethod
    def forward(ctx, rows, weight, bias):
        rows, weight = rows.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rows, weight)
        return F.linear(rows, weight, bias.bfloat16())

    @staticmethod
    def backward(ctx, g):
        rows, weight = ctx.saved_tensors
        narrow = rows.shape[1] < g.shape[1]
        dw = (rows.T.contiguous() @ g).T if narrow else g.T.contiguous() @ rows
        return g @ weight, dw, g.sum(0)

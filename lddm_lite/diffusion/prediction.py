"""The output of a denoiser: a prediction of clean tokens and clean latents.

Log-probabilities of N positions over V tokens are the largest thing there is at a large vocabulary.
They are written out in pieces, of which `limit` bounds the size, by what trains, draws or measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F

from .._common import arguments, schemas
from .bf16_products import factor, padded

__all__ = ["Head", "Prediction", "limit"]

MEGABYTES = 256  # of log-probabilities that are held at once, by default
_held = MEGABYTES


def limit(megabytes: int | None = None) -> int:
    """Memory limit: set how many megabytes of log-probabilities, of tokens, are held at once; None
    leaves it. Returns what holds from now on, in this process. A draw and a training step need up to
    three times as much; both slow down little, while a piece is hundreds of rows.

    >>> limit()
    256
    """
    global _held
    _held = _held if megabytes is None else arguments.integer("megabytes", megabytes, minimum=1)
    return _held


@dataclass(frozen=True)
class Head:
    """Lazy output layer, logits that are not written out: of `features` [N, W], by the last layer,
    `weight` [V, W] and `bias` [V]. Without gradients where there were none when it was made."""

    features: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    offset: torch.Tensor | None = None  # [N, V], added to them
    grad: bool = field(default_factory=torch.is_grad_enabled)

    def logits(self, at: slice) -> torch.Tensor:
        """Those of some positions: [n, V]."""
        with torch.set_grad_enabled(self.grad and torch.is_grad_enabled()):
            out = F.linear(self.features[at], self.weight, self.bias)
            return out if self.offset is None else out + self.offset[at]

    @property
    def rows(self) -> int:
        """How many positions make a piece."""
        return max(1, _held * (1 << 18) // len(self.weight))


class Prediction:
    """Output of a denoiser. `tokens`: log-probabilities [N, V], one row per asked position in
    row-major order, or a `Head` that gives them, or None. `latents`: z_hat [B, m, d] (continuous),
    code log-probabilities [B, m, K] (discrete), or None.

    >>> said = Prediction(torch.tensor([[0.25, 0.75]]).log(), None)
    >>> said.nll(torch.tensor([1])), [piece.shape for piece in said.pieces()]
    (tensor([0.2877]), [torch.Size([1, 2])])
    """

    @schemas.checked(
        tokens=schemas.maybe(schemas.one_of(schemas.is_a(Head), schemas.reals)), latents=schemas.maybe(schemas.reals)
    )
    def __init__(self, tokens: torch.Tensor | Head | None, latents: torch.Tensor | None):
        self._tokens, self.latents = tokens, latents

    @property
    def tokens(self) -> torch.Tensor | None:
        """Log-probabilities [N, V], all of them at once."""
        if isinstance(self._tokens, Head):
            self._tokens = self._tokens.logits(slice(None)).log_softmax(-1)
        return self._tokens

    @schemas.checked(rows=schemas.maybe(schemas.integers), sequences=schemas.integers)
    @schemas.fitting
    def taken(self, rows: torch.Tensor | None, sequences: torch.Tensor) -> Prediction:
        """The prediction of tokens at some of the N positions, or None, and of the latents of some
        sequences, by their numbers; any of them may occur several times."""
        said = self._tokens
        if isinstance(said, Head):
            offset = None if said.offset is None or rows is None else said.offset[rows]
            said = None if rows is None else replace(said, features=said.features[rows], offset=offset)
        elif said is not None:
            said = None if rows is None else said[rows]
        return Prediction(said, None if self.latents is None else self.latents[sequences])

    def pieces(self) -> Iterator[torch.Tensor]:
        """The same, [n, V] at a time, to draw from: a quarter of the limit, since a draw makes more
        of them, the next piece among these."""
        said = self._tokens
        if isinstance(said, Head):
            rows = max(1, said.rows // 4)
            yield from (
                said.logits(slice(a, a + rows)).log_softmax(-1) for a in range(0, max(1, len(said.features)), rows)
            )
        elif said is not None:
            yield said

    @schemas.checked(ids=schemas.integers)
    @schemas.fitting
    def nll(self, ids: torch.Tensor) -> torch.Tensor:
        """-log p of the tokens `ids` [N]: [N]."""
        said = self._tokens
        if not isinstance(said, Head):
            assert said is not None
            return -said.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        if said.offset is not None:  # which is as large, and there
            return F.cross_entropy(said.logits(slice(None)), ids, reduction="none")
        features = padded(said.features)
        ids = F.pad(ids, (0, len(features) - len(ids)))
        with torch.set_grad_enabled(said.grad and torch.is_grad_enabled()):
            return _CrossEntropy.apply(features, said.weight, said.bias, ids, said.rows)[: len(said.features)]


class _CrossEntropy(torch.autograd.Function):
    """-log p of tokens. For the gradient one array [N, V] is kept, which was needed anyway; where that
    is more than a piece, none is, and it is made again."""

    @staticmethod
    def forward(ctx, x, weight, bias, ids, rows):
        ctx.rows, slope = rows, None
        if len(x) <= rows and any(ctx.needs_input_grad):
            nll, slope = _nll_and_slope(F.linear(x, weight, bias), ids)
        else:
            pieces = zip(x.split(rows), ids.split(rows), strict=True)
            nll = torch.cat([F.cross_entropy(F.linear(v, weight, bias), k, reduction="none") for v, k in pieces])
        ctx.save_for_backward(x, weight, bias, ids, None if slope is None else factor(slope))
        return nll

    @staticmethod
    def backward(ctx, g):
        x, weight, bias, ids, slope = ctx.saved_tensors
        dx, sums = torch.empty_like(x), list[torch.Tensor]()
        for at in torch.arange(len(x), device=x.device).split(ctx.rows):
            d = factor(_nll_and_slope(F.linear(x[at], weight, bias), ids[at])[1]) if slope is None else slope
            each = g[at].unsqueeze(-1)  # times rows of W numbers, rather than of V
            dx[at] = (d @ factor(weight)) * each
            part = [(d.T @ factor(x[at] * each)).to(weight), (d.T @ factor(g[at])).to(bias)]
            sums = [a.add_(b) for a, b in zip(sums, part, strict=True)] if sums else part
        return dx, *sums, None, None


def _nll_and_slope(logits: torch.Tensor, ids: torch.Tensor):
    """-log p of `ids` [N] by logits [N, V], and its derivative by these, p less the one of the id."""
    slope = logits.softmax(-1)
    log_sum = logits.amax(-1) - slope.amax(-1).log()  # of their exponentials: no p vanishes that is looked at
    at = ids.unsqueeze(-1)
    nll = log_sum - logits.gather(-1, at).squeeze(-1)
    return nll, slope.scatter_add_(-1, at, slope.new_full((), -1.0).expand_as(at))

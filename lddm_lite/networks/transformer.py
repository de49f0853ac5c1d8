"""The transformer with two streams, tokens and latents, and joint attention between them."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .._common import schemas
from ..diffusion.bf16_products import evened

__all__ = ["TwoStreamTransformer", "sinusoid"]

SMALL = 0.15  # scale of token embeddings and positions at the start, in networks for text


def sinusoid(at: torch.Tensor, width: int, longest: float = 10_000.0) -> torch.Tensor:
    """Sinusoidal embedding [..., width] of positions or rescaled times `at` [...], at unit scale
    (METHOD 5: positions much smaller than the token embeddings are not learned from)."""
    half = (width + 1) // 2
    freq = torch.exp(-math.log(longest) * torch.arange(half, device=at.device) / half)
    angle = at.float().unsqueeze(-1) * freq
    return math.sqrt(2) * torch.cat([angle.cos(), angle.sin()], -1)[..., :width]


class StreamBlock(nn.Module):
    """Transformer block of one stream, with adaLN gates. They start at zero, so that a block starts
    as the identity; without `timed` and with `opened`, at one."""

    @schemas.checked(
        width=schemas.whole(1, limit="width"), heads=schemas.whole(1), timed=schemas.boolean,
        opened=schemas.boolean,
    )  # fmt: skip
    def __init__(self, width: int, heads: int, timed: bool, opened: bool = False):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation: nn.Linear | nn.Parameter
        if timed:
            self.modulation = nn.Linear(width, 6 * width)
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)
        else:
            self.modulation = nn.Parameter(torch.zeros(6 * width))
            if opened:  # as plain numbers they would need a thousand steps to open; made from times, they open at once
                with torch.no_grad():
                    self.modulation.view(6, width)[[2, 5]] = 1.0

    def begin(self, h: torch.Tensor, cond):
        """qkv [B, n, 3 width] of h [B, n, width], and six adaLN parameters [B, 1, width]; [width]
        without `cond`."""
        made = self.modulation(cond).unsqueeze(1) if isinstance(self.modulation, nn.Linear) else self.modulation
        m = made.chunk(6, -1)
        return self.qkv(_modulated(h, m[0], m[1])), m

    def finish(self, h: torch.Tensor, m, attended: torch.Tensor, where=None) -> torch.Tensor:
        """Residual updates of h [B, n, width] from attention output [B, n, width] and the MLP. With
        `where` [B, n] bool they are made for those N positions alone: [N, width]."""
        m, n = m[2:], None
        if where is not None:
            at = where.flatten().nonzero().squeeze(1)  # [N], indices into B*n
            n, at = len(at), evened(at)
            h, attended = (t.flatten(0, 1).index_select(0, at) for t in (h, attended))
            if m[0].dim() == 3:  # of each sequence
                m = [p.squeeze(1).index_select(0, at // where.shape[1]) for p in m]
        gate1, scale, shift, gate2 = m
        h = _gated(h, gate1, self.out, attended)
        # the exact GELU: on CPUs, where nobody has made it fast by vectors, that by tanh takes 3 to 5 times as long
        return _gated(h, gate2, self.down, F.gelu(self.up(_modulated(h, scale, shift))))[:n]


def _modulated(h: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """The normalised h, scaled and shifted: in one pass where that is the same for all rows."""
    if scale.dim() == 1:
        return F.layer_norm(h, h.shape[-1:], 1 + scale, shift)
    return torch.addcmul(shift, F.layer_norm(h, h.shape[-1:]), 1 + scale)


def _gated(h: torch.Tensor, gate: torch.Tensor, last: nn.Linear, inner: torch.Tensor) -> torch.Tensor:
    """h plus the output of a layer times a gate: of its weights, where that is the same for all
    rows, for they are fewer."""
    if gate.dim() == 1:
        return h + F.linear(inner, gate.unsqueeze(1) * last.weight, gate * last.bias)
    return torch.addcmul(h, gate, last(inner))


def _attention(qkv: torch.Tensor, heads: int, turn=None, first: int | None = None) -> torch.Tensor:
    """Attention of n positions to each other, from [B, n, 3 width] to [B, n, width]; with `first`,
    of that many first positions to all, [B, first, width]. `turn`: see `rotation`."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # [B, heads, n, width/heads] each
    if turn is not None:
        q, k = _Turned.apply(q, *turn), _Turned.apply(k, *turn)
    return attend(q[:, :, :first], k, v).transpose(1, 2).flatten(2)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Scaled dot-product attention of queries to keys and values [B, heads, n, d]; `mask`, bool that
    broadcasts to [B, heads, n, n], False where a key is not seen.

    >>> attend(*torch.ones(3, 1, 1, 2, 4).unbind()).shape
    torch.Size([1, 1, 2, 4])
    """
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled():  # its gradient is slow there
        score = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        score = score if mask is None else score.masked_fill(~mask, -torch.inf)
        return score.softmax(-1).to(v) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def rotation(slots: int, length: int, dim: int, like: torch.Tensor, longest: float = 10_000.0):
    """Rotary position embedding: cos and sin [slots + length, dim/2] of the angles by which queries
    and keys are turned, so that products depend on distances between positions (Su et al. 2021,
    arXiv 2104.09864).

    - `slots`: latent slots, which come first, have no position and are not turned;
    - `length`: tokens;
    - `dim`: coordinates of a head;
    - `like`: a tensor of the wanted device and dtype;
    - `longest`: the longest wave, in positions, over 2 pi.

    >>> cos, sin = rotation(1, 3, 4, torch.zeros(1))
    >>> cos.shape, sin[:2].abs().max()
    (torch.Size([4, 2]), tensor(0.))
    """
    at = torch.arange(length, device=like.device, dtype=torch.float32)
    half = torch.arange(dim // 2, device=like.device)
    angle = F.pad(at.unsqueeze(1) * torch.exp(-math.log(longest) * half / len(half)), (0, 0, slots, 0))
    return angle.cos().to(like), angle.sin().to(like)


class _Turned(torch.autograd.Function):
    """t [B, heads, n, d], pair by pair of its halves turned by `rotation`; the gradient is turned
    back. Without it autograd would take three times as many passes over memory."""

    @staticmethod
    def forward(ctx, t, cos, sin):
        ctx.save_for_backward(cos, sin)
        (a, b), out = t.chunk(2, -1), torch.empty_like(t)
        first, second = out.chunk(2, -1)
        torch.mul(a, cos, out=first).addcmul_(b, sin, value=-1)
        torch.mul(a, sin, out=second).addcmul_(b, cos)
        return out

    @staticmethod
    def backward(ctx, g):
        cos, sin = ctx.saved_tensors
        return _Turned.apply(g, cos, -sin), None, None


class TwoStreamTransformer(nn.Module):
    """Two-stream transformer with joint attention. Either stream may be absent (None) in a call:
    the other then attends to itself alone, which is what makes latent-only steps cheap.

    - `width`, `blocks`, `heads`: its size;
    - `latent`: has it a latent stream?
    - `timed`: are blocks modulated by a noise time?
    - `text`: rotary positions, and gates that start open.
    """

    @schemas.checked(
        width=schemas.whole(1, limit="width"), blocks=schemas.whole(1, limit="blocks"), heads=schemas.whole(1),
        latent=schemas.boolean, timed=schemas.boolean, text=schemas.boolean,
    )  # fmt: skip
    def __init__(self, width: int, blocks: int, heads: int, latent: bool, timed: bool, text: bool = False):
        super().__init__()
        self.heads, self.rotary = heads, text
        self.token: Any = nn.ModuleList(StreamBlock(width, heads, timed, text) for _ in range(blocks))
        self.latent: Any = nn.ModuleList(StreamBlock(width, heads, timed, text) for _ in range(blocks) if latent)

    def forward(self, h, y, cond=None, tokens=True, latents: bool = True):
        """Both streams through all blocks: updated (h, y).

        - `h` [B, L, W]: the token stream, or None;
        - `y` [B, m, W]: the latent stream, or None, but one of the two is there;
        - `cond` [B, W]: the embedded time; None where blocks are not conditioned on it;
        - `tokens`: True for all positions; a bool mask [B, L], which makes h [N, W], a row per
          position in row-major order; or False, which makes h None;
        - `latents`: False makes y None.

        What nobody reads is not computed: in the last block nothing but attention mixes positions,
        so it is finished only where asked."""
        turn = None
        if self.rotary and h is not None:
            slots = 0 if y is None else y.shape[1]
            turn = rotation(slots, h.shape[1], h.shape[2] // self.heads, h)
        for k, (half, other) in enumerate(zip_longest(self.token, self.latent)):
            last = k + 1 == len(self.token)
            if y is None:
                qkv, m = half.begin(h, cond)
                at_h = _attention(qkv, self.heads, turn)
            elif h is None:
                own, n = other.begin(y, cond)
                at_y = _attention(own, self.heads)
            else:
                (qkv, m), (own, n) = half.begin(h, cond), other.begin(y, cond)
                slots = y.shape[1]
                only = slots if last and tokens is False else None  # of the tokens nobody asks: m in place of m+L
                both = _attention(torch.cat([own, qkv], 1), self.heads, turn, only)  # [B, m+L, W]
                at_y, at_h = both[:, :slots], both[:, slots:]
            if y is not None:
                y = other.finish(y, n, at_y) if latents or not last else None
            if h is not None:
                where = tokens if last and isinstance(tokens, torch.Tensor) else None
                h = half.finish(h, m, at_h, where) if tokens is not False or not last else None
        return h, y


@torch.no_grad()
def start_small(net) -> None:
    """Initialisation: scale the token embeddings and positions of a `net` for text; those of others
    stay at unit scale.

    At 0.001 a step, embeddings of unit scale stay for thousands of steps what chance made them.
    Positions shrink alike, since METHOD 5 wants the two at one scale."""
    if net.config.network != "plain":
        net.embed.weight.mul_(SMALL)
        net.positions.mul_(SMALL)

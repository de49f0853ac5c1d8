"""The network: a token stream and a latent stream with joint attention, predicting clean tokens and clean latents.

One set of weights sees (x_t, z_t, t_z) and serves every path. Tokens need no time input, since the optimal masked
posterior ignores t_x; continuous latents do (METHOD 10).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import nn

from .channels import GaussianChannel
from .config import Config

__all__ = ["Denoiser", "Prediction", "Trunk", "sinusoid"]

_NEVER = -1e9  # a logit no finite network output can lift
SMALL = 0.15  # scale of token embeddings and positions at the start, in networks for text


@dataclass
class Prediction:
    """What a denoiser says. `tokens`: log-probabilities [N, V], one row per asked position in row-major order, or None.
    `latents`: z_hat [B, m, d] (continuous), code log-probabilities [B, m, K] (discrete), or None."""

    tokens: torch.Tensor | None
    latents: torch.Tensor | None


def sinusoid(at: torch.Tensor, width: int, longest: float = 10_000.0) -> torch.Tensor:
    """Sinusoidal features [..., width] of positions or rescaled times `at` [...], at unit scale (METHOD 5: positions
    much smaller than the token embeddings are not learned from)."""
    half = (width + 1) // 2
    freq = torch.exp(-math.log(longest) * torch.arange(half, device=at.device) / half)
    angle = at.float().unsqueeze(-1) * freq
    return math.sqrt(2) * torch.cat([angle.cos(), angle.sin()], -1)[..., :width]


class Half(nn.Module):
    """One stream's share of a block. Gates start at zero, so that a block starts as the identity; without `timed` and
    with `opened`, at one."""

    def __init__(self, width: int, heads: int, timed: bool, opened: bool = False):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width) if timed else nn.Parameter(torch.zeros(6 * width))
        if timed:
            nn.init.zeros_(self.modulation.weight), nn.init.zeros_(self.modulation.bias)
        elif opened:  # as plain numbers they would need a thousand steps to open; made from times, they open at once
            with torch.no_grad():
                self.modulation.view(6, width)[[2, 5]] = 1.0

    def begin(self, h: torch.Tensor, cond):
        """qkv [B, n, 3 width] of h [B, n, width], and six adaLN parameters [B, 1, width]; [width] without `cond`."""
        m = (self.modulation if cond is None else self.modulation(cond).unsqueeze(1)).chunk(6, -1)
        return self.qkv(_modulated(h, m[0], m[1])), m

    def finish(self, h: torch.Tensor, m, attended: torch.Tensor, where=None) -> torch.Tensor:
        """Residual updates of h [B, n, width] from attention output [B, n, width] and the MLP. With `where` [B, n]
        bool they are made for those N positions alone: [N, width]."""
        m = m[2:]
        if where is not None:
            at = where.flatten().nonzero().squeeze(1)  # [N], indices into B*n
            h, attended = (t.flatten(0, 1).index_select(0, at) for t in (h, attended))
            if m[0].dim() == 3:  # of each sequence
                m = [p.squeeze(1).index_select(0, at // where.shape[1]) for p in m]
        gate1, scale, shift, gate2 = m
        h = torch.addcmul(h, gate1, self.out(attended))
        y = _modulated(h, scale, shift)
        return torch.addcmul(h, gate2, self.down(F.gelu(self.up(y), approximate="tanh")))


def _modulated(h: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(shift, F.layer_norm(h, h.shape[-1:]), 1 + scale)


def _attention(qkv: torch.Tensor, heads: int, turn=None, first: int | None = None) -> torch.Tensor:
    """Attention of n positions to each other, from [B, n, 3 width] to [B, n, width]; with `first`, of that many first
    positions to all, [B, first, width]. `turn`: see `rotation`."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # [B, heads, n, width/heads] each
    if turn is not None:
        q, k = _rotated(q, turn), _rotated(k, turn)
    q = q[:, :, :first]
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def rotation(slots: int, length: int, dim: int, like: torch.Tensor, longest: float = 10_000.0):
    """cos and sin [slots + length, dim/2] of the angles by which rotary attention turns queries and keys of `dim`
    coordinates: products then depend on distances between positions (Su et al. 2021, arXiv 2104.09864). Latent slots,
    which come first, have no position and are not turned.

    >>> cos, sin = rotation(1, 3, 4, torch.zeros(1))
    >>> cos.shape, sin[:2].abs().max()
    (torch.Size([4, 2]), tensor(0.))
    """
    at = torch.arange(length, device=like.device, dtype=torch.float32)
    half = torch.arange(dim // 2, device=like.device)
    angle = F.pad(at.unsqueeze(1) * torch.exp(-math.log(longest) * half / len(half)), (0, 0, slots, 0))
    return angle.cos().to(like), angle.sin().to(like)


def _rotated(t: torch.Tensor, turn) -> torch.Tensor:
    """t [B, heads, n, d], pair by pair of its halves turned by `turn`."""
    (cos, sin), (a, b) = turn, t.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(t.dtype)


class Trunk(nn.Module):
    """`blocks` two-stream transformer blocks. Either stream may be absent (None) in a call: the other then attends to
    itself alone, which is what makes latent-only steps cheap."""

    def __init__(self, width: int, blocks: int, heads: int, latent: bool, timed: bool, text: bool = False):
        super().__init__()
        self.heads, self.rotary = heads, text
        self.token = nn.ModuleList(Half(width, heads, timed, text) for _ in range(blocks))
        self.latent = nn.ModuleList(Half(width, heads, timed, text) for _ in range(blocks) if latent)

    def forward(self, h, y, cond=None, tokens=True, latents: bool = True):
        """h [B, L, W] or None, y [B, m, W] or None, cond [B, W] or None -> updated (h, y).

        What nobody reads is not computed: in the last block nothing but attention mixes positions, so it is finished
        only where asked. `tokens`: True for all positions; a bool mask [B, L], which makes h [N, W], a row per
        position in row-major order; or False, which makes h None. `latents`: False makes y None."""
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
    """Scale the token embeddings and positions of a `net` for text; those of others stay at unit scale.

    At 0.001 a step, embeddings of unit scale stay for thousands of steps what chance made them. Positions shrink alike,
    since METHOD 5 wants the two at one scale."""
    if net.config.network == "text":
        net.embed.weight.mul_(SMALL), net.positions.mul_(SMALL)


class Denoiser(nn.Module):
    """p(x_0 | x_t, z_t) and the latent prediction, for any pair of noise times.

    Continuous latents: z_hat = a_t z_t + sigma_t F, where a_t z_t is the best linear guess at unit variance, so the
    output is right at both ends of the noise scale before F has learned anything. Discrete latents: code logits.
    The token head starts at zero: the loss starts at log V.

    >>> net = Denoiser(Config.preset("mdlm", length=4, vocab=2))
    >>> net(torch.tensor([[0, 2, 2, 1]]), None, None, torch.tensor([[False, True, True, False]])).tokens.exp()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]], grad_fn=<ExpBackward0>)
    """

    def __init__(self, config: Config, channel: GaussianChannel | None = None):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab + 1, c.width)  # the last row is the mask
        self.register_buffer("positions", sinusoid(torch.arange(c.length), c.width), persistent=False)
        start_small(self)
        self.timed = c.latent == "continuous"
        text = c.network == "text"
        self.trunk = Trunk(c.width, c.blocks, c.heads, latent=c.latent != "none", timed=self.timed, text=text)
        self.head = nn.Linear(c.width, c.vocab)
        nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)
        never = torch.zeros(c.vocab)
        if c.pad_id is not None:
            never[c.pad_id] = _NEVER  # padding is never masked, hence never predicted
        self.register_buffer("never", never, persistent=False)
        if c.latent != "none":
            if c.pad_id is not None:  # padding tells the length; latent-only passes must know it too
                self.length_in = nn.Linear(c.width, c.width, bias=False)
            # z enters through an MLP: a single linear map before a LayerNorm would hide its scale (METHOD 10)
            self.latent_in = nn.Sequential(nn.Linear(c.dim, c.width), nn.GELU(), nn.Linear(c.width, c.width))
            self.slot = nn.Parameter(torch.randn(c.slots, c.width))
            self.latent_head = nn.Linear(c.width, c.dim if self.timed else c.codes)
            nn.init.zeros_(self.latent_head.weight), nn.init.zeros_(self.latent_head.bias)
        if self.timed:
            self.gauss = channel or GaussianChannel(c.log_snr_max, c.log_snr_min)
            self.time = nn.Sequential(nn.Linear(c.width, c.width), nn.SiLU(), nn.Linear(c.width, c.width), nn.SiLU())
        if c.latent == "discrete":
            self.mask_vector = nn.Parameter(torch.randn(c.dim))

    def forward(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """x_t [B, L] ids or None (all masked and no token prediction asked: the token stream is skipped); z_t [B, m,
        d] or None; t_z [B] or None; `where` [B, L] bool: positions whose tokens to predict, None for none; `lengths`
        [B]: tokens that are not padding, needed only by models with padding."""
        h = y = cond = None
        if x_t is not None:
            h = self.embed(x_t) + self.positions[: x_t.shape[1]]
        if z_t is not None:
            y = self.latent_in(z_t) + self.slot
            if self.config.pad_id is not None:
                y = y + self.length_in(sinusoid(lengths, self.config.width)).unsqueeze(1)
            if self.timed:
                cond = self.time(sinusoid(t_z * 1000, self.config.width))
        h, y = self.trunk(h, y, cond, tokens=False if where is None else where, latents=need_latents)
        tokens = latents = None
        if h is not None:
            picked = F.layer_norm(h, h.shape[-1:])  # [N, W]
            tokens = F.linear(picked, self.head.weight, self.head.bias + self.never).log_softmax(-1)
        if y is not None:
            out = self.latent_head(F.layer_norm(y, y.shape[-1:]))
            if self.timed:
                a, sigma = self.gauss.coefficients(t_z.reshape(-1, 1, 1))
                latents = a * z_t + sigma * out
            else:
                latents = out.log_softmax(-1)
        return Prediction(tokens, latents)

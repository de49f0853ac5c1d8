"""The network: a token stream and a latent stream with joint attention, predicting clean tokens and clean latents.

One set of weights sees (x_t, z_t, t_z) and serves every path. Tokens need no time input, since the optimal masked
posterior ignores t_x; continuous latents do (METHOD 10).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .channels import GaussianChannel
from .config import Config

__all__ = ["Denoiser", "Prediction", "Trunk", "sinusoid"]

_NEVER = -1e9  # a logit no finite network output can lift


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
    """One stream's share of a block. Gates start at zero, so that a block starts as the identity."""

    def __init__(self, width: int, heads: int, timed: bool):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width) if timed else nn.Parameter(torch.zeros(6 * width))
        if timed:
            nn.init.zeros_(self.modulation.weight), nn.init.zeros_(self.modulation.bias)

    def begin(self, h: torch.Tensor, cond):
        """adaLN parameters and q, k, v [B, heads, n, width/heads] of h [B, n, width]."""
        m = self.modulation if cond is None else self.modulation(cond).unsqueeze(1)
        m = m.chunk(6, -1)
        y = F.layer_norm(h, h.shape[-1:]) * (1 + m[0]) + m[1]
        q, k, v = self.qkv(y).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # 3 x [B, heads, n, w/heads]
        return m, q, k, v

    def finish(self, h: torch.Tensor, m, attended: torch.Tensor) -> torch.Tensor:
        """Residual updates of h [B, n, width] from attention output [B, heads, n, width/heads] and the MLP."""
        h = h + m[2] * self.out(attended.transpose(1, 2).flatten(2))
        y = F.layer_norm(h, h.shape[-1:]) * (1 + m[3]) + m[4]
        return h + m[5] * self.down(F.gelu(self.up(y), approximate="tanh"))


class Trunk(nn.Module):
    """`blocks` two-stream transformer blocks. Either stream may be absent (None) in a call: the other then attends to
    itself alone, which is what makes latent-only steps cheap."""

    def __init__(self, width: int, blocks: int, heads: int, latent: bool, timed: bool):
        super().__init__()
        self.token = nn.ModuleList(Half(width, heads, timed) for _ in range(blocks))
        self.latent = nn.ModuleList(Half(width, heads, timed) for _ in range(blocks) if latent)

    def forward(self, h, y, cond=None):
        """h [B, L, W] or None, y [B, m, W] or None, cond [B, W] or None -> updated (h, y)."""
        for k, half in enumerate(self.token):
            if y is None:
                m, q, kk, v = half.begin(h, cond)
                h = half.finish(h, m, F.scaled_dot_product_attention(q, kk, v))
            elif h is None:
                n, q, kk, v = self.latent[k].begin(y, cond)
                y = self.latent[k].finish(y, n, F.scaled_dot_product_attention(q, kk, v))
            else:
                m, q1, k1, v1 = half.begin(h, cond)
                n, q2, k2, v2 = self.latent[k].begin(y, cond)
                q, kk, v = torch.cat([q2, q1], 2), torch.cat([k2, k1], 2), torch.cat([v2, v1], 2)
                both = F.scaled_dot_product_attention(q, kk, v)  # [B, heads, m+L, W/heads]
                slots = y.shape[1]
                h = half.finish(h, m, both[:, :, slots:])
                y = self.latent[k].finish(y, n, both[:, :, :slots])
        return h, y


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

    def __init__(self, config: Config):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab + 1, c.width)  # the last row is the mask
        self.register_buffer("positions", sinusoid(torch.arange(c.length), c.width), persistent=False)
        self.timed = c.latent == "continuous"
        self.trunk = Trunk(c.width, c.blocks, c.heads, latent=c.latent != "none", timed=self.timed)
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
            self.gauss = GaussianChannel(c.log_snr_max, c.log_snr_min)
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
        h, y = self.trunk(h, y, cond)
        tokens = latents = None
        if where is not None:
            picked = F.layer_norm(h[where], h.shape[-1:])  # [N, W]
            tokens = (self.head(picked) + self.never).log_softmax(-1)
        if y is not None and need_latents:
            out = self.latent_head(F.layer_norm(y, y.shape[-1:]))
            if self.timed:
                a, sigma = self.gauss.coefficients(t_z.reshape(-1, 1, 1))
                latents = a * z_t + sigma * out
            else:
                latents = out.log_softmax(-1)
        return Prediction(tokens, latents)

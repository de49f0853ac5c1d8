"""The denoising network: a token stream and a latent stream with joint attention, predicting clean
tokens and clean latents.

One set of weights sees (x_t, z_t, t_z) and serves every path. Tokens need no time input, since the
optimal masked posterior ignores t_x; continuous latents do (METHOD 10).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .._common import schemas
from ..config import Config
from ..diffusion.bf16_products import padded
from ..diffusion.channels import GaussianChannel
from ..diffusion.prediction import Head, Prediction
from .bert import BertTransformer
from .build import usual_channel
from .transformer import TwoStreamTransformer, sinusoid, start_small

__all__ = ["Denoiser", "forward_flops"]

_NEVER = -1e9  # a logit no finite network output can lift


class Denoiser(nn.Module):
    """Denoising transformer: p(x_0 | x_t, z_t) and the latent prediction, for any pair of noise
    times.

    Continuous latents: z_hat = a_t z_t + sigma_t F, where a_t z_t is the best linear guess at unit
    variance, so the output is right at both ends of the noise scale before F has learned anything.
    Discrete latents: code logits; what codes of a mixture say of the tokens is added to the token
    logits (`MixtureCodes`). The token head starts at zero: the loss starts at log V. Latents that are
    one a token (`Config.per_token`) end with the text: beyond it they are 0, or the first code,
    which no token sees, and which cost nothing.

    >>> net = Denoiser(Config.preset("mdlm", length=4, vocab=2))
    >>> net(torch.tensor([[0, 2, 2, 1]]), None, None, torch.tensor([[False, True, True, False]])).tokens.exp()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]], grad_fn=<ExpBackward0>)
    """

    positions: torch.Tensor  # [L, W]
    never: torch.Tensor  # [V], added to the logits

    @schemas.checked(
        config=schemas.is_a(Config), channel=schemas.maybe(schemas.has("noise of latents", "corrupt", "rate")),
    )  # fmt: skip
    def __init__(self, config: Config, channel: GaussianChannel | None = None):
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab + 1, c.width)  # the last row is the mask
        self.timed, self.tied = c.latent == "continuous", c.network == "bert"
        self.trunk: BertTransformer | TwoStreamTransformer
        if self.tied:
            self.trunk = BertTransformer(c.width, c.blocks, c.heads, c.length)
            self.head = nn.Linear(c.width, c.width)  # whose output is compared with the embeddings
            self.bias = nn.Parameter(torch.zeros(c.vocab))
        else:
            self.register_buffer("positions", sinusoid(torch.arange(c.length), c.width), persistent=False)
            start_small(self)
            latent, text = c.latent != "none", c.network == "text"
            self.trunk = TwoStreamTransformer(c.width, c.blocks, c.heads, latent, self.timed, text)
            self.head = nn.Linear(c.width, c.vocab)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        never = torch.zeros(c.vocab)
        if c.pad_id is not None:
            never[c.pad_id] = _NEVER  # padding is never masked, hence never predicted
        self.register_buffer("never", never, persistent=False)
        if c.latent != "none":
            if c.pad_id is not None:  # padding tells the length; latent-only passes must know it too
                self.length_in = nn.Linear(c.width, c.width, bias=False)
            # z enters through an MLP: a single linear map before a LayerNorm would hide its scale
            # (METHOD 10)
            self.latent_in = nn.Sequential(nn.Linear(c.dim, c.width), nn.GELU(), nn.Linear(c.width, c.width))
            self.slot = nn.Parameter(torch.randn(c.slots, c.width))
            self.latent_head = nn.Linear(c.width, c.dim if self.timed else c.codes)
            nn.init.zeros_(self.latent_head.weight)
            nn.init.zeros_(self.latent_head.bias)
        if self.timed:
            self.gauss = channel or usual_channel(c)
            self.time = nn.Sequential(nn.Linear(c.width, c.width), nn.SiLU(), nn.Linear(c.width, c.width), nn.SiLU())
        if c.latent == "discrete":
            self.mask_vector = nn.Parameter(torch.zeros(c.dim) if c.encoder == "mixture" else torch.randn(c.dim))

    @schemas.checked(**{**schemas.CALL, "z_t": schemas.maybe(schemas.reals)})
    @schemas.fitting
    def forward(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """Predicted clean tokens and latents, as `protocols.Denoiser.forward`. Without `x_t` the
        token stream is skipped."""
        c = self.config
        if x_t is None and (z_t is None or where is not None):
            raise ValueError("x_t must be token ids where tokens are asked for, got None")
        if (z_t is None) != (c.latent == "none"):
            wanted = "latents" if z_t is None else "None"
            raise ValueError(f"z_t must be {wanted} for latent={c.latent!r}")
        if self.timed and t_z is None:
            raise ValueError("t_z must be the noise times of z_t, got None")
        if lengths is None and c.pad_id is not None and z_t is not None:
            raise ValueError("lengths must be the numbers of tokens where there is padding, got None")
        h = y = cond = None
        if x_t is not None:
            h = self.embed(x_t) if self.tied else self.embed(x_t) + self.positions[: x_t.shape[1]]
        if z_t is not None:
            y = self.latent_in(z_t) + self.slot
            if self.config.pad_id is not None:
                y = y + self.length_in(sinusoid(lengths, self.config.width).to(y)).unsqueeze(1)
            if self.timed:
                cond = self.time(sinusoid(t_z * 1000, self.config.width).to(y))
        asked = False if where is None else where
        there = None  # all slots
        if y is not None and c.per_token and lengths is not None:
            there = torch.arange(c.slots, device=y.device) < lengths.unsqueeze(1)
        if isinstance(self.trunk, BertTransformer):
            valid = None if x_t is None or c.pad_id is None else x_t != c.pad_id
            y = y if y is None or cond is None else y + cond.unsqueeze(1)
            h, y = self.trunk(h, y, valid, asked, need_latents, there)
        else:
            h, y = self.trunk(h, y, cond, asked, need_latents)
        tokens: Head | None = None
        latents = None
        if h is not None:
            h = F.layer_norm(h, h.shape[-1:])
            if self.tied:
                tokens = Head(self.head(padded(h))[: len(h)], self.embed.weight[:-1], self.bias + self.never)
            else:
                tokens = Head(h, self.head.weight, self.head.bias + self.never)
            if self.config.encoder == "mixture":  # of each place and token, by the codes
                tokens = replace(tokens, offset=z_t.reshape(*x_t.shape, -1)[where])
        if y is not None:
            out = self.latent_head(F.layer_norm(y, y.shape[-1:]))
            if self.timed:
                a, sigma = self.gauss.coefficients(t_z.reshape(-1, 1, 1))
                latents = a * z_t + sigma * out
            else:
                latents = out.log_softmax(-1)
            if there is not None:  # what is known costs nothing: 0, or the first code
                known = latents.new_zeros(latents.shape[-1])
                if not self.timed:
                    known[1:] = _NEVER
                latents = torch.where(there.unsqueeze(-1), latents, known)
        return Prediction(tokens, latents)


def forward_flops(denoiser: Any, tokens: bool = True) -> float:
    """Floating-point operations of a call for one sequence, counted from the shapes of the layers as
    the field counts: two for each weight and position, and those of attention. nan for a denoiser of
    one's own, of whose inside nothing is known. Without `tokens` the latents alone are looked at.

    >>> forward_flops(Denoiser(Config.preset("mdlm", length=8, vocab=4, width=16, blocks=1)))
    54272
    """
    if not isinstance(denoiser, Denoiser):
        return float("nan")
    c, trunk = denoiser.config, denoiser.trunk

    def weights(*layers) -> int:
        return sum(w.weight.numel() for layer in layers for w in layer.modules() if isinstance(w, nn.Linear))

    def stream(halves) -> int:
        return sum(weights(h.qkv, h.out, h.up, h.down) for h in halves)  # adaLN is per sequence, hence next to nothing

    slots = 0 if c.latent == "none" else c.slots
    length = c.length if tokens else 0
    token, latent = (trunk.both, trunk.both) if c.network == "bert" else (trunk.token, trunk.latent)
    head = weights(denoiser.head) + (c.width * c.vocab if c.network == "bert" else 0)
    moved = length * (stream(token) + head) + slots * stream(latent)
    return 2 * moved + 4 * c.blocks * c.width * (length + slots) ** 2

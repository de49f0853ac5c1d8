"""Parts of one's own: encoders, a denoiser, a noise schedule, and the models that have them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import lddm_lite as ld

TASK = ld.tasks.MixtureOfProducts(length=8, modes=2, noise=0.02)
SMALL = dict(width=16, heads=2, blocks=1, encoder_blocks=1, codes=4, dim=2)


class Halves(nn.Module):
    """The direction of (ones in the first half, ones in the second): [B, L] -> [B, 1, 2]. Nothing
    to learn."""

    def __init__(self, config):
        super().__init__()
        self.register_buffer("scale", torch.tensor(math.sqrt(config.dim)))

    def forward(self, x):
        return self.scale * F.normalize(x.unflatten(1, (2, -1)).sum(-1) - x.shape[1] / 4 + 0.1, dim=-1).unsqueeze(1)


class Codes(nn.Module):
    """The first two bits as one of four codes."""

    def __init__(self, config):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(config.codes, config.dim), requires_grad=False)

    def forward(self, x):
        return (2 * x[:, :1] + x[:, 1:2]).long()


class Learning(Halves):
    """A first layer with weights, and no `settle`."""

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(config.length, 2)

    def forward(self, x):
        return self.scale * F.normalize(self.layer(2.0 * x - 1), dim=-1).unsqueeze(1)


class Net(nn.Module):
    """One linear map for each output. `break_` spoils one thing."""

    def __init__(self, config, break_=""):
        super().__init__()
        c, self.break_ = config, break_
        self.c, z = c, 0 if c.latent == "none" else c.slots * c.dim
        out = {"none": 0, "continuous": c.dim, "discrete": c.codes}[c.latent]
        self.tokens = nn.Linear(c.length * (c.vocab + 1) + z, c.length * c.vocab)
        self.latents = nn.Linear(c.length * (c.vocab + 1) + z, c.slots * out)
        if c.latent == "discrete":
            self.mask_vector = nn.Parameter(torch.randn(c.dim))

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        c, b = self.c, self.break_
        n = len(x_t) if x_t is not None else len(z_t)
        if x_t is None and b == "none":
            raise TypeError("x_t is None")
        x_t = torch.full((n, c.length), c.vocab) if x_t is None else x_t
        h = F.one_hot(x_t, c.vocab + 1).flatten(1).float()
        h = h if z_t is None else torch.cat([h, z_t.flatten(1)], 1)
        tokens = latents = None
        if where is not None:
            tokens = self.tokens(h).unflatten(1, (c.length, c.vocab))
            tokens = tokens if b == "rows" else tokens[where]
            tokens = tokens if b == "logits" else tokens.log_softmax(-1)
        if need_latents and c.latent != "none":
            latents = self.latents(h).unflatten(1, (c.slots, -1))
            latents = latents.log_softmax(-1) if c.latent == "discrete" else latents
            latents = latents[..., :1] if b == "latents" else latents
        return (tokens, latents) if b == "pair" else ld.Prediction(tokens, latents)


class Squared(ld.GaussianChannel):
    """A schedule whose log-SNR falls with the square of time."""

    def log_snr(self, t):
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t**2

    def speed(self, t):
        return 2 * t * (self.log_snr_max - self.log_snr_min)


OWN = {
    "encoder": ("co-seq", dict(encoder=Halves)),
    "learning encoder": ("co-joint", dict(encoder=Learning)),
    "codes": ("di-seq", dict(encoder=Codes)),
    "denoiser": ("co-seq", dict(denoiser=Net)),
    "denoiser, no latents": ("mdlm", dict(denoiser=Net)),
    "denoiser, discrete": ("di-joint", dict(denoiser=Net)),
    "channel": ("co-seq", dict(channel=lambda config: Squared(config.log_snr_max, config.log_snr_min))),
    "all": ("co-seq", dict(encoder=Halves, denoiser=Net, channel=Squared())),
}


def make(name, seed=0):
    """A fresh model with the parts that `OWN` lists under this name."""
    system, own = OWN[name]
    return ld.LatentDiffusion.preset(system, TASK, seed=seed, **SMALL, **own)

"""Decoding of latents to tokens: the sequential path at t_z = 0."""

from __future__ import annotations

import torch

from .._common import arguments, randomness
from .._common.modes import evaluating
from .._common.protocols import Model
from .channels import GaussianChannel

__all__ = ["decode"]


@torch.no_grad()
def decode(model: Model, z, token_steps: int = 1, seed: int = 0, argmax: bool = True, lengths=None) -> torch.Tensor:
    """Decode latents of clean data to token ids [K, L].

    - `model`: one with latents;
    - `z`: latents [K, m, d], or codes [K, m];
    - `token_steps`: steps that reveal the tokens (M2);
    - `seed`: of random numbers that are the same for every row: what differs between two rows comes
      from z alone;
    - `argmax`: reveal the most probable token instead of a draw;
    - `lengths` [K]: tokens before the padding, needed by models that have it.

    These are the segments of a sequential path (METHOD 7) with t_z = 0: all tokens start masked,
    and the latents stay (continuous ones at the mean a_0 z of their noise floor, M5). ValueError
    for a model without latents, or latents of another shape.

    >>> import math
    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.exact(tasks.Binsaw(length=8, saws=1), "shift")
    >>> one, opposite = decode(model, math.sqrt(2) * torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]]))
    >>> one[[0, 4]].tolist(), opposite[[0, 4]].tolist()
    ([0, 1], [1, 0])
    """
    z = _latents(model, "z", z)
    arguments.integer("token_steps", token_steps, minimum=1)
    n, length, device = len(z), model.config.length, model.device
    z = z.to(device)
    if isinstance(model.latent_channel, GaussianChannel):
        z = z * model.latent_channel.coefficients(torch.tensor(0.0))[0].to(z)
    g = randomness.generator(seed)
    x = torch.full((n, length), model.token_channel.mask_id, device=device)
    lengths = _lengths(model, lengths, n, x)
    clean = torch.zeros(n, device=device)
    with evaluating(model):
        for k in range(token_steps, 0, -1):
            share = 1 / k  # (t-s)/t of the step from t = k/token_steps
            where = (x == model.token_channel.mask_id) & (randomness.rand((1, length), g, x) < share)
            u = randomness.rand((1, length, 1), g, x, dtype=torch.float64).expand(n, -1, -1)[where]
            if not where.any():
                continue
            log_probs = model.predict(x, z, clean, where, need_latents=False, lengths=lengths).tokens
            x = x.masked_scatter(where, log_probs.argmax(-1) if argmax else _draw(log_probs, u))
    return x.cpu()


def _latents(model: Model, name: str, z) -> torch.Tensor:
    """`z` checked against the latents of `model`."""
    if model.latent_channel is None:
        raise ValueError(f"model {model.name!r} has no latents; take one of co-seq, co-joint, di-seq, di-joint")
    z = torch.as_tensor(z)
    want = tuple(model.latent_shape(len(z)))
    if tuple(z.shape) != want or z.is_floating_point() != (model.config.latent == "continuous"):
        kind = "numbers" if model.config.latent == "continuous" else "integer codes"
        raise ValueError(f"{name} must hold {kind} of shape {list(want)}, got {z.dtype} {list(z.shape)}")
    if z.is_floating_point():
        return z.float()
    if z.numel() and not 0 <= int(z.min()) <= int(z.max()) < model.config.codes:
        raise ValueError(f"{name} holds codes {int(z.min())}..{int(z.max())}; allowed are 0..{model.config.codes - 1}")
    return z.long()


def _lengths(model: Model, lengths, n: int, x: torch.Tensor):
    """Checked `lengths`; x [n, L] is padded beyond them, in place."""
    if model.config.pad_id is None:
        return None
    if lengths is None:
        raise ValueError("lengths [K] are needed: the model has padding, and they say where it begins")
    lengths = torch.as_tensor(lengths, device=x.device).long().expand(n)
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[1]:
        raise ValueError(f"lengths must be in 1..{x.shape[1]}, got {lengths.tolist()[:8]}")
    x[torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)] = model.config.pad_id
    return lengths


def _draw(log_probs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Tokens [N] by inversion: u [N, 1] in [0, 1), log_probs [N, V]; in float64."""
    p = log_probs.double().exp()
    cdf = p.cumsum(-1)
    return (u * cdf[:, -1:] >= cdf).sum(-1).clamp_max(p.shape[1] - 1)

"""Decoding of latents to tokens: the token steps of a path at t_z = 0 (METHOD 7)."""

from __future__ import annotations

import torch

from .._common import arguments, schemas
from .._common.protocols import Model
from .channels import GaussianChannel
from .paths import Knot, Path
from .sampler import Draws, sample

__all__ = ["check_latents", "decode", "without_latents"]


@schemas.checked("model", "seed", token_steps=schemas.whole(1, limit="steps"), argmax=schemas.boolean)
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
    z = check_latents(model, "z", z)
    if isinstance(model.latent_channel, GaussianChannel):
        z = z * model.latent_channel.coefficients(torch.tensor(0.0))[0].to(z)
    x = torch.full((len(z), model.config.length), model.token_channel.mask_id, device=model.device)
    _pad(model, lengths, x)
    path, draws = Path.sequential(), Draws(temperature=0.0 if argmax else 1.0)
    trace = sample(model, x, path.knots(token_steps), path, seed, draws, latents=z, alike=True)
    return torch.from_numpy(trace.tokens)


def without_latents(knots: list[Knot], t_z: float = 0.0) -> list[Knot]:
    """The token steps of `knots` alone, latents resting at `t_z`.

    >>> without_latents(Path.sequential().knots(2, 3))
    [Knot(t_x=1.0, t_z=0.0), Knot(t_x=0.5, t_z=0.0), Knot(t_x=0.0, t_z=0.0)]
    """
    return [Knot(t, t_z) for t in dict.fromkeys(k.t_x for k in knots)]


def check_latents(model: Model, name: str, z, n: int | None = None) -> torch.Tensor:
    """`z` as latents of `model`, [n, m, d] or codes [n, m], on its device; ValueError saying what
    is wrong with it."""
    if model.latent_channel is None:
        raise ValueError(f"model {model.name!r} has no latents; take one of co-seq, co-joint, di-seq, di-joint")
    z = arguments.tensor(name, z)
    want = tuple(model.latent_shape(len(z) if n is None and z.dim() else n or 0))
    if tuple(z.shape) != want or z.is_floating_point() != (model.config.latent == "continuous"):
        kind = "numbers" if model.config.latent == "continuous" else "integer codes"
        raise ValueError(f"{name} must hold {kind} of shape {list(want)}, got {z.dtype} {list(z.shape)}")
    if z.is_floating_point():
        if not bool(z.isfinite().all()):
            raise ValueError(f"{name} must be finite, got nan or inf")
        return z.float().to(model.device)
    if z.numel() and not 0 <= int(z.min()) <= int(z.max()) < model.config.codes:
        raise ValueError(f"{name} holds codes {int(z.min())}..{int(z.max())}; allowed are 0..{model.config.codes - 1}")
    return z.long().to(model.device)


def _pad(model: Model, lengths, x: torch.Tensor) -> None:
    """Pad x [n, L] beyond `lengths`, which are checked, in place."""
    if model.config.pad_id is None:
        if lengths is not None:
            raise ValueError("lengths must be None for a model without padding")
        return
    if lengths is None:
        raise ValueError("lengths [K] are needed: the model has padding, and they say where it begins")
    lengths = arguments.tensor("lengths", lengths)
    if lengths.is_floating_point() or lengths.shape not in ((), (1,), (len(x),)):
        raise ValueError(f"lengths must be {len(x)} integers, got {lengths.dtype} of shape {tuple(lengths.shape)}")
    lengths = lengths.to(x.device).long().expand(len(x))
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[1]:
        raise ValueError(f"lengths must be in 1..{x.shape[1]}, got {lengths.tolist()[:8]}")
    x[torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)] = model.config.pad_id

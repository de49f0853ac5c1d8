"""What a latent says: tokens drawn at t_z = 0 from given latents, and the way between two latents."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from . import checks
from .channels import GaussianChannel

__all__ = ["decode", "slerp", "walk"]

FINE = 64  # points of an arc at which the nearest code is looked up


@torch.no_grad()
def decode(model, z, token_steps: int = 1, seed: int = 0, argmax: bool = True, lengths=None) -> torch.Tensor:
    """Token ids [K, L] that `model` writes for latents z: [K, m, d], or codes [K, m], the latents of clean data.

    These are the segments of a sequential path (METHOD 7) with t_z = 0: all tokens start masked, the latents stay
    (continuous ones at the mean a_0 z of their noise floor, M5), and `token_steps` steps reveal the tokens (M2).
    `argmax`: reveal the most probable token instead of a draw. The random numbers, which come from `seed`, are the
    same for every row: what differs between two rows comes from z alone. `lengths` [K]: tokens before the padding,
    needed by models that have it. ValueError for a model without latents, or latents of another shape.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.exact(tasks.Binsaw(length=8, saws=1), "shift")
    >>> one, opposite = decode(model, math.sqrt(2) * torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]]))
    >>> one[[0, 4]].tolist(), opposite[[0, 4]].tolist()
    ([0, 1], [1, 0])
    """
    z = _latents(model, "z", z)
    checks.integer("token_steps", token_steps, minimum=1)
    n, length, device = len(z), model.config.length, model.device
    z = z.to(device)
    if isinstance(model.latents, GaussianChannel):
        z = z * model.latents.coefficients(torch.tensor(0.0))[0].to(z)
    g = checks.generator(seed)
    x = torch.full((n, length), model.tokens.mask_id, device=device)
    lengths = _lengths(model, lengths, n, x)
    clean, was_training = torch.zeros(n, device=device), model.training
    model.eval()
    try:
        for k in range(token_steps, 0, -1):
            share = 1 / k  # (t-s)/t of the step from t = k/token_steps
            where = (x == model.tokens.mask_id) & (checks.rand((1, length), g, x) < share)
            u = checks.rand((1, length, 1), g, x, dtype=torch.float64).expand(n, -1, -1)[where]
            if not where.any():
                continue
            log_probs = model.predict(x, z, clean, where, need_latents=False, lengths=lengths).tokens
            x = x.masked_scatter(where, log_probs.argmax(-1) if argmax else _draw(log_probs, u))
    finally:
        model.train(was_training)
    return x.cpu()


def walk(model, za, zb, steps: int = 9, seed: int = 0, among=None) -> torch.Tensor:
    """Latents on the way from za to zb, each [m, d] or [m] codes, both ends included: [K, m, d] or [K, m].

    Continuous: K = `steps` even steps on the great circle of each slot (`slerp`), since encoders put slots on
    a sphere (METHOD 5). Discrete: slot by slot, in an order drawn with `seed`; each slot passes through the codes
    nearest to the arc between its two codebook vectors, out of those in `among` [n] (default: the whole codebook).
    No two points in a row are the same there, so K <= `steps`. ValueError for less than 2 steps.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8), dim=2)
    >>> walk(model, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), steps=3)[1]
    tensor([[0.7071, 0.7071]])
    """
    checks.integer("steps", steps, minimum=2)
    za, zb = (_latents(model, name, torch.as_tensor(z).unsqueeze(0))[0].cpu() for name, z in (("za", za), ("zb", zb)))
    if za.is_floating_point():
        return slerp(za, zb, torch.linspace(0, 1, steps))
    book = model.encoder.codebook.detach().cpu()
    known = torch.arange(len(book)) if among is None else torch.as_tensor(among).long().unique()
    points = [za]
    for j in torch.randperm(len(za), generator=checks.generator(seed)).tolist():
        arc = slerp(book[za[j]], book[zb[j]], torch.linspace(0, 1, FINE))  # [FINE, d]
        codes = known[(arc @ book[known].T).argmax(-1)].tolist()
        for code in [*codes[1:-1], int(zb[j])]:
            if code != points[-1][j]:
                points.append(points[-1].clone())
                points[-1][j] = code
    if len(points) == 1:
        return za.repeat(2, 1)  # nowhere to go, yet a walk has two ends
    keep = torch.linspace(0, len(points) - 1, min(steps, len(points))).round().long()
    return torch.stack([points[k] for k in keep.tolist()])


def slerp(a: torch.Tensor, b: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Points at shares u [K] of the shorter great circle from a to b, [..., d]: [K, ..., d], at the length of a and b.

    Opposite points have no shortest way: then it goes over the axis that is most nearly perpendicular.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 0.0]), torch.tensor([0.5])).round(decimals=4).abs()
    tensor([[0., 1.]])
    """
    ua, ub = F.normalize(a.double(), dim=-1), F.normalize(b.double(), dim=-1)
    angle = 2 * torch.atan2((ua - ub).norm(dim=-1, keepdim=True), (ua + ub).norm(dim=-1, keepdim=True))
    axis = F.one_hot(ua.abs().argmin(-1), ua.shape[-1]).to(ua)
    side = torch.where(math.pi - angle < 1e-4, axis, ub)
    side = F.normalize(side - (side * ua).sum(-1, keepdim=True) * ua, dim=-1)  # perpendicular to a; 0 where a = b
    u = u.double().reshape(-1, *[1] * a.dim())
    out = (u * angle).cos() * ua + (u * angle).sin() * side
    size = (1 - u) * a.double().norm(dim=-1, keepdim=True) + u * b.double().norm(dim=-1, keepdim=True)
    return (out * size).to(a)


def _latents(model, name: str, z) -> torch.Tensor:
    """`z` checked against the latents of `model`."""
    if model.latents is None:
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


def _lengths(model, lengths, n: int, x: torch.Tensor):
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

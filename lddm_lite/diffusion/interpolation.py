"""Interpolation between latents: slerp on great circles, or the codes nearest to them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .._common import arguments, randomness, schemas
from .._common.arguments import shown
from .._common.protocols import Model
from .given_latents import check_latents

__all__ = ["interpolate", "slerp"]

FINE = 64  # points of an arc at which the nearest code is looked up


@schemas.checked("model", "seed", steps=schemas.whole(2, limit="steps"))
def interpolate(model: Model, za, zb, steps: int = 9, seed: int = 0, among=None) -> torch.Tensor:
    """Interpolation from latents za to zb, both ends included: [K, m, d] or [K, m].

    Continuous: K = `steps` even steps on the great circle of each slot (`slerp`), since encoders
    put slots on a sphere (METHOD 5). Discrete: slot by slot; each passes through the codes nearest
    to the arc between its two codebook vectors. No two points in a row are the same there, so K <=
    `steps`.

    - `model`: whose latents these are; of discrete ones its encoder has the codebook;
    - `za`, `zb`: the ends, each [m, d], or [m] codes;
    - `steps`: at least 2, else ValueError;
    - `seed`: of the order of the slots, for codes;
    - `among` [n]: the codes to pass through; None for the whole codebook.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8), dim=2)
    >>> interpolate(model, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), steps=3)[1]
    tensor([[0.7071, 0.7071]])
    """
    ends = {"za": za, "zb": zb}.items()
    za, zb = (check_latents(model, name, arguments.tensor(name, z).unsqueeze(0))[0].cpu() for name, z in ends)
    if za.is_floating_point():
        if among is not None:
            raise ValueError("among must be None for continuous latents, which have no codes")
        return slerp(za, zb, torch.linspace(0, 1, steps))
    book = model.encoder.codebook.detach().cpu()
    known = torch.arange(len(book)) if among is None else arguments.tensor("among", among).reshape(-1)
    if not len(known) or known.is_floating_point() or not 0 <= int(known.min()) <= int(known.max()) < len(book):
        raise ValueError(f"among must hold codes 0..{len(book) - 1}, one at least, got {shown(among)}")
    known = known.long().unique()
    points = [za]
    for j in torch.randperm(len(za), generator=randomness.generator(seed)).tolist():
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


@schemas.checked(a=schemas.floats, b=schemas.floats, u=schemas.floats)
def slerp(a: torch.Tensor, b: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Spherical linear interpolation: points at shares u [K] of the shorter great circle from a to
    b, [..., d]: [K, ..., d], at the length of a and b.

    Opposite points have no shortest way: then it goes over the axis that is most nearly
    perpendicular.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 0.0]), torch.tensor([0.5])).round(decimals=4).abs()
    tensor([[0., 1.]])
    """
    if a.shape != b.shape or not a.dim() or u.dim() != 1:
        raise ValueError(f"a and b must be of one shape [..., d], u [K]; got {[list(v.shape) for v in (a, b, u)]}")
    ua, ub = F.normalize(a.double(), dim=-1), F.normalize(b.double(), dim=-1)
    angle = 2 * torch.atan2((ua - ub).norm(dim=-1, keepdim=True), (ua + ub).norm(dim=-1, keepdim=True))
    axis = F.one_hot(ua.abs().argmin(-1), ua.shape[-1]).to(ua)
    side = torch.where(math.pi - angle < 1e-4, axis, ub)
    side = F.normalize(side - (side * ua).sum(-1, keepdim=True) * ua, dim=-1)  # perpendicular to a; 0 where a = b
    u = u.double().reshape(-1, *[1] * a.dim())
    out = (u * angle).cos() * ua + (u * angle).sin() * side
    size = (1 - u) * a.double().norm(dim=-1, keepdim=True) + u * b.double().norm(dim=-1, keepdim=True)
    return (out * size).to(a)

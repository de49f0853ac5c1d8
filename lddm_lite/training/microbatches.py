"""The gradient of one batch, taken in pieces: one after another, or dealt out over processes.

Each piece has noise of its own, whatever process works on it, so that the pieces decide the result, not the number of
processes: up to the order of summation, 1 and 2 processes train alike. With one piece it is the plain gradient.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from . import checks
from .parallel import Team

__all__ = ["backward"]


def backward(model, x: torch.Tensor, g: torch.Generator, stage: int, few_step: float, pieces: int, team: Team) -> dict:
    """Add the gradient of the mean loss of `x` [B, L] to the parameters; return the loss and its terms, 0-d tensors.

    The batch falls into `pieces` equal parts; their gradients, terms and encoder statistics are averaged. One piece
    draws its noise from `g` itself, several draw from generators that `g` seeds.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> model = LatentDiffusion.preset("mdlm", task, width=16)
    >>> list(backward(model, task.sample(4), checks.generator(0), stage=2, few_step=0.0, pieces=2, team=Team("cpu")))
    ['loss', 'tokens']
    """
    if pieces == 1:
        loss = model.loss(x, g, stage, few_step)
        loss.total.backward()
        return {"loss": loss.total.detach(), **loss.terms}
    seeds = torch.randint(2**31, (pieces,), generator=g, device=g.device).tolist()
    moving = model.encoder is not None and model.encoder.training
    merge = _Buffers(model.encoder, pieces) if moving else None
    share = pieces // team.size
    terms: dict[str, torch.Tensor] = {}
    for i in range(team.rank * share, (team.rank + 1) * share):
        rows = x[i * len(x) // pieces : (i + 1) * len(x) // pieces]
        loss = model.loss(rows, checks.generator(seeds[i], g.device), stage, few_step)
        (loss.total / pieces).backward()
        for name, value in {"loss": loss.total.detach(), **loss.terms}.items():
            terms[name] = terms.get(name, 0) + value / pieces
        if merge:
            merge.take(i)
    if team.size > 1:
        terms = dict(zip(terms, team.sum(list(terms.values())), strict=True))
        _sum_gradients([p for p in model.parameters() if p.requires_grad], team)
    if merge:
        merge.put(team)
    return terms


def _sum_gradients(params: list, team: Team) -> None:
    """A parameter that no piece in any process reached keeps the gradient None, which AdamW passes over."""
    reached = torch.tensor([float(p.grad is not None) for p in params], device=params[0].device)
    reached = team.sum([reached])[0].tolist()
    own = [p for p, n in zip(params, reached, strict=True) if n]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
    for p, grad in zip(own, team.sum(grads), strict=True):
        p.grad = grad


class _Buffers:
    """The encoder's statistics: every piece starts from the same ones, and the mean of what they become is kept.

    A codebook needs more: a code that a piece found dead was replaced by a feature of that piece. It counts as dead
    when all pieces say so, and then takes the feature of one of them, since the mean of several is typical of none.
    """

    def __init__(self, encoder, pieces: int):
        self.encoder, self.pieces = encoder, pieces
        self.live = {k: b for k, b in encoder.named_buffers() if b.is_floating_point()}
        self.before = {k: b.clone() for k, b in self.live.items()}
        self.sums = {k: torch.zeros_like(b) for k, b in self.live.items()}
        if "codebook" in self.live:
            self.sums["alive"] = torch.zeros_like(encoder.usage)
            self.sums["fresh"] = torch.zeros_like(encoder.sums)

    @torch.no_grad()
    def take(self, i: int) -> None:
        """Add what piece i made of the buffers, and put them back."""
        new = {k: b.clone() for k, b in self.live.items()}
        if "codebook" in new:
            k = len(new["usage"])
            # such a code had next to no use before, and no batch could have lifted it to just this number
            rare = self.before["usage"] < self.encoder.dead_share / k / self.encoder.decay
            dead = rare & (new["usage"] == 1.0 / k)
            turn = torch.arange(k, device=dead.device) % self.pieces == i
            new["fresh"] = new["sums"] * (dead & turn).unsqueeze(-1)
            new["alive"] = (~dead).float()
            new["usage"], new["sums"] = new["usage"] * ~dead, new["sums"] * (~dead).unsqueeze(-1)
        for name, b in new.items():
            self.sums[name] += b
        for name, b in self.live.items():
            b.copy_(self.before[name])

    @torch.no_grad()
    def put(self, team: Team) -> None:
        """Write the means over all pieces of all processes."""
        total = dict(zip(self.sums, team.sum(list(self.sums.values())), strict=True))
        mean = {k: total[k] / self.pieces for k in self.live}
        if "codebook" in self.live:
            k, d = self.live["codebook"].shape
            alive = total["alive"]
            n = alive.clamp_min(1)
            mean["usage"] = torch.where(alive > 0, total["usage"] / n, torch.full_like(n, 1.0 / k))
            rows = (alive > 0).unsqueeze(-1)
            mean["sums"] = torch.where(rows, total["sums"] / n.unsqueeze(-1), total["fresh"])
            mean["codebook"] = math.sqrt(d) * F.normalize(mean["sums"], dim=-1)
        for name, b in self.live.items():
            b.copy_(mean[name])

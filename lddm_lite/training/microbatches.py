"""Gradient accumulation: one batch in micro-batches, one after another or dealt out over processes.

Each micro-batch has noise of its own, whatever process works on it, so that the micro-batches
decide the result, not the number of processes: up to the order of summation, 1 and 2 processes
train alike. With one micro-batch it is the plain gradient.
"""

from __future__ import annotations

import torch

from .._common import randomness
from .._common.protocols import Model
from ..networks.codebook import BufferMean
from .processes import Team

__all__ = ["backward"]


def backward(
    model: Model,
    x: torch.Tensor,
    g: torch.Generator,
    stage: int,
    few_step: float,
    micro_batches: int,
    team: Team,
    **options,
) -> dict[str, torch.Tensor]:
    """Add the gradient of the mean loss of `x` [B, L] to the parameters; return the loss and its
    terms, 0-d tensors.

    - `model`, `x` [B, L]: token ids of the whole batch, on every process the same.
    - `g`: noise. One micro-batch draws from `g` itself, several from generators that `g` seeds.
    - `stage`, `few_step`, `options`: as for `loss.training_loss`.
    - `micro_batches`: the batch falls into so many equal parts; their gradients, terms and encoder
      statistics are averaged.
    - `team`: the processes that share them.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> model = LatentDiffusion.preset("mdlm", task, width=16)
    >>> x, g = task.sample(4), randomness.generator(0)
    >>> list(backward(model, x, g, stage=2, few_step=0.0, micro_batches=2, team=Team("cpu")))
    ['loss', 'tokens']
    """
    if micro_batches == 1:
        loss = model.loss(x, g, stage, few_step, **options)
        loss.total.backward()
        return {"loss": loss.total.detach(), **loss.terms}
    seeds = torch.randint(2**31, (micro_batches,), generator=g, device=g.device).tolist()
    moving = model.encoder is not None and model.encoder.training
    merge = BufferMean(model.encoder, micro_batches) if moving else None
    share = micro_batches // team.size
    terms: dict[str, torch.Tensor] = {}
    for i in range(team.rank * share, (team.rank + 1) * share):
        rows = x[i * len(x) // micro_batches : (i + 1) * len(x) // micro_batches]
        loss = model.loss(rows, randomness.generator(seeds[i], g.device), stage, few_step, **options)
        (loss.total / micro_batches).backward()
        for name, value in {"loss": loss.total.detach(), **loss.terms}.items():
            terms[name] = terms.get(name, 0) + value / micro_batches
        if merge:
            merge.take(i)
    if team.size > 1:
        terms = dict(zip(terms, team.sum(list(terms.values())), strict=True))
        _sum_gradients([p for p in model.parameters() if p.requires_grad], team)
    if merge:
        merge.put(team.sum)
    return terms


def _sum_gradients(params: list, team: Team) -> None:
    """A parameter that no micro-batch in any process reached keeps the gradient None, which AdamW
    passes over."""
    mine = torch.tensor([float(p.grad is not None) for p in params], device=params[0].device)
    reached = team.sum([mine])[0].tolist()
    own = [p for p, n in zip(params, reached, strict=True) if n]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
    for p, grad in zip(own, team.sum(grads), strict=True):
        p.grad = grad

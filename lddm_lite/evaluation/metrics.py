"""Figures of merit that do not belong to one task: sliced Wasserstein, token entropy, response to the latents."""

from __future__ import annotations

import torch

from .checks import generator, randn

__all__ = ["sliced_wasserstein", "unigram_entropy", "z_response"]


def sliced_wasserstein(a: torch.Tensor, b: torch.Tensor, directions: int = 128, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance between two sample sets [n, D] of equal size, over random unit directions.

    Source: Bonneel et al. 2015. In units of the data; 0 for equal sets, not in nats.

    >>> sliced_wasserstein(torch.eye(4), torch.eye(4))
    0.0
    """
    a, b = a.double(), b.double()
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    w = randn((a.shape[1], directions), generator(seed)).double()
    w = w / w.norm(dim=0)
    gap = (a @ w).sort(0).values - (b @ w).sort(0).values
    return float(gap.pow(2).mean(0).mean().sqrt())


def unigram_entropy(x: torch.Tensor, vocab: int, pad_id: int | None = None) -> float:
    """Entropy in nats of the token frequencies in samples [B, L], padding left out.

    >>> round(unigram_entropy(torch.tensor([[0, 1]]), vocab=2), 4)
    0.6931
    """
    x = x.flatten()
    if pad_id is not None:
        x = x[x != pad_id]
    p = torch.bincount(x, minlength=vocab).double() / max(1, len(x))
    return float(-(p[p > 0] * p[p > 0].log()).sum())


@torch.no_grad()
def z_response(model, x0: torch.Tensor, seed: int = 0) -> float:
    """How much the tokens use the latents: the relative rise of the all-masked token loss when z is shuffled between
    sequences. 0 = ignored. x0 [B, L]; METHOD 5.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> z_response(LatentDiffusion.preset("co-seq", task, width=16), task.sample(8))  # untrained: nothing yet
    0.0
    """
    was = model.training
    model.eval()
    x0 = x0.to(model.device)
    g = generator(seed, model.device)
    t0, t1 = torch.zeros(len(x0), device=x0.device), torch.ones(len(x0), device=x0.device)
    x_t = model.tokens.corrupt(x0, t1, g, keep=~model.valid(x0))
    z = model.latents.corrupt(model.encode(x0, g), t0, g)
    where = x_t == model.tokens.mask_id
    own, other = (
        model.tokens.rate(x0, x_t, model.predict(x_t, v, t0, where, False).tokens, t1) for v in (z, z.roll(1, 0))
    )
    model.train(was)
    return float((other.mean() - own.mean()) / own.mean())

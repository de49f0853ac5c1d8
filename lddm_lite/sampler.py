"""The sampler: walk the knots of a path from pure noise to clean, one network call a segment. METHOD 7."""

from __future__ import annotations

import itertools

import torch

from . import checks
from .channels import draw_categorical
from .trace import Trace

__all__ = ["draw_lengths", "sample"]

TOP = 5  # alternatives remembered for each revealed position


def draw_lengths(share: torch.Tensor, n: int, g: torch.Generator) -> torch.Tensor:
    """n sequence lengths from the share [L+1] of each length 0..L in the training data: [n]."""
    return draw_categorical(share.clamp_min(1e-300).log().expand(n, -1), g)


@torch.no_grad()
def sample(
    model, start, knots, path, seed, temperature: float = 1.0, eta: float = 1.0, batch: int = 512, progress=None
) -> Trace:
    """Fill the masks of `start` [n, L] along `knots` and record everything in a Trace.

    Tokens that are not the mask in `start` are given: they stay as they are. `temperature` > 0 sharpens (< 1) or
    flattens token draws. `eta`: noise of the Gaussian reverse step, 1 ancestral, 0 DDIM. Draws come from one seed.
    `progress(done, total)` is called after each network call; what it raises ends the run.
    """
    if checks.number("temperature", temperature) <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature!r}")
    checks.number("eta", eta, 0.0, 1.0), checks.integer("batch", batch, minimum=1)
    g = checks.generator(seed, start.device)
    was_training = model.training
    model.eval()
    batches = start.split(batch)
    calls, total = itertools.count(1), len(batches) * (len(knots) - 1)
    told = (lambda: None) if progress is None else (lambda: progress(next(calls), total))
    try:
        parts = [_walk(model, rows, knots, g, temperature, eta, told) for rows in batches]
    finally:
        model.train(was_training)
    joined = {k: None if parts[0][k] is None else torch.cat([p[k] for p in parts], _AXIS.get(k, 0)) for k in parts[0]}
    return Trace(
        **{k: None if v is None else v.cpu().numpy() for k, v in joined.items()},
        knots=[(k.t_x, k.t_z) for k in knots],
        labels=model.labels,
        mask_id=model.tokens.mask_id,
        pad_id=model.config.pad_id,
        lead=path.lead,
        seed=seed if isinstance(seed, int) else -1,
        model=model.name,
    )


_AXIS = {"latents": 1}  # [steps + 1, n, ...]; all others are [n, ...]


def _walk(model, x, knots, g, temperature, eta, told) -> dict:
    n, device = len(x), x.device
    reveal_step = torch.where(x == model.tokens.mask_id, -1, 0)
    confidence = torch.ones(x.shape, device=device)
    top = min(TOP, model.config.vocab)
    alternatives = x.unsqueeze(-1).repeat(1, 1, top)
    alternative_probs = torch.zeros(*x.shape, top, device=device)
    z = None if model.latents is None else model.latents.prior(model.latent_shape(n), g).to(device)
    latents = None if z is None else [z]
    blank = bool((x[model.valid(x)] == model.tokens.mask_id).all())  # nothing given but padding
    lengths = model.valid(x).sum(1) if model.config.pad_id is not None else None
    for k, (a, b) in enumerate(zip(knots, knots[1:], strict=False), start=1):
        moves_x, moves_z = b.t_x < a.t_x, b.t_z < a.t_z
        where = model.tokens.to_reveal(x, a.t_x, b.t_x, g) if moves_x else None
        skip = blank and a.t_x == 1 and not moves_x  # only latents move and no token is seen
        t_z, s_z = (torch.full((n,), v, device=device) for v in (a.t_z, b.t_z))
        out = model.predict(None if skip else x, z, t_z, where, need_latents=moves_z, lengths=lengths)
        if moves_x:
            log_probs = out.tokens if temperature == 1 else (out.tokens / temperature).log_softmax(-1)
            x = model.tokens.reverse_step(x, log_probs, where, g)
            reveal_step = reveal_step.masked_fill(where, k)
            chosen = log_probs.gather(-1, x[where].unsqueeze(-1)).squeeze(-1)
            confidence = confidence.masked_scatter(where, chosen.exp().float())
            best = log_probs.topk(top, -1)
            spot = where.unsqueeze(-1)
            alternatives = alternatives.masked_scatter(spot, best.indices)
            alternative_probs = alternative_probs.masked_scatter(spot, best.values.exp().float())
        if moves_z:
            if model.config.latent == "continuous":
                z = model.latents.reverse_step(z, out.latents.to(z), t_z, s_z, g, eta)
            else:
                here = model.latents.to_reveal(z, a.t_z, b.t_z, g)
                z = model.latents.reverse_step(z, out.latents[here], here, g)
        if latents is not None:
            latents.append(z)
        told()
    return dict(
        tokens=x,
        reveal_step=reveal_step,
        confidence=confidence,
        alternatives=alternatives,
        alternative_probs=alternative_probs,
        latents=None if latents is None else torch.stack(latents),
    )

"""The line integral (M9) and what training makes of it: which noise times are visited, and at what weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .checks import rand

__all__ = ["Loss", "antithetic", "path_rates", "training_loss"]

LATENT_DRAWS = 4  # latent-only passes skip the token stream and cost next to nothing: take several per sequence


@dataclass
class Loss:
    """Terms of a training loss, nats per sequence, averaged over the batch. `total` is what is differentiated."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor]


def antithetic(n: int, g: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """n times in (0, 1], evenly spread with one random offset: ((u + i/n) mod 1). Each is uniform; their mean varies
    little (METHOD 10)."""
    u = rand((1,), g, like)
    return 1 - (u + torch.arange(n, device=like.device) / n) % 1


def path_rates(model, x0, z0, gap, t_x, g, t_z=None, training: bool = False):
    """One-draw estimates of both integrals of (M9) along the paths with the given gaps: (tokens [B], latents [B]).

    One full pass at (t_x, t_z = max(0, t_x - gap)) gives the token rate, and the latent rate where both channels move.
    The stretch t_z > 1 - gap, where all tokens are masked, takes a latent-only pass. `t_z` overrides the path: then
    both rates are taken at that point. `training` replaces (M7) by its training weight. Unbiased for uniform t_x.
    """
    valid = model.valid(x0)
    x_t = model.tokens.corrupt(x0, t_x, g, keep=~valid)
    where = x_t == model.tokens.mask_id
    if z0 is None:
        out = model.predict(x_t, None, None, where)
        return model.tokens.rate(x0, x_t, out.tokens, t_x), None
    on_path = t_z is None
    t_z = (t_x - gap).clamp_min(0) if on_path else t_z
    z_t = model.latents.corrupt(z0, t_z, g)
    moving = t_z > 0
    out = model.predict(x_t, z_t, t_z, where, need_latents=bool(moving.any()))
    tokens = model.tokens.rate(x0, x_t, out.tokens, t_x)
    latents = torch.zeros_like(tokens)
    if moving.any():
        # at t_z=0 the latents are done; a time of 1 there keeps the unused rate finite
        rate = _latent_rate(model, training)(z0, z_t, out.latents, torch.where(moving, t_z, torch.ones_like(t_z)))
        latents = latents + rate.to(tokens) * moving
    if on_path and bool((gap > 0).any()):
        k = LATENT_DRAWS
        zz, gg = z0.repeat_interleave(k, 0), gap.repeat_interleave(k)
        s = 1 - gg * (1 - antithetic(len(zz), g, gg)) if len(zz) else gg
        z_s = model.latents.corrupt(zz, s, g)
        lengths = valid.sum(1).repeat_interleave(k) if model.config.pad_id is not None else None
        out = model.predict(None, z_s, s, None, lengths=lengths)
        alone = _latent_rate(model, training)(zz, z_s, out.latents, s).to(tokens) * gg
        latents = latents + alone.unflatten(0, (-1, k)).mean(1)
    return tokens, latents


def _latent_rate(model, training: bool):
    return model.latents.training_loss if training and model.config.latent == "continuous" else model.latents.rate


def training_loss(model, x0: torch.Tensor, g: torch.Generator, stage: int = 2, few_step: float = 0.25) -> Loss:
    """The loss of one batch x0 [B, L].

    Stage 1 trains encoder and token stream: latent noise is lighter than the path's, and no latent loss is taken.
    Stage 2 leaves the encoder alone and trains both terms. Times come from the system's own path (`own_share`), from
    random leads, and off any path (`off_path_share`), so that one set of weights serves every lead, and infilling.

    `few_step` is the share of token times moved to the beginning of sampling. In stage 1, and where latents lead, that
    is t_x = 1, the state from which a one-step sampler draws everything. There the loss is sum_i -log p(x_i | z), (M4)
    for a single step: by (M12) it falls only as z carries what the tokens share. The plain integral cannot tell such
    a z from one that copies a few tokens, since both lower it by I(x; z). Elsewhere it is the neighbourhood of t_x = 1,
    where the first few tokens decide what all share, and a mistake spoils the rest.
    """
    c, b = model.config, len(x0)
    t_x = antithetic(b, g, x0)
    if c.latent == "none":
        tokens, _ = path_rates(model, x0, None, None, _early(t_x, few_step, g, at_once=False), g)
        return Loss(tokens.mean(), {"tokens": tokens.mean().detach()})
    pick = rand((b,), g, x0)
    lead = torch.where(pick < c.own_share, torch.full_like(pick, c.lead), rand((b,), g, x0) / 2)
    off = pick > 1 - c.off_path_share
    gap = lead / (1 - lead)
    t_x = _early(t_x, few_step, g, at_once=stage == 1 or c.lead == 0.5)
    if stage == 1:
        return _encoder_loss(model, x0, gap, t_x, g)
    with torch.no_grad():
        z0 = model.encode(x0, g)
    tokens, latents = t_x.new_zeros(b), t_x.new_zeros(b)
    on, off = (~off).nonzero()[:, 0], off.nonzero()[:, 0]
    for rows, t_z in ((on, None), (off, rand((len(off),), g, x0).clamp_min(1e-3))):
        if len(rows):
            part = path_rates(model, x0[rows], z0[rows], gap[rows], t_x[rows], g, t_z, training=True)
            tokens, latents = tokens.index_add(0, rows, part[0]), latents.index_add(0, rows, part[1])
    terms = {"tokens": tokens.mean(), "latents": latents.mean()}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})


def _early(t_x, few_step: float, g, at_once: bool):
    """Times with a share of them moved to t_x = 1, or (not `at_once`) crowded towards it."""
    early = torch.ones_like(t_x) if at_once else 1 - (1 - t_x) ** 3
    return torch.where(rand(t_x.shape, g, t_x) < few_step, early, t_x)


def _encoder_loss(model, x0, gap, t_x, g) -> Loss:
    """Stage 1: the token term with gradients into the encoder."""
    t_z = (t_x - gap).clamp_min(0) * rand((len(x0),), g, x0)
    x_t = model.tokens.corrupt(x0, t_x, g, keep=~model.valid(x0))
    if model.config.latent == "continuous":
        z_in, extra = model.latents.corrupt(model.encoder(x0), t_z, g), {}
    else:
        codes, vectors, commit = model.encoder.quantise(x0, g)
        masked = model.latents.corrupt(codes, t_z, g) == model.latents.mask_id
        z_in = torch.where(masked.unsqueeze(-1), model.denoiser.mask_vector, vectors)
        extra = {"commit": commit.mean()}
    out = model.predict(x_t, z_in, t_z, x_t == model.tokens.mask_id, need_latents=False)
    terms = {"tokens": model.tokens.rate(x0, x_t, out.tokens, t_x).mean(), **extra}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})

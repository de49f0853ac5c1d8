"""The line integral (M9) and what training makes of it: which noise times are visited, and at what weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .checks import rand

__all__ = ["Loss", "antithetic", "curve_rates", "path_rates", "training_loss"]

LATENT_VECTORS = 4  # latent-only passes skip the token stream: with few slots they cost little, and several are taken


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


def path_rates(model, x0, z0, gap, t_x, g, t_off=None, training: bool = False):
    """One-draw estimates of both integrals of (M9) along the paths with the given gaps: (tokens [B], latents [B]).

    One full pass at (t_x, t_z = max(0, t_x - gap)) gives the token rate, and the latent rate where both channels move.
    The stretch t_z > 1 - gap, where all tokens are masked, takes a latent-only pass. `t_off` [k]: latent times of the
    last k sequences, which are off any path: for them both rates are taken at that point alone. `training` replaces
    (M7) by its training weight. Unbiased for uniform t_x.
    """
    valid = model.valid(x0)
    if z0 is None:
        x_t = model.tokens.corrupt(x0, t_x, g, keep=~valid)
        out = model.predict(x_t, None, None, x_t == model.tokens.mask_id)
        return model.tokens.rate(x0, x_t, out.tokens, t_x), None
    t_off = t_x[:0] if t_off is None else t_off
    on = len(x0) - len(t_off)
    t_z = torch.cat([(t_x - gap).clamp_min(0)[:on], t_off])

    def noise(rows):
        x_t = model.tokens.corrupt(x0[rows], t_x[rows], g, keep=~valid[rows])
        return x_t, model.latents.corrupt(z0[rows], t_z[rows], g)

    on_path = noise(slice(on))
    alone = _latents_alone(model, z0[:on], gap[:on], valid[:on].sum(1), g, training)
    x_t, z_t = on_path
    if len(t_off):  # drawn last, but sharing the pass: two small ones would cost more
        x_t, z_t = (torch.cat(both) for both in zip(on_path, noise(slice(on, None)), strict=True))
    moving = t_z > 0
    out = model.predict(x_t, z_t, t_z, x_t == model.tokens.mask_id, need_latents=bool(moving.any()))
    tokens = model.tokens.rate(x0, x_t, out.tokens, t_x)
    latents = torch.cat([alone.to(tokens), tokens.new_zeros(len(t_off))])
    if moving.any():
        # at t_z=0 the latents are done; a time of 1 there keeps the unused rate finite
        rate = _latent_rate(model, training)(z0, z_t, out.latents, torch.where(moving, t_z, torch.ones_like(t_z)))
        latents = latents + rate.to(tokens) * moving
    return tokens, latents


def curve_rates(model, x0, z0, curve, u, g):
    """One-draw estimates of both integrals of (M9) along a `Curve` at parameters u [B]: (tokens [B], latents [B]), the
    second None without latents. Unbiased for uniform u."""
    (t_x, t_z), (dx, dz) = curve.at(u), curve.slope(u)
    valid = model.valid(x0)
    x_t = model.tokens.corrupt(x0, t_x, g, keep=~valid)
    z_t = None if z0 is None else model.latents.corrupt(z0, t_z, g)
    out = model.predict(x_t, z_t, None if z0 is None else t_z, x_t == model.tokens.mask_id)

    def part(channel, clean, noised, said, t, slope):
        # where a channel rests its rate counts nothing; a time of 1 keeps it finite
        rate = channel.rate(clean, noised, said, torch.where((slope > 0) & (t > 0), t, torch.ones_like(t)))
        return rate * slope.to(rate) * ((slope > 0) & (t > 0))

    tokens = part(model.tokens, x0, x_t, out.tokens, t_x, dx)
    return tokens, None if z0 is None else part(model.latents, z0, z_t, out.latents, t_z, dz).to(tokens)


def _latents_alone(model, z0, gap, lengths, g, training: bool) -> torch.Tensor:
    """The latent integral of (M9) over the stretch t_z > 1 - gap, where no token is seen: [B]."""
    rate = torch.zeros_like(gap)
    if not bool((gap > 0).any()):
        return rate
    draws = max(1, LATENT_VECTORS // z0.shape[1])  # per sequence
    z0, gap, lengths = (t.repeat_interleave(draws, 0) for t in (z0, gap, lengths))
    s = 1 - gap * (1 - antithetic(len(z0), g, gap))
    z_s = model.latents.corrupt(z0, s, g)
    at = gap.nonzero().squeeze(1)  # the others have no such stretch
    z0, z_s, s = z0[at], z_s[at], s[at]
    out = model.predict(None, z_s, s, None, lengths=lengths[at])
    alone = _latent_rate(model, training)(z0, z_s, out.latents, s)
    return alone.new_zeros(len(gap)).index_put((at,), alone * gap[at]).unflatten(0, (-1, draws)).mean(1)


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
    t_off = rand((int(off.sum()),), g, x0).clamp_min(1e-3)
    order = off.long().argsort(stable=True)  # those off the path come last
    tokens, latents = path_rates(model, *(v[order] for v in (x0, z0, gap, t_x)), g, t_off, training=True)
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

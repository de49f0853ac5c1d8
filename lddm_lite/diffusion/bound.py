"""The bound on -log p(x): the line integral (M9) and its rates, continuous in time or in finite
steps (M4, M7).

Each term is in nats per sequence and has its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .._common import arguments, randomness
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import Channel, MaskedNoise, Model
from .._common.randomness import rand
from .channels import GaussianChannel
from .paths import Curve, Schedule
from .unmasking_order import choose, still_masked

__all__ = ["Nelbo", "antithetic", "curve_rates", "nelbo", "path_rates"]

LATENT_VECTORS = 4  # latent-only passes skip the token stream: with few slots they cost little, and several are taken


@dataclass(frozen=True)
class Nelbo:
    """Upper bound on -log p(x) in nats per sequence, and its terms. `nfe` is 0 for continuous time.
    """

    tokens: Estimate
    latents: Estimate
    prior: Estimate
    total: Estimate
    nats_per_token: float
    nfe: int = 0

    def __str__(self) -> str:
        return (
            f"NELBO {self.total} nats/sequence ({self.nats_per_token:.4f} nats/token)"
            f" = tokens {self.tokens} + latents {self.latents} + prior {self.prior}"
        )


@torch.no_grad()
def nelbo(
    model: Model,
    x,
    path=None,
    token_steps: int | None = None,
    latent_steps: int | None = None,
    draws: int = 1,
    seed: int = 0,
    batch: int = 512,
    order: str = "ancestral",
) -> Nelbo:
    """Estimate the bound of `model` on sequences x [B, L].

    Without `token_steps` the continuous-time line integral (M9); with it, or a Schedule, a bound on
    what the sampler that takes those steps loses (M12), loose once latents are involved: only their
    tokens are looked at in the end.

    - `path`: a Path, a Curve or a Schedule; None for the model's own.
    - `draws`: independent noise draws per sequence, averaged before the standard error is taken.
    - `seed`, `batch`: of the noise; sequences in one network call.
    - `order`: of the sampler that takes the steps: "ancestral", or "even", which reveals counts
      fixed beforehand (`unmasking_order`).

    ValueError for arguments that do not fit together.
    """
    path = path or model.path
    x = model.check_tokens("x", x)
    arguments.integer("draws", draws, minimum=1)
    arguments.integer("batch", batch, minimum=1)
    if order not in ("ancestral", "even"):
        raise ValueError(f"order must be ancestral or even, under which there is a bound; got {order!r}")
    in_steps = token_steps is not None or isinstance(path, Schedule)
    if order == "even" and not in_steps:
        raise ValueError("order='even' is about steps: give token_steps, or a Schedule as path")
    if not in_steps and latent_steps is not None:
        raise ValueError(f"latent_steps={latent_steps!r} needs token_steps; without both, time is continuous")
    g = randomness.generator(seed, x.device)
    tokens, latents, prior, nfe = [], [], [], 0
    with evaluating(model):
        for rows in x.split(batch):
            for _ in range(draws):
                z0 = model.encode(rows, g)
                if in_steps:
                    knots = model.knots(path, token_steps, latent_steps)
                    nfe = len(knots) - 1
                    a, b = _finite(model, rows, z0, knots, g, order)
                elif isinstance(path, Curve):
                    a, b = curve_rates(model, rows, z0, path, antithetic(len(rows), g, rows), g)
                else:
                    gap = torch.full((len(rows),), path.gap, device=x.device)
                    a, b = path_rates(model, rows, z0, gap, antithetic(len(rows), g, rows), g)
                tokens.append(a)
                latents.append(torch.zeros_like(a) if b is None else b)
                gaussian = model.config.latent == "continuous"
                prior.append(model.latent_channel.prior_kl(z0).to(a) if gaussian else torch.zeros_like(a))

    def gather(parts):
        per_batch = [torch.stack(parts[i : i + draws]).double().mean(0) for i in range(0, len(parts), draws)]
        return torch.cat(per_batch)

    terms = [gather(parts) for parts in (tokens, latents, prior)]
    total = terms[0] + terms[1] + terms[2]
    per_token = float(total.sum() / model.valid(x).sum())
    means = [Estimate.of(v) for v in terms]
    return Nelbo(means[0], means[1], means[2], Estimate.of(total), per_token, nfe)


def _finite(model: Model, x0, z0, knots, g, order: str):
    """Sum of the step costs over the segments between knots: (tokens [B], latents [B])."""
    tokens = latents = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    valid = model.valid(x0)

    def noised(channel: MaskedNoise | GaussianChannel, clean, t: float, s: float, keep):
        """(noised, t [B], s [B]): times as shares that are masked, where these are fixed."""
        times = torch.full((len(clean),), t, device=x0.device), torch.full((len(clean),), s, device=x0.device)
        if isinstance(channel, GaussianChannel):
            return channel.corrupt(clean, times[0], g), *times
        if order == "ancestral":
            return channel.corrupt(clean, times[0], g, keep=~keep), *times
        n = keep.sum(1)
        left = [still_masked(n, v) for v in (t, s)]
        hidden = choose(keep, n - left[0], g)
        return clean.masked_fill(hidden, channel.mask_id), left[0] / n, left[1] / n

    for a, b in zip(knots, knots[1:], strict=False):
        moves_x, moves_z = b.t_x < a.t_x, b.t_z < a.t_z
        # before the first token move nothing is visible, so the token stream can be skipped
        skip = a.t_x == 1 and not moves_x
        x_t: Any = None
        t_x = s_x = z_t = t_z = s_z = x_t
        if not skip:
            x_t, t_x, s_x = noised(model.token_channel, x0, a.t_x, b.t_x, valid)
        if z0 is not None:
            all_slots = torch.ones(z0.shape[:2], dtype=torch.bool, device=z0.device)
            z_t, t_z, s_z = noised(model.latent_channel, z0, a.t_z, b.t_z, all_slots)
        where = x_t == model.token_channel.mask_id if moves_x else None
        lengths = valid.sum(1) if skip and model.config.pad_id is not None else None
        at = torch.full((len(x0),), a.t_z, device=x0.device)
        out = model.predict(x_t, z_t, at, where, need_latents=moves_z, lengths=lengths)
        if moves_x:
            tokens = tokens + model.token_channel.step_cost(x0, x_t, out.tokens, t_x, s_x).double()
        if moves_z:
            latents = latents + model.latent_channel.step_cost(z0, z_t, out.latents, t_z, s_z).double()
    return tokens, latents


def antithetic(n: int, g: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """n times in (0, 1], evenly spread with one random offset: ((u + i/n) mod 1). Each is uniform;
    their mean varies little (METHOD 10)."""
    u = rand((1,), g, like)
    return 1 - (u + torch.arange(n, device=like.device) / n) % 1


def path_rates(model: Model, x0, z0, gap, t_x, g, t_off=None, training: bool = False):
    """One-draw estimates of both integrals of (M9) along the paths with the given gaps: (tokens
    [B], latents [B]).

    One full pass at (t_x, t_z = max(0, t_x - gap)) gives the token rate, and the latent rate where
    both channels move. The stretch t_z > 1 - gap, where all tokens are masked, takes a latent-only
    pass. `t_off` [k]: latent times of the last k sequences, which are off any path: for them both
    rates are taken at that point alone. `training` replaces (M7) by its training weight. Unbiased
    for uniform t_x.
    """
    valid = model.valid(x0)
    if z0 is None:
        x_t = model.token_channel.corrupt(x0, t_x, g, keep=~valid)
        out = model.predict(x_t, None, None, x_t == model.token_channel.mask_id)
        return model.token_channel.rate(x0, x_t, out.tokens, t_x), None
    t_off = t_x[:0] if t_off is None else t_off
    on = len(x0) - len(t_off)
    t_z = torch.cat([(t_x - gap).clamp_min(0)[:on], t_off])

    def noise(rows):
        x_t = model.token_channel.corrupt(x0[rows], t_x[rows], g, keep=~valid[rows])
        return x_t, model.latent_channel.corrupt(z0[rows], t_z[rows], g)

    on_path = noise(slice(on))
    alone = _latents_alone(model, z0[:on], gap[:on], valid[:on].sum(1), g, training)
    x_t, z_t = on_path
    if len(t_off):  # drawn last, but sharing the pass: two small ones would cost more
        x_t, z_t = (torch.cat(both) for both in zip(on_path, noise(slice(on, None)), strict=True))
    moving = t_z > 0
    out = model.predict(x_t, z_t, t_z, x_t == model.token_channel.mask_id, need_latents=bool(moving.any()))
    tokens = model.token_channel.rate(x0, x_t, out.tokens, t_x)
    latents = torch.cat([alone.to(tokens), tokens.new_zeros(len(t_off))])
    if moving.any():
        # at t_z=0 the latents are done; a time of 1 there keeps the unused rate finite
        rate = _latent_rate(model, training)(z0, z_t, out.latents, torch.where(moving, t_z, torch.ones_like(t_z)))
        latents = latents + rate.to(tokens) * moving
    return tokens, latents


def curve_rates(model: Model, x0, z0, curve, u, g):
    """One-draw estimates of both integrals of (M9) along a `Curve` at parameters u [B]: (tokens
    [B], latents [B]), the second None without latents. Unbiased for uniform u."""
    (t_x, t_z), (dx, dz) = curve.at(u), curve.slope(u)
    valid = model.valid(x0)
    x_t = model.token_channel.corrupt(x0, t_x, g, keep=~valid)
    z_t = None if z0 is None else model.latent_channel.corrupt(z0, t_z, g)
    out = model.predict(x_t, z_t, None if z0 is None else t_z, x_t == model.token_channel.mask_id)

    def part(channel: Channel, clean, noised, said, t, slope):
        # where a channel rests its rate counts nothing; a time of 1 keeps it finite
        rate = channel.rate(clean, noised, said, torch.where((slope > 0) & (t > 0), t, torch.ones_like(t)))
        return rate * slope.to(rate) * ((slope > 0) & (t > 0))

    tokens = part(model.token_channel, x0, x_t, out.tokens, t_x, dx)
    return tokens, None if z0 is None else part(model.latent_channel, z0, z_t, out.latents, t_z, dz).to(tokens)


def _latents_alone(model: Model, z0, gap, lengths, g, training: bool) -> torch.Tensor:
    """The latent integral of (M9) over the stretch t_z > 1 - gap, where no token is seen: [B]."""
    rate = torch.zeros_like(gap)
    if not bool((gap > 0).any()):
        return rate
    draws = max(1, LATENT_VECTORS // z0.shape[1])  # per sequence
    z0, gap, lengths = (t.repeat_interleave(draws, 0) for t in (z0, gap, lengths))
    s = 1 - gap * (1 - antithetic(len(z0), g, gap))
    z_s = model.latent_channel.corrupt(z0, s, g)
    at = gap.nonzero().squeeze(1)  # the others have no such stretch
    z0, z_s, s = z0[at], z_s[at], s[at]
    out = model.predict(None, z_s, s, None, lengths=lengths[at])
    alone = _latent_rate(model, training)(z0, z_s, out.latents, s)
    return alone.new_zeros(len(gap)).index_put((at,), alone * gap[at]).unflatten(0, (-1, draws)).mean(1)


def _latent_rate(model: Model, training: bool):
    channel = model.latent_channel
    return channel.training_loss if training and model.config.latent == "continuous" else channel.rate

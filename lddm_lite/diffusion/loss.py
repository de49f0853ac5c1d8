"""The training loss in two stages: which noise times are visited, and at what weight. METHOD 5."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._common import schemas
from .._common.arguments import shown
from .._common.protocols import Model
from .._common.randomness import rand
from .bound import LATENT_VECTORS, antithetic

__all__ = ["WEIGHTS", "Loss", "path_rates", "training_loss"]

WEIGHTS = ("time", "counts", "one")  # of a masked token in the loss of its sequence
TOLD = 0.5  # share of the sequences of data with classes that are learned given their class


@dataclass
class Loss:
    """Terms of a training loss, nats per sequence, averaged over the batch. `total` is what is
    differentiated."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor]


@schemas.checked(
    "model", "g", x0=schemas.ids, stage=schemas.whole(1, maximum=2), few_step=schemas.number(0.0, 1.0),
    weight=schemas.choice(*WEIGHTS), told=schemas.number(0.0, 1.0),
)  # fmt: skip
def training_loss(
    model: Model,
    x0: torch.Tensor,
    g: torch.Generator,
    stage: int = 2,
    few_step: float = 0.25,
    weight: str = "counts",
    told: float = TOLD,
) -> Loss:
    """Training loss of one batch: a `Loss`, nats per sequence.

    Times come from the system's own path (`own_share`), from random leads, and off any path
    (`off_path_share`), so that one set of weights serves every lead, and infilling.

    - `model`: its config has these shares; without latents there is one stage.
    - `x0` [B, L]: clean ids on the model's device.
    - `g`: all times and noise.
    - `stage`: 1 trains encoder and token stream: latent noise is lighter than the path's, and no
      latent loss is taken. 2 leaves the encoder alone and trains both terms.
    - `few_step`: the share of token times moved to the beginning of sampling, in [0, 1].
    - `weight`: of a masked token. "time": 1/t as in (M3); "counts": n/k with k of n tokens masked,
      of the same mean and of less variance (`MaskedChannel.corrupt_by_count`); or "one": plain
      cross-entropy, which is no bound: it looks more at what many masks leave open. Codes that move
      before all tokens are weighted by counts with the latter two.
    - `told`: of data with classes (`tasks.from_arrays`), the share of sequences whose class, their
      first token, is not masked; their loss is that of the rest given the class. Half of those are
      taken, where there are latents, at t_x = 1 and any t_z: where sampling by class begins. A
      class that were masked like any token would stand there alone once in some L / few_step times.

    The beginning of sampling is, in stage 1 and where latents lead, t_x = 1, the state from which a
    one-step sampler draws everything. There the loss is sum_i -log p(x_i | z), (M4) for a single
    step. A latent lowers it by sum_i I(x_i; z): what many tokens share counts once for each of
    them. The plain integral falls by I(x; z), whether z tells what all share or copies a few
    tokens. Elsewhere it is the neighbourhood of t_x = 1, where the first few tokens decide what all
    share, and a mistake spoils the rest.

    ValueError for another `weight`.
    """
    if weight not in WEIGHTS:
        raise ValueError(f"weight must be one of {', '.join(WEIGHTS)}; got {shown(weight)}")
    c, b = model.config, len(x0)
    t_x = antithetic(b, g, x0)
    asked = rand((b,), g, x0) < told if model.data.get("classes") else None
    if c.latent == "none":
        t_x = _early(t_x, few_step, g, at_once=False)
        tokens, _ = path_rates(model, x0, None, None, t_x, g, weight=weight, told=asked)
        return Loss(tokens.mean(), {"tokens": tokens.mean().detach()})
    pick = rand((b,), g, x0)
    lead = torch.where(pick < c.own_share, torch.full_like(pick, c.lead), rand((b,), g, x0) / 2)
    off = pick > 1 - c.off_path_share
    gap = lead / (1 - lead)
    t_x = _early(t_x, few_step, g, at_once=stage == 1 or c.lead == 0.5)
    if stage == 1:
        return _encoder_loss(model, x0, gap, t_x, g, weight, asked)
    if asked is not None:
        begins = asked & (rand((b,), g, x0) < 0.5)
        off, t_x = off | begins, torch.where(begins, torch.ones_like(t_x), t_x)
    with torch.no_grad():
        z0 = model.encode(x0, g)
    t_off = rand((int(off.sum()),), g, x0).clamp_min(1e-3)
    order = off.long().argsort(stable=True)  # those off the path come last
    x0, z0, gap, t_x = (v[order] for v in (x0, z0, gap, t_x))
    asked = None if asked is None else asked[order]
    tokens, latents = path_rates(model, x0, z0, gap, t_x, g, t_off, weight, asked)
    terms = {"tokens": tokens.mean(), "latents": latents.mean()}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})


def _early(t_x, few_step: float, g, at_once: bool):
    """Times with a share of them moved to t_x = 1, or (not `at_once`) crowded towards it."""
    early = torch.ones_like(t_x) if at_once else 1 - (1 - t_x) ** 3
    return torch.where(rand(t_x.shape, g, t_x) < few_step, early, t_x)


def _encoder_loss(model: Model, x0, gap, t_x, g, weight: str, told) -> Loss:
    """Stage 1: the token term with gradients into the encoder."""
    x_t, t_x, share = _mask_tokens(model, x0, t_x, g, weight, told)
    t_z = (t_x - gap).clamp_min(0) * rand((len(x0),), g, x0)
    if model.config.latent == "continuous":
        z_in, extra = model.latent_channel.corrupt(model.encoder(x0), t_z, g), {}
    else:
        codes, vectors, commit = model.encoder.quantise(x0, g)
        masked = model.latent_channel.corrupt(codes, t_z, g) == model.latent_channel.mask_id
        z_in = torch.where(masked.unsqueeze(-1), model.denoiser.mask_vector, vectors)
        extra = {"commit": commit.mean()}
    out = model.predict(x_t, z_in, t_z, x_t == model.token_channel.mask_id, need_latents=False)
    terms = {"tokens": model.token_channel.rate(x0, x_t, out, share).mean(), **extra}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})


def path_rates(model: Model, x0, z0, gap, t_x, g, t_off=None, weight: str = "time", told=None):
    """One-draw estimates of both integrals of (M9) along the paths with the given gaps, the latent
    one with its training weight: (tokens [B], latents [B]).

    One full pass at (t_x, t_z = max(0, t_x - gap)) gives the token rate, and the latent rate where
    both channels move. The stretch t_z > 1 - gap, where all tokens are masked, takes a latent-only
    pass. Tokens are unbiased for uniform t_x and any `weight` but "one".

    - `model`, `x0` [B, L]: clean ids on its device;
    - `z0`: their latents, [B, m, d] or codes [B, m]; None without latents, whose rate is None then;
    - `gap` [B]: of the path of each sequence, t_x - t_z while both move; None without latents;
    - `t_x` [B]: token times, in (0, 1]; but for `weight` "time", shares of the tokens to mask;
    - `g`: what all noise is drawn from;
    - `t_off` [k]: latent times of the last k sequences, which are off any path: for them both rates
      are taken at that point alone. None for no such sequences;
    - `weight`: as for `training_loss`;
    - `told` [B]: bool, sequences whose first token is not masked; None for no such sequences.
    """
    x_t, t_x, share = _mask_tokens(model, x0, t_x, g, weight, told)
    if z0 is None:
        out = model.predict(x_t, None, None, x_t == model.token_channel.mask_id)
        return model.token_channel.rate(x0, x_t, out, share), None
    t_off = t_x[:0] if t_off is None else t_off
    on = len(x0) - len(t_off)
    t_z = torch.cat([(t_x - gap).clamp_min(0)[:on], t_off])
    z_t, share_z = model.latent_channel.corrupt(z0, t_z, g), t_z
    if told is not None and len(t_off) and model.config.latent == "discrete" and weight != "time":  # 1/t has no end
        z_k, t_k, by_count = model.latent_channel.corrupt_by_count(z0[on:], t_off, g)
        z_t, t_z, share_z = (torch.cat([v[:on], w]) for v, w in ((z_t, z_k), (t_z, t_k), (t_z, by_count)))
    alone = _latents_alone(model, z0[:on], gap[:on], model.valid(x0)[:on].sum(1), g, weight)
    moving = t_z > 0
    out = model.predict(x_t, z_t, t_z, x_t == model.token_channel.mask_id, need_latents=bool(moving.any()))
    tokens = model.token_channel.rate(x0, x_t, out, share)
    latents = torch.cat([alone.to(tokens), tokens.new_zeros(len(t_off))])
    if moving.any():
        # at t_z=0 the latents are done; a time of 1 there keeps the unused rate finite
        rate = _latent_rate(model)(z0, z_t, out.latents, torch.where(moving, share_z, torch.ones_like(t_z)))
        latents = latents + rate.to(tokens) * moving
    return tokens, latents


def _mask_tokens(model: Model, x0, t, g, weight: str, told=None):
    """(x_t [B, L], t_x [B], what the rate (M3) divides by [B]) at times, or shares of counts, t."""
    keep = ~model.valid(x0)
    if told is not None:
        keep[:, 0] |= told
    if weight == "time":
        return model.token_channel.corrupt(x0, t, g, keep=keep), t, t
    x_t, t_x, share = model.token_channel.corrupt_by_count(x0, t, g, keep=keep)
    return x_t, t_x, share if weight == "counts" else torch.ones_like(t)


def _latents_alone(model: Model, z0, gap, lengths, g, weight: str) -> torch.Tensor:
    """The latent integral of (M9) over the stretch t_z > 1 - gap, where no token is seen: [B]."""
    rate = torch.zeros_like(gap)
    if not bool((gap > 0).any()):
        return rate
    draws = max(1, LATENT_VECTORS // z0.shape[1])  # per sequence
    if model.config.latent == "discrete" and z0.shape[1] == 1 and weight != "time":  # masked: nothing to draw
        draws = 1
    z0, gap, lengths = (t.repeat_interleave(draws, 0) for t in (z0, gap, lengths))
    u = antithetic(len(z0), g, gap)
    s = share = 1 - gap * (1 - u)
    z_s = model.latent_channel.corrupt(z0, s, g)
    if model.config.latent == "discrete" and weight != "time":  # 1/s has no end where the stretch begins at 0
        whole, (z_k, t_k, by_count) = gap == 1, model.latent_channel.corrupt_by_count(z0, u, g)
        s, share = torch.where(whole, t_k, s), torch.where(whole, by_count, s)
        z_s = torch.where(whole.unsqueeze(1), z_k, z_s)
    at = gap.nonzero().squeeze(1)  # the others have no such stretch
    z0, z_s, s, share = z0[at], z_s[at], s[at], share[at]
    out = model.predict(None, z_s, s, None, lengths=lengths[at])
    alone = _latent_rate(model)(z0, z_s, out.latents, share)
    return alone.new_zeros(len(gap)).index_put((at,), alone * gap[at]).unflatten(0, (-1, draws)).mean(1)


def _latent_rate(model: Model):
    channel = model.latent_channel
    return channel.training_loss if model.config.latent == "continuous" else channel.rate

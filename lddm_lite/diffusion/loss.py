"""The training loss in two stages: which noise times are visited, and at what weight. METHOD 5."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._common.protocols import Model
from .._common.randomness import rand
from .bound import antithetic, path_rates

__all__ = ["Loss", "training_loss"]


@dataclass
class Loss:
    """Terms of a training loss, nats per sequence, averaged over the batch. `total` is what is
    differentiated."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor]


def training_loss(
    model: Model, x0: torch.Tensor, g: torch.Generator, stage: int = 2, few_step: float = 0.25
) -> Loss:
    """The loss of one batch x0 [B, L].

    Stage 1 trains encoder and token stream: latent noise is lighter than the path's, and no latent
    loss is taken. Stage 2 leaves the encoder alone and trains both terms. Times come from the
    system's own path (`own_share`), from random leads, and off any path (`off_path_share`), so that
    one set of weights serves every lead, and infilling.

    `few_step` is the share of token times moved to the beginning of sampling. In stage 1, and where
    latents lead, that is t_x = 1, the state from which a one-step sampler draws everything. There
    the loss is sum_i -log p(x_i | z), (M4) for a single step. A latent lowers it by sum_i I(x_i; z):
    what many tokens share counts once for each of them. The plain integral falls by I(x; z), whether
    z tells what all share or copies a few tokens. Elsewhere it is the neighbourhood of t_x = 1,
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
    x0, z0, gap, t_x = (v[order] for v in (x0, z0, gap, t_x))
    tokens, latents = path_rates(model, x0, z0, gap, t_x, g, t_off, training=True)
    terms = {"tokens": tokens.mean(), "latents": latents.mean()}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})


def _early(t_x, few_step: float, g, at_once: bool):
    """Times with a share of them moved to t_x = 1, or (not `at_once`) crowded towards it."""
    early = torch.ones_like(t_x) if at_once else 1 - (1 - t_x) ** 3
    return torch.where(rand(t_x.shape, g, t_x) < few_step, early, t_x)


def _encoder_loss(model: Model, x0, gap, t_x, g) -> Loss:
    """Stage 1: the token term with gradients into the encoder."""
    t_z = (t_x - gap).clamp_min(0) * rand((len(x0),), g, x0)
    x_t = model.token_channel.corrupt(x0, t_x, g, keep=~model.valid(x0))
    if model.config.latent == "continuous":
        z_in, extra = model.latent_channel.corrupt(model.encoder(x0), t_z, g), {}
    else:
        codes, vectors, commit = model.encoder.quantise(x0, g)
        masked = model.latent_channel.corrupt(codes, t_z, g) == model.latent_channel.mask_id
        z_in = torch.where(masked.unsqueeze(-1), model.denoiser.mask_vector, vectors)
        extra = {"commit": commit.mean()}
    out = model.predict(x_t, z_in, t_z, x_t == model.token_channel.mask_id, need_latents=False)
    terms = {"tokens": model.token_channel.rate(x0, x_t, out.tokens, t_x).mean(), **extra}
    return Loss(sum(terms.values()), {k: v.detach() for k, v in terms.items()})

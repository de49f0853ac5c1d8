"""The bound on -log p(x), each term in nats with its standard error: continuous time (M9) or finite steps (M4, M7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from . import checks
from .estimate import Estimate
from .objective import antithetic, curve_rates, path_rates
from .paths import Curve

__all__ = ["Nelbo", "nelbo"]


@dataclass(frozen=True)
class Nelbo:
    """Upper bound on -log p(x) in nats per sequence, and its terms. `nfe` is 0 for continuous time."""

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
    model, x, path=None, token_steps=None, latent_steps=None, draws: int = 1, seed: int = 0, batch: int = 512
) -> Nelbo:
    """Estimate the bound of `model` on sequences x [B, L] along `path`, a Path or a Curve (default: the model's own).

    Without `token_steps` the continuous-time line integral (M9); with it, a bound on what the sampler that takes those
    steps loses (M12), loose once latents are involved: only their tokens are looked at in the end.
    `draws` independent noise draws per sequence are averaged before the standard error is taken.
    """
    was_training = model.training
    model.eval()
    path = path or model.path
    x = model.check_tokens("x", x)
    checks.integer("draws", draws, minimum=1), checks.integer("batch", batch, minimum=1)
    if token_steps is None and latent_steps is not None:
        raise ValueError(f"latent_steps={latent_steps!r} needs token_steps; without both, time is continuous")
    g = checks.generator(seed, x.device)
    tokens, latents, prior, nfe = [], [], [], 0
    for rows in x.split(batch):
        for _ in range(draws):
            z0 = model.encode(rows, g)
            if token_steps is None and isinstance(path, Curve):
                a, b = curve_rates(model, rows, z0, path, antithetic(len(rows), g, rows), g)
            elif token_steps is None:
                gap = torch.full((len(rows),), path.gap, device=x.device)
                a, b = path_rates(model, rows, z0, gap, antithetic(len(rows), g, rows), g)
            else:
                knots = model.knots(path, token_steps, latent_steps)
                nfe = len(knots) - 1
                a, b = _finite(model, rows, z0, knots, g)
            tokens.append(a)
            latents.append(torch.zeros_like(a) if b is None else b)
            gaussian = model.config.latent == "continuous"
            prior.append(model.latents.prior_kl(z0).to(a) if gaussian else torch.zeros_like(a))
    model.train(was_training)

    def gather(parts):
        per_batch = [torch.stack(parts[i : i + draws]).double().mean(0) for i in range(0, len(parts), draws)]
        return torch.cat(per_batch)

    tokens, latents, prior = gather(tokens), gather(latents), gather(prior)
    total = tokens + latents + prior
    per_token = float(total.sum() / model.valid(x).sum())
    return Nelbo(*(Estimate.of(v) for v in (tokens, latents, prior, total)), per_token, nfe)


def _finite(model, x0, z0, knots, g):
    """Sum of the step costs over the segments between knots: (tokens [B], latents [B])."""
    tokens = latents = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    valid = model.valid(x0)

    def full(value):
        return torch.full((len(x0),), value, device=x0.device)

    for a, b in zip(knots, knots[1:], strict=False):
        moves_x, moves_z = b.t_x < a.t_x, b.t_z < a.t_z
        # before the first token move nothing is visible, so the token stream can be skipped
        skip = a.t_x == 1 and not moves_x
        x_t = None if skip else model.tokens.corrupt(x0, full(a.t_x), g, keep=~valid)
        where = x_t == model.tokens.mask_id if moves_x else None
        z_t = None if z0 is None else model.latents.corrupt(z0, full(a.t_z), g)
        lengths = valid.sum(1) if skip and model.config.pad_id is not None else None
        out = model.predict(x_t, z_t, full(a.t_z), where, need_latents=moves_z, lengths=lengths)
        if moves_x:
            tokens = tokens + model.tokens.step_cost(x0, x_t, out.tokens, full(a.t_x), full(b.t_x)).double()
        if moves_z:
            latents = latents + model.latents.step_cost(z0, z_t, out.latents, full(a.t_z), full(b.t_z)).double()
    return tokens, latents

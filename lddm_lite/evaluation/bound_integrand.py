"""The integrand of the bound (M9) along a path: at which noise times the nats arise."""

from __future__ import annotations

import torch

from .._common import randomness, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import MaskedNoise, Model
from ..diffusion.paths import Path

__all__ = ["along_path"]


@torch.no_grad()
@schemas.checked("model", "path", "draws", "seed", "batch", points=schemas.whole(2, limit="steps"))
def along_path(
    model: Model, x, path: Path | None = None, points: int = 33, draws: int = 1, seed: int = 0, batch: int = 512
) -> list[dict]:
    """Integrand of the bound along a path: both rates of (M9) on an even grid of noise times,
    averaged over sequences: `points` rows

        {"t", "tokens", "tokens_se"} and, with latents, {"latents", "latents_se"},

    in nats per sequence and unit of time, each with its standard error over sequences. Each channel
    has its own time. At t the tokens have t_x = t and the latents t_z = t of the given path
    (default: the model's own) at that moment:

        tokens:   rho_x(t_x = t, t_z = max(0, t - gap)),   (M3)
        latents:  rho_z(t_x = min(1, t + gap), t_z = t),   (M7); (M3) for discrete ones

    so that the area under each curve is what the channel adds to `model.nelbo(x, path)`, and for an
    exact model both and the prior term are the entropy (M11). In (M3) a sum over masked i over t
    is, in expectation, n times the mean over masked i when one of the n positions, drawn evenly, is
    masked for certain and the others with probability t: this estimate has no 1/t, holds at t = 0
    too, and needs fewer draws. All points share the sequences, so their errors are not independent.
    `plots.bound_rates` draws the rows.

    - `model`, `x` [B, L]: whose bound, and on which sequences;
    - `path`: a `Path`; None for the model's own;
    - `points`: times, 0 and 1 among them;
    - `draws`: noise draws per sequence and point, which are averaged;
    - `seed`: of the noise;
    - `batch`: sequences in one network call.

    Raises ValueError for tokens that do not fit the model, points < 2, draws < 1, batch < 1, or a
    path that is none.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.MixtureOfProducts(length=4, modes=1, noise=0.5)  # four fair coins: 4 log 2 at every time
    >>> [round(r["tokens"], 4) for r in along_path(LatentDiffusion.exact(task), task.sample(8), points=3)]
    [2.7726, 2.7726, 2.7726]
    """
    x = model.check_tokens("x", x)
    path = model.path if path is None else path
    if not isinstance(path, Path):
        raise ValueError(f"path must be a Path or None, got {shown(path)}")
    g = randomness.generator(seed, x.device)
    times = torch.linspace(0, 1, points, dtype=torch.float64).tolist()
    with evaluating(model):
        return [_row(model, x, t, path.gap, draws, batch, g) for t in times]


def _row(model: Model, x, t: float, gap: float, draws: int, batch: int, g) -> dict:
    """Means over the sequences x [B, L] at time t."""
    tokens, latents = [], []
    for part in x.split(batch):
        pairs = [_rates(model, part, model.encode(part, g), t, gap, g) for _ in range(draws)]
        tokens.append(torch.stack([a for a, _ in pairs]).double().mean(0))
        if model.latent_channel is not None:
            latents.append(torch.stack([b for _, b in pairs]).double().mean(0))
    row = {"t": t}
    for name, values in (("tokens", tokens), ("latents", latents)):
        if values:
            mean = Estimate.of(torch.cat(values))
            row |= {name: mean.value, f"{name}_se": mean.stderr if len(x) > 1 else 0.0}
    return row


def _rates(model: Model, x0, z0, t: float, gap: float, g):
    """(rho_x, rho_z) of the sequences x0 [B, L], one draw each: [B], [B] or None."""
    valid = model.valid(x0)

    def full(value):
        return torch.full((len(x0),), value, device=x0.device)

    z_t, t_z = None, full(max(0.0, t - gap))
    if z0 is not None:
        z_t = model.latent_channel.corrupt(z0, t_z, g)
    x_t, share = _mask_one_and(model.token_channel, x0, t, valid, g)
    out = model.predict(x_t, z_t, t_z, x_t == model.token_channel.mask_id, need_latents=False)
    tokens = model.token_channel.rate(x0, x_t, out.tokens, share)
    if z0 is None:
        return tokens, None
    if model.config.latent == "discrete":
        z_t, weight = _mask_one_and(model.latent_channel, z0, t, torch.ones_like(z0, dtype=torch.bool), g)
    else:
        weight = full(t)
        z_t = model.latent_channel.corrupt(z0, weight, g)
    t_x = min(1.0, t + gap)
    skip = t_x == 1  # all masked: the token stream need not run
    x_t = None if skip else model.token_channel.corrupt(x0, full(t_x), g, keep=~valid)
    lengths = valid.sum(1) if skip and model.config.pad_id is not None else None
    out = model.predict(x_t, z_t, full(t), None, need_latents=True, lengths=lengths)
    return tokens, model.latent_channel.rate(z0, z_t, out.latents, weight)


def _mask_one_and(channel: MaskedNoise, x0, t: float, valid, g):
    """x0 [B, n] with one valid position masked for certain and the others with probability t; and
    the share of valid positions that is masked [B], which (M3) takes for t."""
    x_t = channel.corrupt(x0, torch.full((len(x0),), t, device=x0.device), g, keep=~valid)
    one = randomness.rand(x0.shape, g, x0).masked_fill(~valid, -1.0).argmax(1, keepdim=True)
    sure = torch.zeros_like(valid).scatter_(1, one, True) & valid
    x_t = x_t.masked_fill(sure, channel.mask_id)
    masked = (x_t == channel.mask_id).sum(1)
    return x_t, masked.clamp_min(1) / valid.sum(1).clamp_min(1)

"""The bound on -log p(x): the line integral (M9) and its rates, continuous in time or in finite
steps (M4, M7).

Each term is in nats per sequence and has its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import MaskedNoise, Model
from .._common.randomness import Source, Streams, rand
from .channels import GaussianChannel, MaskedChannel
from .given_latents import check_latents, without_latents
from .paths import Schedule
from .unmasking_order import choose, still_masked

__all__ = ["Nelbo", "antithetic", "each_term", "nelbo"]

LATENT_VECTORS = 4  # passes without tokens cost little when slots are few: so many vectors are taken, or one pass
GROUPS, LARGEST = 16, 32  # independent groups of sequences for standard errors: at least so many, of so many at most


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
    nats_per_token_se: float = 0.0  # of the ratio: a sequence's nats and its length go together

    def __str__(self) -> str:
        return (
            f"NELBO {self.total} nats/sequence ({self.nats_per_token:.4f} nats/token)"
            f" = tokens {self.tokens} + latents {self.latents} + prior {self.prior}"
        )


@torch.no_grad()
@schemas.checked(
    "model", "path", "token_steps", "latent_steps", "draws", "seed", "batch", order=schemas.choice("ancestral", "even"),
    each=schemas.boolean,
)  # fmt: skip
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
    latents=None,
    each: bool = False,
) -> Any:
    """Estimate the bound of `model` on sequences x [B, L]: a `Nelbo`.

    Without `token_steps` the continuous-time line integral (M9); with it, or a Schedule, a bound on
    what the sampler that takes those steps loses (M12), loose once latents are involved: only their
    tokens are looked at in the end.

    - `model`, `x` [B, L]: whose bound, and on what: token ids without masks.
    - `token_steps`, `latent_steps`: of the sampler; None for continuous time, or a Schedule's own.
      With the first alone, the second is the model's usual number (`model.knots`).
    - `path`: a Path, a Curve or a Schedule; None for the model's own.
    - `draws`: independent noise draws per sequence, averaged before the standard error is taken.
    - `seed`: of the noise, a stream a sequence.
    - `batch`: sequences in one network call; the result does not depend on it.
    - `order`: of the sampler that takes the steps: "ancestral", or "even", which reveals counts
      fixed beforehand (`unmasking_order`).
    - `latents`: z at t_z = 0 for each sequence, taken as they are: the bound on -log p(x | z). The
      other terms are 0.
    - `each`: return one total a sequence [B] instead, float64.

    Tokens and codes are masked by counts (`MaskedChannel.corrupt_by_count`). Noise times are spread
    evenly within each of at least 16 groups of sequences, and differ by chance between them;
    standard errors are those between the groups. ValueError for arguments that do not fit together.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.MixtureOfProducts(length=4, modes=1, noise=0.5)  # four fair coins
    >>> nelbo(LatentDiffusion.exact(task), task.sample(2), each=True)
    tensor([2.7726, 2.7726], dtype=torch.float64)
    """
    x = model.check_tokens("x", x)
    if latents is not None:
        latents = check_latents(model, "latents", latents, len(x))
    terms, group, nfe = each_term(model, x, path, token_steps, latent_steps, draws, seed, batch, order, latents)
    total = terms.sum(0)
    if each:
        return total
    tokens, codes, prior, whole = (Estimate.of_groups(v, group) for v in (*terms, total))
    per_token = Estimate.of_groups(total, group, model.valid(x).sum(1))
    return Nelbo(tokens, codes, prior, whole, per_token.value, nfe, per_token.stderr)


@torch.no_grad()
def each_term(
    model: Model, x, path=None, token_steps=None, latent_steps=None, draws=1, seed=0, batch=512, order="ancestral",
    latents=None, latent_time: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Terms of the bound for each sequence: (tokens, latents and prior [3, B], nats, float64; the
    number of its group [B]; NFE, 0 in continuous time).

    - `model`, `x`, `path`, `token_steps`, `latent_steps`, `draws`, `seed`, `batch`, `order`: as for
      `nelbo`, with its errors;
    - `latents`: as there, but as noisy as at `latent_time`;
    - `latent_time`: t_z at which they stand still, in [0, 1].
    """
    path = path or model.path
    x = model.check_tokens("x", x)
    arguments.integer("draws", draws, minimum=1)
    arguments.integer("batch", batch, minimum=1)
    if order not in ("ancestral", "even"):
        raise ValueError(f"order must be ancestral or even, under which there is a bound; got {shown(order)}")
    in_steps = token_steps is not None or isinstance(path, Schedule)
    if order == "even" and not in_steps:
        raise ValueError("order='even' is about steps: give token_steps, or a Schedule as path")
    if not in_steps and latent_steps is not None:
        raise ValueError(f"latent_steps={latent_steps!r} needs token_steps; without both, time is continuous")
    knots = model.knots(path, token_steps, latent_steps) if in_steps else []
    if latents is not None:
        knots = without_latents(knots, latent_time)
    n = len(x)
    groups = min(n, max(GROUPS, -(-n // LARGEST)))
    times, given = range(groups), latents is not None
    passes = 0  # of the latent term in continuous time
    if not in_steps and not given and model.latent_channel is not None:
        # where no token is seen while latents move, they are all that a pass costs
        alone = bool(path.token_time(torch.tensor([1e-6])) == 1)
        passes = max(1, LATENT_VECTORS // model.config.slots) if alone else 1
    terms = torch.zeros(3, n, dtype=torch.float64)
    with evaluating(model):
        for d in range(draws):
            u_x = antithetic(n, Streams(seed, times, f"token times {d}"), x, groups)
            u_z = [antithetic(n, Streams(seed, times, f"latent times {d} {k}"), x, groups) for k in range(passes)]
            for first in range(0, n, batch):
                at = slice(first, min(first + batch, n))
                rows, g = x[at], Streams(seed, range(at.start, at.stop), f"bound {d}")
                z0 = model.encode(rows, g.at(0)) if latents is None else latents[at]
                if in_steps:
                    tokens, codes = _finite(model, rows, z0, knots, g, order, given)
                    terms[1, at] += codes.cpu() / draws
                else:
                    tokens = _token_integral(model, rows, z0, path, u_x[at], g.at(1), latent_time if given else None)
                    for k, u in enumerate(u_z):
                        part = _latent_integral(model, rows, z0, path, u[at], g.at(2 + k))
                        terms[1, at] += part.cpu().double() / (draws * passes)
                terms[0, at] += tokens.cpu().double() / draws
                if model.config.latent == "continuous" and not given:
                    terms[2, at] += model.latent_channel.prior_kl(z0).cpu().double() / draws
    return terms, torch.arange(n) % groups, max(0, len(knots) - 1)


@schemas.checked("g", n=schemas.whole(0, limit="samples"), like=schemas.tensor, groups=schemas.whole(1))
def antithetic(n: int, g: Source, like: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """n times in (0, 1], each uniform. Those of a group, every `groups`-th one, are evenly spread
    with one random offset, ((u + i/n) mod 1), so that their mean varies little (METHOD 10)."""
    at = torch.arange(n, device=like.device)
    group = at % groups
    size = (n - 1 - group) // groups + 1
    u = rand((groups,), g, like)[group]
    return 1 - (u + (at // groups) / size) % 1


def _folded(u: torch.Tensor) -> torch.Tensor:
    """Uniform u [B] folded at 1/2: evenly spread ones then end where they begin, and the mean of
    what depends on them varies less."""
    return 1 - (1 - 2 * u.double()).abs()


def _token_integral(model: Model, x0, z0, path, u, g, given: float | None) -> torch.Tensor:
    """One draw of the token term of (M9) along `path`, masks by counts u [B]: [B]. z0 rest at the
    time `given`, if one is. Unbiased for uniform u."""
    valid = model.valid(x0)
    x_t, t_x, share = model.token_channel.corrupt_by_count(x0, _folded(u), g, keep=~valid)
    z_t, t_z = z0, None
    if z0 is not None:
        t_z = path.latent_time(t_x) if given is None else torch.full_like(t_x, given)
        z_t = model.latent_channel.corrupt(z0, t_z, g) if given is None else z0
    out = model.predict(x_t, z_t, t_z, x_t == model.token_channel.mask_id, need_latents=False)
    return model.token_channel.rate(x0, x_t, out, share)


def _latent_integral(model: Model, x0, z0, path, u, g) -> torch.Tensor:
    """One draw of the latent term of (M9) along `path` at times, or counts of codes, u [B]: [B].
    Unbiased for uniform u."""
    channel = model.latent_channel
    if type(channel).corrupt is MaskedChannel.corrupt:
        z_t, t_z, share = channel.corrupt_by_count(z0, _folded(u), g)
        weight = torch.ones_like(u)
    else:
        t_z, weight = channel.even_times(u)
        z_t, share = channel.corrupt(z0, t_z, g), t_z
    t_x, valid = path.token_time(t_z), model.valid(x0)
    if bool((t_x == 1).all()):  # no token is seen, so the token stream can be skipped
        lengths = valid.sum(1) if model.config.pad_id is not None else None
        out = model.predict(None, z_t, t_z, None, lengths=lengths)
    else:
        x_t = model.token_channel.corrupt(x0, t_x, g, keep=~valid)
        out = model.predict(x_t, z_t, t_z, torch.zeros_like(valid))
    return channel.rate(z0, z_t, out.latents, share) * weight


def _finite(model: Model, x0, z0, knots, streams: Streams, order: str, given: bool):
    """Sum of the step costs over the segments between knots: (tokens [B], latents [B]). z0 are
    finished latents where `given`."""
    tokens = latents = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    valid = model.valid(x0)

    def noised(channel: MaskedNoise | GaussianChannel, clean, t: float, s: float, keep, g):
        """(noised, t [B], s [B]): times as shares that are masked, where these are fixed.

        - `channel`, `clean`: the noise, and what it falls on: [B, n] ids, or vectors [B, n, d];
        - `t`, `s`: times before and after the step;
        - `keep` [B, n]: bool, what may be masked; Gaussian noise does not ask;
        - `g`: the draws, a stream a sequence.
        """
        times = torch.full((len(clean),), t, device=x0.device), torch.full((len(clean),), s, device=x0.device)
        if isinstance(channel, GaussianChannel):
            return channel.corrupt(clean, times[0], g), *times
        if order == "ancestral":
            return channel.corrupt(clean, times[0], g, keep=~keep), *times
        n = keep.sum(1)
        left = [still_masked(n, v) for v in (t, s)]
        hidden = choose(keep, n - left[0], g)
        return clean.masked_fill(hidden, channel.mask_id), left[0] / n, left[1] / n

    for k, (a, b) in enumerate(zip(knots, knots[1:], strict=False), start=1):
        g = streams.at(k)
        moves_x, moves_z = b.t_x < a.t_x, b.t_z < a.t_z
        # before the first token move nothing is visible, so the token stream can be skipped
        skip = a.t_x == 1 and not moves_x
        x_t: Any = None
        t_x = s_x = z_t = t_z = s_z = x_t
        if not skip:
            x_t, t_x, s_x = noised(model.token_channel, x0, a.t_x, b.t_x, valid, g)
        if given:
            z_t = z0
        elif z0 is not None:
            all_slots = torch.ones(z0.shape[:2], dtype=torch.bool, device=z0.device)
            z_t, t_z, s_z = noised(model.latent_channel, z0, a.t_z, b.t_z, all_slots, g)
        where = x_t == model.token_channel.mask_id if moves_x else None
        lengths = valid.sum(1) if skip and model.config.pad_id is not None else None
        at = torch.full((len(x0),), a.t_z, device=x0.device)
        out = model.predict(x_t, z_t, at, where, need_latents=moves_z, lengths=lengths)
        if moves_x:
            tokens = tokens + model.token_channel.step_cost(x0, x_t, out, t_x, s_x).double()
        if moves_z:
            latents = latents + model.latent_channel.step_cost(z0, z_t, out.latents, t_z, s_z).double()
    return tokens, latents

"""Conditional entropies of a token given visible ones, and of latents on their way: the tables from
which the steps of a sampler are placed (`diffusion.best_schedule`), of exact and of trained models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._common import randomness, schemas
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import Model, is_exact
from ..diffusion.best_schedule import StepCosts
from ..diffusion.rate_grid import BEND_X, BEND_Z, nodes
from ..diffusion.unmasking_order import still_masked
from .measure_rate_grid import mean_log

__all__ = ["VisibleCosts", "step_costs", "visible_costs"]

TABLE = 1200  # points of a table of steps, at most about so many: dynamic programming takes their square


@dataclass(frozen=True)
class VisibleCosts:
    """Cross-entropy f(k) of a masked token given k = 0..L-1 visible ones, nats. With an exact
    predictor the sum over k is the entropy, by the chain rule. `each` [N, L]: the costs of N
    sequences. With padding k / L is the visible share of a sequence, and f is per 1 / L of a
    sequence.

    >>> print(VisibleCosts(torch.tensor([[1.0, 0.5], [1.0, 0.7]])).total_correlation)
    0.400 ± 0.100
    """

    each: torch.Tensor

    @property
    def mean(self) -> torch.Tensor:
        """f(k) [L]."""
        return self.each.mean(0)

    @property
    def stderr(self) -> torch.Tensor:
        """Standard errors [L] over sequences."""
        return self.each.std(0) / len(self.each) ** 0.5

    @property
    def total_correlation(self) -> Estimate:
        """Total correlation, nats per sequence, which one token step loses: L f(0), all tokens in
        one step, minus the sum of f, one at a time. Given latents it is what these leave of what
        tokens share: the gauge of latents that copies cannot fool (METHOD 5)."""
        return Estimate.of(self.each[:, 0] * self.each.shape[1] - self.each.sum(1))


@torch.no_grad()
@schemas.checked("model", "seed", "batch")
def visible_costs(model: Model, x, seed: int = 0, batch: int = 512) -> VisibleCosts:
    """Estimate the cross-entropies f(k) = E[-log p(x_i | k visible)] of `model` on sequences x
    [B, L], for all k.

    Which k are visible is drawn at random, for each sequence once and nested (k + 1 visible are
    those k and one more), and the mean is over the tokens that are masked. With padding a sequence
    of n tokens has the share k / L of them visible, to the nearest integer as the sampler has it,
    but at least one masked. Latents, where there are some, are those of the sequence itself at
    their noise floor: the token steps of a sequential path. L network calls for each `batch` of
    sequences.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.MixtureOfProducts(length=4, modes=1, noise=0.5)  # four fair coins
    >>> visible_costs(LatentDiffusion.exact(task), task.sample(8)).mean
    tensor([0.6931, 0.6931, 0.6931, 0.6931], dtype=torch.float64)
    """
    x, length = model.check_tokens("x", x), model.config.length
    g, parts = randomness.generator(seed, x.device), []
    with evaluating(model):
        for rows in x.split(batch):
            rank = _ranks(rows, model.valid(rows), g)
            z, t_z = model.encode(rows, g), torch.zeros(len(rows), device=x.device)
            if model.config.latent == "continuous":
                z = model.latent_channel.corrupt(z, t_z, g)
            each = [_costs(model, rows, rank, 1 - k / length, z, z, t_z, False)[0] / length for k in range(length)]
            parts.append(torch.stack(each, 1))  # [b, L]
    return VisibleCosts(torch.cat(parts).cpu())


@torch.no_grad()
@schemas.checked("model", "seed", "batch", points=schemas.whole(2, 1025), levels=schemas.whole(2, 1025))
def step_costs(model: Model, x, points: int = 17, levels: int = 17, seed: int = 0, batch: int = 512) -> StepCosts:
    """Measure what steps of `model` cost that begin on a grid of points (t_x, t_z), on sequences x
    [B, L]: the table in which `StepCosts.best` finds the best schedule.

    - `model`, `x` [B, L]: whose steps, and on which sequences.
    - `points`: of t_x at which it is measured, dense where few tokens are visible. Between them
      costs are interpolated, up to all counts of tokens, or fewer where the table became large.
    - `levels`: of t_z, for Gaussian latents even in t_z; codes have a level for each visible slot,
      or so many if that is fewer.
    - `seed`: of what is visible, latents and noise.
    - `batch`: sequences in one network call.

    Visible positions, visible slots and Gaussian noise are nested, or the same, over the grid. With
    an exact model a loss is replaced by its mean under the prediction (as in `rate_grid`). About
    `points` * `levels` network calls for each `batch` of sequences.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> costs = step_costs(LatentDiffusion.exact(task, "shift-code", codes=4), task.sample(64))
    >>> costs.tokens.shape, bool(costs.tokens[0, 0] > costs.tokens[0, 1])
    (torch.Size([9, 2]), True)
    """
    x, length = model.check_tokens("x", x), model.config.length
    t_z, gains = _latent_axis(model, levels)
    fine = min(length, max(points - 1, TABLE // len(t_z)))
    at = torch.as_tensor(nodes(points, BEND_X)).flip(0)  # falling from 1 to 0
    at = (at[:-1] * fine).round().unique().flip(0) / fine if points <= fine else 1 - torch.arange(fine).double() / fine
    g, total = randomness.generator(seed, x.device), torch.zeros(2, len(at), len(t_z), dtype=torch.float64)
    with evaluating(model):
        for rows in x.split(batch):
            rank, z0 = _ranks(rows, model.valid(rows), g), model.encode(rows, g)
            noise = int(torch.randint(1 << 31, (1,), generator=g, device=g.device))
            for j, t in enumerate(t_z.tolist()):
                z, now = _noised(model, z0, t, noise)
                for i, share in enumerate(at.tolist()):
                    costs = _costs(model, rows, rank, share, z0, z, now, z0 is not None and t > 0)
                    total[:, i, j] += torch.stack([c.sum() for c in costs]).cpu()
    share = 1 - torch.arange(fine + 1, dtype=torch.float64) / fine
    tokens, latents = (_between((1 - at).sqrt(), v, (1 - share[:-1]).sqrt()) for v in total / len(x))
    done = torch.zeros(1, len(t_z), dtype=torch.float64)
    return StepCosts(share, t_z, gains, *(torch.cat([v, done]) for v in (tokens, latents)))


def _ranks(rows: torch.Tensor, valid: torch.Tensor, g) -> torch.Tensor:
    """The place of each position [B, L] in being revealed; padding comes last."""
    return (randomness.rand(rows.shape, g, rows) + 2.0 * ~valid).argsort(-1).argsort(-1)


def _costs(model: Model, rows, rank, t_x: float, z0, z, t_z, latents: bool):
    """What tokens, of which the share t_x is masked, cost in nats per sequence, and if wanted
    `latents` per unit of what they gain: two [B], float64."""
    exact, n = is_exact(model.denoiser), model.valid(rows).sum(1)
    hidden = still_masked(n, t_x).clamp_min(1)
    masked = (rank >= (n - hidden).unsqueeze(1)) & (rank < n.unsqueeze(1))
    x_t = rows.masked_fill(masked, model.token_channel.mask_id)
    said = model.predict(x_t, z, t_z, masked, need_latents=latents)
    # right on average, an exact prediction's entropy is the mean of the cost, and varies less
    tokens = model.token_channel.rate(rows, x_t, mean_log(said.tokens) if exact else said, hidden / n).double()
    if not latents:
        return tokens, torch.zeros_like(tokens)
    if model.config.latent == "continuous":
        square, guess = (v.double().flatten(1).pow(2).sum(1) for v in (z0, said.latents))
        return tokens, (square - guess if exact else (z0 - said.latents).double().flatten(1).pow(2).sum(1)) / 2
    log_probs = mean_log(said.latents) if exact else said.latents
    share = (z == model.latent_channel.mask_id).double().mean(1)
    return tokens, model.latent_channel.rate(z0, z, log_probs, share).double()


def _latent_axis(model: Model, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(t_z, what latents have gained there) at the levels of a table."""
    if model.latent_channel is None:
        return torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    if model.config.latent == "continuous":
        t_z = torch.as_tensor(nodes(levels, BEND_Z)).flip(0)
        return t_z, model.latent_channel.log_snr(t_z).exp()
    m = model.config.slots
    share = (torch.linspace(0, m, min(m + 1, levels), dtype=torch.float64)).round() / m
    return 1 - share, share


def _noised(model: Model, z0, t_z: float, seed: int):
    """Latents [B, ...] at time t_z, the same noise at all times, and t_z [B]."""
    if z0 is None:
        return None, None
    g, now = randomness.generator(seed, z0.device), torch.full((len(z0),), t_z, device=z0.device)
    if model.config.latent == "continuous":
        return model.latent_channel.corrupt(z0, now, g), now
    rank = randomness.rand(z0.shape, g, z0).argsort(1).argsort(1)
    hidden = still_masked(torch.tensor(z0.shape[1]), t_z)
    return z0.masked_fill(rank >= z0.shape[1] - hidden, model.latent_channel.mask_id), now


def _between(at: torch.Tensor, values: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    """Values [I, ...] at rising `at` [I], at places `to`: linear between, the last one beyond."""
    at, to = at.double(), to.double()
    k = (torch.searchsorted(at, to, right=True) - 1).clamp(0, max(0, len(at) - 2))
    near = (k + 1).clamp_max(len(at) - 1)
    width = (at[near] - at[k]).clamp_min(1e-12)
    return torch.lerp(values[k], values[near], ((to - at[k]) / width).clamp(0, 1).unsqueeze(-1))

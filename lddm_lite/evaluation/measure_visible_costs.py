"""Conditional entropies of a token given k visible ones, f(k): the table from which the steps of a
sampler are placed (`diffusion.best_schedule`), of exact and of trained models alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._common import arguments, randomness
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import Model, is_exact
from .measure_rate_grid import mean_log

__all__ = ["VisibleCosts", "visible_costs"]


@dataclass(frozen=True)
class VisibleCosts:
    """Cross-entropy f(k) of a masked token given k = 0..L-1 visible ones, nats. With an exact
    predictor the sum over k is the entropy, by the chain rule. `each` [N, L]: the costs of N
    sequences.

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
def visible_costs(model: Model, x, seed: int = 0, batch: int = 512) -> VisibleCosts:
    """Estimate the cross-entropies f(k) = E[-log p(x_i | k visible)] of `model` on sequences x
    [B, L], for all k.

    Which k are visible is drawn at random, for each sequence once and nested (k + 1 visible are
    those k and one more), and the mean is over the tokens that are masked. Latents, where there are
    some, are those of the sequence itself at their noise floor: the token steps of a sequential
    path. L network calls for each `batch` of sequences. ValueError for models with padding.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.MixtureOfProducts(length=4, modes=1, noise=0.5)  # four fair coins
    >>> visible_costs(LatentDiffusion.exact(task), task.sample(8)).mean
    tensor([0.6931, 0.6931, 0.6931, 0.6931], dtype=torch.float64)
    """
    if model.config.pad_id is not None:
        raise ValueError(f"model must have no padding, so that all sequences are equally long; {model.name!r} has it")
    x = model.check_tokens("x", x)
    arguments.integer("batch", batch, minimum=1)
    g, length = randomness.generator(seed, x.device), x.shape[1]
    exact, parts = is_exact(model.denoiser), []
    with evaluating(model):
        for rows in x.split(batch):
            order = randomness.rand(rows.shape, g, rows).argsort(-1).argsort(-1)  # the place of each in being revealed
            z, t_z = model.encode(rows, g), torch.zeros(len(rows), device=x.device)
            if model.config.latent == "continuous":
                z = model.latent_channel.corrupt(z, t_z, g)
            costs = []
            for k in range(length):
                masked = order >= k
                x_t = rows.masked_fill(masked, model.token_channel.mask_id)
                log_probs = model.predict(x_t, z, t_z, masked, need_latents=False).tokens
                if exact:  # right on average: its entropy is the mean of the cost, and varies less
                    log_probs = mean_log(log_probs)
                share = torch.full((len(rows),), (length - k) / length, device=x.device)
                costs.append(model.token_channel.rate(rows, x_t, log_probs, share).double() / length)
            parts.append(torch.stack(costs, 1))  # [b, L]
    return VisibleCosts(torch.cat(parts).cpu())

"""Kullback–Leibler divergences between the law q of a sampler and the law p* of a task, in both
directions: what certifies a law, where excess and mode coverage do not. METHOD 8."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .._common import schemas
from .._common.estimate import Estimate
from .._common.protocols import Model, Task
from ..diffusion.bound import each_term
from ..diffusion.paths import Curve, Path, Schedule
from ..diffusion.sampler import Draws
from . import sampler_law

__all__ = ["Divergences", "divergences"]

_DATA, _LATENTS = 4_000_003, 5_000_003  # added to the seed, so that what is compared is independent


@dataclass(frozen=True)
class Divergences:
    """Divergences of a sampler's law q from the law p* of a task, nats per sequence. None is what
    is not at hand.

    - `forward`: KL(p*||q), large where q misses what p* has; with `upper` it is at most this.
    - `reverse`: KL(q||p*), large where q has what p* has not.
    - `entropy_gap`: H(q) - H(p*), below 0 for samples that vary too little.

    The excess is reverse + entropy_gap. Both divergences are 0 only for q = p*.

    >>> print(Divergences(Estimate(0.182, 0.009), Estimate(0.162, 0.009), Estimate(-0.27, 0.08)))
    KL(p*||q) 0.182 ± 0.009, KL(q||p*) 0.162 ± 0.009, H(q) - H(p*) -0.270 ± 0.080
    >>> print(Divergences(Estimate(1.46, 0.02), upper=True))
    KL(p*||q) ≤ 1.460 ± 0.020
    """

    forward: Estimate | None = None
    reverse: Estimate | None = None
    entropy_gap: Estimate | None = None
    upper: bool = False

    def __str__(self) -> str:
        parts = {"KL(p*||q) ≤" if self.upper else "KL(p*||q)": self.forward, "KL(q||p*)": self.reverse}
        parts["H(q) - H(p*)"] = self.entropy_gap
        return ", ".join(f"{name} {v}" for name, v in parts.items() if v is not None) or "not at hand"

    def row(self) -> dict[str, float | bool]:
        """The same for a row of a table: `kl_forward`, `kl_reverse`, `entropy_gap`, each with its
        standard error in `_se`, and `kl_forward_upper`; what is not at hand is left out.

        >>> Divergences(Estimate(1.5, 0.1), upper=True).row()
        {'kl_forward': 1.5, 'kl_forward_se': 0.1, 'kl_forward_upper': True}
        """
        named = {"kl_forward": self.forward, "kl_reverse": self.reverse, "entropy_gap": self.entropy_gap}
        out: dict[str, float | bool] = {}
        for name, found in named.items():
            if found is not None:
                out |= {name: found.value, f"{name}_se": found.stderr}
                out |= {"kl_forward_upper": self.upper} if name == "kl_forward" else {}
        return out


@torch.no_grad()
@schemas.checked(
    "model", "task", "token_steps", "latent_steps", "path", "seed", "batch", n=schemas.whole(2, limit="samples"),
    drawn=schemas.whole(sampler_law.GROUPS, limit="samples"), bound=schemas.whole(0, limit="samples"),
)  # fmt: skip
def divergences(
    model: Model,
    task: Task,
    token_steps: int | None = None,
    latent_steps: int | None = None,
    path: Path | Curve | Schedule | None = None,
    n: int = 2048,
    seed: int = 0,
    samples=None,
    drawn: int = sampler_law.DRAWN,
    bound: int = 512,
    batch: int = 512,
    **options,
) -> Divergences:
    """Divergences of what `model` samples from the law of `task`, by the best means there are:

    1. Tiny tasks, without latents or with codes: the law is enumerated (`sequence_law`). All three
       are exact, with a standard error of 0.
    2. All tokens in one step: the law is a mixture of products (`token_mixture`), and all three are
       means over `n` sequences of p* and as many of q. Continuous latents, and codes beyond 4,096
       states, are drawn, `drawn` times; the standard errors count what that costs.
    3. Else KL(p*||q) is at most the bound in these finite steps (M12) minus -log p* of the same
       sequences, `bound` of them but at most n: their difference varies little. A sequence costs
       about what it costs to sample one. With 0, and of a sampler that sharpens its draws
       (temperature, top_p, eta, order `confidence`), which has no bound, nothing is at hand.

    - `model`, `task`: of the same tokens and length.
    - `token_steps`, `latent_steps`, `path`, `options`: as for `model.sample`.
    - `n`: sequences, at least 2: of p* and of q in case 2, the most in case 3.
    - `samples`: the model's [n, L] if they are there already, drawn in this very way from another
      seed than the z of 2. None draws them.
    - `drawn`: latents in case 2, at least 20.
    - `bound`: sequences in case 3; 0 for no bound.
    - `seed`: of all that is drawn.
    - `batch`: sequences in one network call.

    ValueError for a task of other tokens than the model's, and arguments that `model.sample` would
    not take.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> print(divergences(LatentDiffusion.exact(task), task, 8, order="even"))
    KL(p*||q) 0.000, KL(q||p*) 0.000, H(q) - H(p*) 0.000
    """
    if (model.config.length, model.config.vocab) != (task.length, task.vocab):
        raise ValueError(
            f"task must have the model's length {model.config.length} and {model.config.vocab} tokens; "
            f"got length {task.length} and {task.vocab} tokens"
        )
    path, draws = path or model.path, Draws.of(**options)
    samples = None if samples is None else model.check_tokens("samples", samples).cpu()
    knots = model.knots(path, token_steps, latent_steps)
    law = sampler_law.sequence_law(model, knots, draws)
    if law is not None:
        return _of_laws(law, task.log_prob(task.all_sequences()))
    mixture = sampler_law.token_mixture(model, knots, draws, drawn, seed + _LATENTS)
    if mixture is None:
        if bound == 0 or not _bounded(model, draws):
            return Divergences()
        return Divergences(_bound(model, task, Schedule(knots), draws.order, min(n, bound), seed, batch), upper=True)
    if samples is None:
        samples = model.sample(n, token_steps, latent_steps, path, seed, batch=batch, **options).tokens
    true, own, entropy = task.sample(n, seed + _DATA), torch.as_tensor(samples).long(), task.entropy()
    log_q, shares = mixture.log_prob(torch.cat([true, own]))
    (log_q, log_own), parts = log_q.split([len(true), len(own)]), shares.split([len(true), len(own)], 1)
    if mixture.groups > 1 and bool(torch.cat([log_q, log_own]).isinf().any()):  # other z might have drawn them
        return Divergences()
    spread, own_spread = (0.0 if mixture.groups == 1 else Estimate.of(part.mean(1)).stderr for part in parts)
    return Divergences(
        _wider(_mean(task.log_prob(true) - log_q), spread),
        _wider(Estimate.of(log_own - task.log_prob(own)), own_spread),
        _wider(Estimate.of(-log_own - entropy.value), own_spread, entropy.stderr),
    )


def _mean(values: torch.Tensor) -> Estimate:
    """A mean with its standard error; infinite, and without one, where a value is."""
    return Estimate(math.inf, math.nan) if bool(values.isinf().any()) else Estimate.of(values)


def _of_laws(q: torch.Tensor, log_p: torch.Tensor) -> Divergences:
    """From the probabilities of all sequences: q [N] and, in nats, those of the task."""
    p, log_q = log_p.exp(), q.log()
    p, log_p = p / p.sum(), log_p - p.sum().log()  # to the rounding of float64

    def mean(weight, values) -> Estimate:  # where nothing weighs, a value may be infinite
        found = float((weight * values)[weight > 0].sum())
        return Estimate(round(found, 12) + 0.0)  # no -0

    gap = mean(p, log_p).value - mean(q, log_q).value
    return Divergences(mean(p, log_p - log_q), mean(q, log_q - log_p), Estimate(round(gap, 12) + 0.0))


def _wider(found: Estimate, *others: float) -> Estimate:
    """The estimate, with independent errors added to its own."""
    return Estimate(found.value, math.hypot(found.stderr, *others))


def _bounded(model: Model, draws: Draws) -> bool:
    """Is there a bound in finite steps for these draws? It is that of the predictions as they are.
    """
    plain = draws.temperature == draws.latent_temperature == 1 and draws.top_p in (None, 1)
    return plain and draws.order != "confidence" and (draws.eta == 1 or model.config.latent != "continuous")


def _bound(model: Model, task: Task, path: Schedule, order: str, n: int, seed: int, batch: int) -> Estimate:
    """The bound less -log p* of the same sequences, its error from groups of them."""
    x = task.sample(n, seed + _DATA)
    terms, group, _ = each_term(model, x, path, seed=seed, batch=batch, order=order)
    return Estimate.of_groups(terms.sum(0) + task.log_prob(x), group)

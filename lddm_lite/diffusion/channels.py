"""The two noised channels: masked (tokens, discrete latents) and Gaussian (continuous latents).

Both have the same five methods: `prior`, `corrupt`, `reverse_step`, `rate`, `step_cost`. A time t
is 0 for clean and 1 for pure noise; all rates and costs are in nats per sequence, shape [B].
Another schedule or scale of Gaussian noise is a subclass, given to a model as its `channel` (see
`networks.custom_parts`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .._common import schemas
from .._common.arguments import integer, number, within
from .._common.randomness import Source, draw_categorical, rand, randn
from .prediction import Prediction

__all__ = ["GaussianChannel", "MaskedChannel", "SquareRootChannel"]


def _b(t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """t [B] shaped to broadcast against `like` [B, ...]."""
    return t.reshape(-1, *[1] * (like.dim() - 1))


_KEEP, _TIME = schemas.maybe(schemas.flags), schemas.number(maximum=1.0, above=0.0)
_SAID = schemas.one_of(schemas.reals, schemas.has("a Prediction, or log-probabilities", "nll", "tokens"))


@dataclass(frozen=True)
class MaskedChannel:
    """Absorbing-mask noise on ids 0..vocab-1; the mask is id `vocab`. METHOD 1, equations
    (M1)-(M4).

    >>> ch = MaskedChannel(vocab=2)
    >>> ch.prior((1, 3), torch.Generator())
    tensor([[2, 2, 2]])
    """

    vocab: int

    def __post_init__(self):
        object.__setattr__(self, "vocab", within("codes", integer("vocab", self.vocab, minimum=1), "vocab"))

    @property
    def mask_id(self) -> int:
        """The id of the mask, one past the last token."""
        return self.vocab

    @schemas.checked("g", shape=schemas.shape)
    def prior(self, shape, g: Source) -> torch.Tensor:
        """Pure noise: all masked."""
        return torch.full(shape, self.mask_id, device=g.device)

    @schemas.checked("g", x0=schemas.integers, t=schemas.moments, keep=_KEEP)
    @schemas.fitting
    def corrupt(self, x0: torch.Tensor, t: torch.Tensor, g: Source, keep=None) -> torch.Tensor:
        """(M1): mask each position of x0 [B, L] independently with probability t [B]; `keep` [B, L]
        stays clean."""
        hit = rand(x0.shape, g, x0) < _b(t, x0)
        return x0.masked_fill(hit if keep is None else hit & ~keep, self.mask_id)

    @schemas.checked("g", x0=schemas.integers, u=schemas.moments, keep=_KEEP)
    @schemas.fitting
    def corrupt_by_count(self, x0: torch.Tensor, u: torch.Tensor, g: Source, keep=None):
        """(M1) with the number of masked positions given instead of their time: (x_t [B, L], t [B],
        share [B]). Of the n positions of a sequence that may be masked, all but `keep` [B, L], it
        is k = ceil(u n), u [B] in (0, 1]; `share` is k/n.

        Each position is masked from a uniform time on, and t is the k-th of these times. For uniform
        u it is uniform, so that the integral of (M3) over t is the mean of the rate with `share` in
        the place of t: weights n/k, where 1/t has no end (METHOD 1).

        >>> ch, g = MaskedChannel(2), torch.Generator().manual_seed(0)
        >>> ch.corrupt_by_count(torch.tensor([[0, 1, 0, 1]]), torch.tensor([0.5]), g)[0]
        tensor([[0, 2, 2, 1]])
        """
        free = torch.ones_like(x0, dtype=torch.bool) if keep is None else ~keep
        n = free.sum(1)
        k = (u.double() * n).ceil().long().clamp_min(1)
        times = rand(x0.shape, g, x0, torch.float64).masked_fill(~free, torch.inf)
        t = times.sort(1).values.gather(1, k.unsqueeze(1) - 1)
        share = (k / n.clamp_min(1)).to(u)
        return x0.masked_fill(free & (times <= t), self.mask_id), t.squeeze(1).float(), share

    @schemas.checked("g", x_t=schemas.integers, t=_TIME, s=schemas.number(0.0, 1.0))
    def to_reveal(self, x_t: torch.Tensor, t: float, s: float, g: Source) -> torch.Tensor:
        """Which masked positions a step t -> s reveals: each with probability (t-s)/t (M2). Bool
        [B, L]."""
        return (x_t == self.mask_id) & (rand(x_t.shape, g, x_t) < (t - s) / t)

    @schemas.checked("g", x_t=schemas.integers, log_probs=schemas.rows, where=schemas.flags)
    @schemas.fitting
    def reverse_step(self, x_t: torch.Tensor, log_probs: torch.Tensor, where: torch.Tensor, g) -> torch.Tensor:
        """(M2): fill the positions `where` (from `to_reveal`) with draws from `log_probs` [N, V],
        one row for each in row-major order. Visible tokens never change."""
        return x_t.masked_scatter(where, draw_categorical(log_probs, g, where))

    @schemas.checked(x0=schemas.integers, x_t=schemas.integers, said=_SAID, t=schemas.moments)
    @schemas.fitting
    def rate(self, x0: torch.Tensor, x_t: torch.Tensor, said, t: torch.Tensor) -> torch.Tensor:
        """(M3): (1/t) sum over masked i of -log p(x_0^i), nats [B]. `said`: a `Prediction` of
        tokens; or log-probabilities [N, V], a row per masked position in row-major order, or
        [B, L, V].

        >>> ch, t = MaskedChannel(2), torch.tensor([0.5])
        >>> ch.rate(torch.tensor([[1, 0]]), torch.tensor([[1, 2]]), torch.tensor([[0.25, 0.75]]).log(), t)
        tensor([2.7726])
        """
        masked = x_t == self.mask_id
        if isinstance(said, torch.Tensor):
            rows = said[masked] if said.dim() == 3 else said
            if rows.dim() != 2 or len(rows) != len(x0[masked]):
                raise ValueError(
                    f"said must be log-probabilities [{len(x0[masked])}, V], a row for each masked position, got "
                    f"{list(said.shape)}"
                )
            said = Prediction(rows, None)
        nll = said.nll(x0[masked])
        per_sequence = nll.new_zeros(len(x0)).index_add_(0, masked.nonzero()[:, 0], nll)
        return per_sequence / t.to(per_sequence)

    @schemas.checked(x0=schemas.integers, x_t=schemas.integers, said=_SAID, t=schemas.moments, s=schemas.moments)
    @schemas.fitting
    def step_cost(self, x0, x_t, said, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """(M4): what the step t -> s adds to the finite-step bound, (t-s) times the rate at t. Nats
        [B]. As `Channel.step_cost`, where

        - `said`: as for `rate`.
        """
        rate = self.rate(x0, x_t, said, t)
        return rate * (t - s).to(rate)


@dataclass(frozen=True)
class GaussianChannel:
    """Variance-preserving Gaussian noise, log-SNR linear from `log_snr_max` (t=0) to `log_snr_min`
    (t=1). METHOD 2, equations (M5)-(M8). The latent variable of the model is z at t=0, whose noise
    floor is log_snr_max.

    >>> ch = GaussianChannel()
    >>> [round(float(v), 4) for v in ch.coefficients(torch.tensor(0.5))]
    [0.7071, 0.7071]
    """

    log_snr_max: float = 6.0
    log_snr_min: float = -6.0

    def __post_init__(self):
        for name in ("log_snr_min", "log_snr_max"):
            object.__setattr__(self, name, number(name, getattr(self, name), -60.0, 60.0))
        if not self.log_snr_min < self.log_snr_max:
            raise ValueError(f"log_snr_min must be below log_snr_max, got {self.log_snr_min} and {self.log_snr_max}")

    @schemas.checked(t=schemas.reals)
    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        """The log signal-to-noise ratio at time t, decreasing in t."""
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t

    @schemas.checked(t=schemas.reals)
    def speed(self, t: torch.Tensor):
        """-d log-SNR/dt at time t > 0: a number, or a tensor like t. To be overridden together with
        `log_snr`."""
        return self.log_snr_max - self.log_snr_min

    @schemas.checked(u=schemas.moments)
    def even_times(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Times t [B] whose log-SNR is even where u [B] is, and the weight dt/du of each: with it
        the mean over uniform u is the integral over t. Rates (M7) vary less over u than over the t
        of a schedule that hurries through one end.

        >>> GaussianChannel().even_times(torch.tensor([0.25]))
        (tensor([0.2500]), tensor([1.]))
        """
        if type(self).log_snr is GaussianChannel.log_snr:
            return u, torch.ones_like(u)
        wanted = self.log_snr_max + (self.log_snr_min - self.log_snr_max) * u.double()
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(52):  # by bisection, so that a schedule of one's own need not be inverted by hand
            t = (low + high) / 2
            above = self.log_snr(t) > wanted
            low, high = torch.where(above, t, low), torch.where(above, high, t)
        return high.to(u), ((self.log_snr_max - self.log_snr_min) / self.speed(high)).to(u)

    @schemas.checked(t=schemas.reals)
    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(a_t, sigma_t) of (M5): a^2 = sigmoid(log-SNR), sigma^2 = sigmoid(-log-SNR)."""
        lam = self.log_snr(t)
        return lam.sigmoid().sqrt(), (-lam).sigmoid().sqrt()

    @schemas.checked("g", shape=schemas.shape)
    def prior(self, shape, g: Source) -> torch.Tensor:
        """Pure noise: standard normal."""
        return randn(shape, g)

    @schemas.checked("g", z0=schemas.reals, t=schemas.moments)
    @schemas.fitting
    def corrupt(self, z0: torch.Tensor, t: torch.Tensor, g: Source) -> torch.Tensor:
        """(M5): a_t z_0 + sigma_t eps, for z0 [B, m, d] and t [B]."""
        a, sigma = self.coefficients(_b(t, z0))
        return a * z0 + sigma * randn(z0.shape, g, z0)

    @schemas.checked(z_t=schemas.reals, z0=schemas.reals, t=schemas.moments, s=schemas.moments)
    @schemas.fitting
    def posterior(self, z_t, z0, t: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(M6): mean [B, m, d] and variance of q(z_s | z_t, z_0) for s < t."""
        t, s = _b(t, z_t), _b(s, z_t)
        (a_t, _), (a_s, sigma_s) = self.coefficients(t), self.coefficients(s)
        r = (self.log_snr(t) - self.log_snr(s)).exp()
        return a_s * ((r / a_t) * z_t + (1 - r) * z0), sigma_s**2 * (1 - r)

    @schemas.checked(
        "g", z_t=schemas.reals, z_hat=schemas.reals, t=schemas.moments, s=schemas.moments, eta=schemas.number(0.0, 1.0),
    )  # fmt: skip
    @schemas.fitting
    def reverse_step(self, z_t, z_hat, t: torch.Tensor, s: torch.Tensor, g, eta: float = 1.0) -> torch.Tensor:
        """One step t -> s with the prediction z_hat for z_0: z_s [B, m, d].

        - `z_t`, `z_hat` [B, m, d]: where the latents are, and where they are said to go;
        - `t`, `s` [B]: times, s < t;
        - `g`: what the noise is drawn from;
        - `eta`: in [0, 1]. 1: ancestral, a draw from (M6). 0: DDIM, which keeps the implied noise
          and adds none. In between: the usual interpolation with variance eta^2 times (M6)'s.
        """
        mean, var = self.posterior(z_t, schemas.of_shape("z_hat, as z_t,", z_hat, z_t.shape), t, s)
        if eta == 1.0:
            return mean + var.sqrt() * randn(z_t.shape, g, z_t)
        (a_t, s_t), (a_s, s_s) = self.coefficients(_b(t, z_t)), self.coefficients(_b(s, z_t))
        eps = (z_t - a_t * z_hat) / s_t
        return a_s * z_hat + (s_s**2 - eta**2 * var).sqrt() * eps + eta * var.sqrt() * randn(z_t.shape, g, z_t)

    @schemas.checked(z0=schemas.reals, z_hat=schemas.reals, t=schemas.moments)
    @schemas.fitting
    def rate(self, z0, z_t, z_hat, t: torch.Tensor) -> torch.Tensor:
        """(M7): (1/2)(-dSNR/dt) |z_0 - z_hat|^2, nats [B]. `z_t` is unused; it keeps the channels'
        methods alike."""
        slope = self.speed(t) * self.log_snr(t).exp()  # -dSNR/dt
        return 0.5 * slope * (z0 - z_hat).pow(2).flatten(1).sum(1)

    @schemas.checked(z0=schemas.reals, z_hat=schemas.reals, t=schemas.moments, s=schemas.moments)
    @schemas.fitting
    def step_cost(self, z0, z_t, z_hat, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """(M7), one step t -> s: (1/2)(SNR_s - SNR_t) |z_0 - z_hat|^2, nats [B]: the KL between the
        two Gaussians. As `Channel.step_cost`, where

        - `z0`, `z_hat` [B, m, d]: the latents, and what the denoiser said of them;
        - `z_t`: is unused, as in `rate`.
        """
        gain = self.log_snr(s).exp() - self.log_snr(t).exp()
        return 0.5 * gain * (z0 - z_hat).pow(2).flatten(1).sum(1)

    @schemas.checked(z0=schemas.reals, z_hat=schemas.reals, t=schemas.moments)
    @schemas.fitting
    def training_loss(self, z0, z_t, z_hat, t: torch.Tensor) -> torch.Tensor:
        """(M7) reweighted for training: SNR replaced by sigmoid(log-SNR), so that the finest scale,
        whose weight is e^6, does not drown the rest (METHOD 5). [B]; not a bound."""
        weight = 0.5 * self.speed(t) * self.log_snr(t).sigmoid()
        return weight * (z0 - z_hat).pow(2).flatten(1).sum(1)

    @schemas.checked(z0=schemas.reals)
    def prior_kl(self, z0: torch.Tensor) -> torch.Tensor:
        """(M8): KL(q(z_1|z_0) || N(0, I)) in closed form, nats [B].

        >>> float(GaussianChannel().prior_kl(torch.ones(1, 1, 4))[0]) < 0.01
        True
        """
        a2 = 1 / (1 + math.exp(-self.log_snr_min))  # at t=1, where any schedule has arrived at log_snr_min
        per_coordinate = 0.5 * (a2 * z0.pow(2) + (1 - a2) - 1 - math.log(1 - a2))
        return per_coordinate.flatten(1).sum(1)


class SquareRootChannel(GaussianChannel):
    """The square-root schedule of Diffusion-LM: sigma_t^2 = sqrt(t + s), METHOD 2. Most steps lie
    where there is much noise.

    Source: Li et al. 2022, arXiv 2205.14217, appendix A, whose s = 1e-4 is log_snr_max = 4.6. There
    alpha_bar = a_t^2 = 1 - sqrt(t + s) would fall below 0 at t = 1. Here sigma_t^4 goes linearly
    from its value at `log_snr_max` to that at `log_snr_min`, so that both ends are finite.

    >>> ch = SquareRootChannel(4.6)
    >>> [round(float(v) ** 2, 3) for v in ch.coefficients(torch.tensor(0.25))]
    [0.501, 0.499]
    """

    def _power(self, t):
        """sigma_t^4 and 1 - sigma_t^4, each from where it is small, and the slope of the first."""
        ends = [1 / (1 + math.exp(v)) for v in (self.log_snr_max, self.log_snr_min)]  # sigma^2 at t=0, t=1
        low, high = (v**2 for v in ends)
        rest = (1 - ends[1]) * (1 + ends[1])  # 1 - sigma^4 at t=1
        return low + (high - low) * t, rest + (high - low) * (1 - t), high - low

    @schemas.checked(t=schemas.reals)
    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        """log((1 - sigma^2) / sigma^2), with 1 - sigma^2 = (1 - sigma^4) / (1 + sigma^2)."""
        power, rest, _ = self._power(t)
        sigma2 = power.sqrt()
        return (rest / (1 + sigma2)).log() - sigma2.log()

    @schemas.checked(t=schemas.reals)
    def speed(self, t: torch.Tensor):
        """-d log-SNR/dt: the constant slope of sigma^4 over 2 sigma^4 (1 - sigma^2)."""
        power, rest, slope = self._power(t)
        return slope * (1 + power.sqrt()) / (2 * power * rest)

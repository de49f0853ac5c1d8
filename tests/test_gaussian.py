"""(M5)-(M8): the Gaussian channel against closed forms derived another way, and by Monte Carlo with fixed seeds."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import near
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from lddm_lite.channels import GaussianChannel

F64 = torch.float64
times = st.floats(0, 1, allow_nan=False)
reals = st.floats(-3, 3, allow_nan=False)


@given(times, st.floats(-10, 0), st.floats(0.5, 10))
def test_m5_coefficients_preserve_variance_and_have_the_log_snr(t, low, high):
    ch, t = GaussianChannel(high, low), torch.tensor(t, dtype=F64)
    a, sigma = ch.coefficients(t)
    assert float(a**2 + sigma**2) == pytest.approx(1, abs=1e-12)
    assert float((a**2 / sigma**2).log()) == pytest.approx(high + (low - high) * float(t), abs=1e-9)


def test_m5_marginals_by_monte_carlo(gen):
    ch, n = GaussianChannel(), 20_000
    z0 = torch.tensor([[1.5, -0.5]], dtype=F64).expand(3 * n, 1, 2)
    t = torch.tensor([0.2, 0.5, 0.8], dtype=F64).repeat_interleave(n)
    z = ch.corrupt(z0, t, gen(8)).reshape(3, n, 2)
    for k, lam in enumerate((3.6, 0.0, -3.6)):
        a, sigma = (1 / (1 + math.exp(-lam))) ** 0.5, (1 / (1 + math.exp(lam))) ** 0.5
        for c, value in enumerate((1.5, -0.5)):
            near(z[k, :, c].mean(), sigma, n, a * value)
            near(z[k, :, c].var(), math.sqrt(2) * sigma**2, n, sigma**2)
        near(((z[k] - z[k].mean(0)).prod(1)).mean(), sigma**2, n, 0)  # coordinates are independent
    prior = ch.prior((n, 1, 2), gen(9))
    near(prior.mean(), 1, 2 * n, 0), near(prior.var(), math.sqrt(2), 2 * n, 1)


def gaussian_bayes(ch, t, s, z_t, z_0):
    """q(z_s | z_t, z_0) from the covariance of the pair (z_s, z_t) given z_0: regression of one on the other."""
    snr = [math.exp(ch.log_snr_max + (ch.log_snr_min - ch.log_snr_max) * v) for v in (t, s)]
    var_t, var_s = (1 / (1 + v) for v in snr)
    a_t, a_s = math.sqrt(1 - var_t), math.sqrt(1 - var_s)
    cov = a_t / a_s * var_s  # z_t = (a_t / a_s) z_s + fresh noise
    return a_s * z_0 + cov / var_t * (z_t - a_t * z_0), var_s - cov**2 / var_t


@given(times, times, reals, reals)
def test_m6_posterior_is_bayes_rule(a, b, z_t, z_0):
    t, s = max(a, b), min(a, b)
    mean, var = gaussian_bayes(GaussianChannel(), t, s, z_t, z_0)
    shaped = [torch.full((1, 1, 1), v, dtype=F64) for v in (z_t, z_0)]
    got_mean, got_var = GaussianChannel().posterior(*shaped, torch.tensor([t], dtype=F64), torch.tensor([s], dtype=F64))
    assert float(got_mean) == pytest.approx(mean, abs=1e-9) and float(got_var) == pytest.approx(var, abs=1e-9)


@pytest.mark.parametrize("eta", [1.0, 0.5, 0.0])
def test_m6_a_step_back_with_the_true_z0_lands_on_the_forward_marginal(eta, gen):
    """For every eta; the covariance with z_t is (M6)'s for eta=1, where forward and reverse pairs are the same."""
    ch, n, t, s = GaussianChannel(), 40_000, 0.7, 0.4
    z0, when = torch.full((n, 1, 1), 1.2, dtype=F64), torch.ones(n, dtype=F64)
    z_t = ch.corrupt(z0, t * when, gen(10))
    z_s = ch.reverse_step(z_t, z0, t * when, s * when, gen(11), eta)
    (a_s, sigma_s), (a_t, sigma_t) = (map(float, ch.coefficients(torch.tensor(v, dtype=F64))) for v in (s, t))
    near(z_s.mean(), sigma_s, n, a_s * 1.2), near(z_s.var(), math.sqrt(2) * sigma_s**2, n, sigma_s**2)
    cov = ((z_s - a_s * 1.2) * (z_t - a_t * 1.2)).mean()
    truth = {1.0: a_t / a_s * sigma_s**2, 0.0: sigma_s * sigma_t}.get(eta)
    if truth is not None:
        near(cov, math.sqrt(2) * sigma_s * sigma_t, n, truth)


def test_ddim_has_no_noise_and_keeps_the_implied_one(gen):
    ch = GaussianChannel()
    z0, eps = (torch.randn(5, 2, 3, generator=gen(k), dtype=F64) for k in (1, 2))
    t, s = torch.linspace(0.2, 1, 5, dtype=F64), torch.linspace(0, 0.9, 5, dtype=F64)
    (a_t, sigma_t), (a_s, sigma_s) = (ch.coefficients(v.reshape(-1, 1, 1)) for v in (t, s))
    steps = [ch.reverse_step(a_t * z0 + sigma_t * eps, z0, t, s, gen(k), eta=0.0) for k in (3, 4)]
    assert torch.equal(*steps)
    assert torch.allclose(steps[0], a_s * z0 + sigma_s * eps, atol=1e-9)


@given(times, times, reals, reals, reals)
def test_m7_step_cost_is_the_kl_of_the_two_gaussians(a, b, z_t, z_0, z_hat):
    t, s = max(a, b), min(a, b)
    if t - s < 1e-6:  # the variances are then too small to divide by
        return
    ch = GaussianChannel()
    (mean_q, var), (mean_p, _) = gaussian_bayes(ch, t, s, z_t, z_0), gaussian_bayes(ch, t, s, z_t, z_hat)
    shaped = [torch.full((1, 1, 1), v, dtype=F64) for v in (z_0, z_t, z_hat)]
    cost = ch.step_cost(*shaped, torch.tensor([t], dtype=F64), torch.tensor([s], dtype=F64))
    assert float(cost) == pytest.approx((mean_q - mean_p) ** 2 / (2 * var), rel=1e-4, abs=1e-9)


@given(st.lists(times, min_size=0, max_size=12), st.integers(0, 99))
def test_m7_step_costs_telescope_to_the_integral_of_the_rate(inner, seed):
    ch, g = GaussianChannel(), torch.Generator().manual_seed(seed)
    z0, z_hat = (torch.randn(1, 2, 3, generator=g, dtype=F64) for _ in "ab")
    knots = torch.tensor([0.0, *sorted(inner), 1.0], dtype=F64)
    total = sum(float(ch.step_cost(z0, None, z_hat, t[None], s[None])) for s, t in itertools.pairwise(knots))
    assert total == pytest.approx(0.5 * float((z0 - z_hat).pow(2).sum()) * (math.exp(6) - math.exp(-6)), rel=1e-9)
    u, w = np.polynomial.legendre.leggauss(40)  # exact to rounding for an exponential over 12 e-folds
    integral = sum(
        w_ / 2 * float(ch.rate(z0, None, z_hat, torch.tensor([(u_ + 1) / 2]))) for u_, w_ in zip(u, w, strict=True)
    )
    assert total == pytest.approx(integral, rel=1e-9)


def test_the_training_weight_replaces_snr_by_its_sigmoid(gen):
    ch, t = GaussianChannel(), torch.linspace(0, 1, 7, dtype=F64)
    z0, z_hat = (torch.randn(7, 2, 3, generator=gen(k), dtype=F64) for k in (1, 2))
    share = ch.training_loss(z0, None, z_hat, t) / ch.rate(z0, None, z_hat, t)
    assert torch.allclose(share, 1 / (1 + (6 - 12 * t).exp()))


def test_m8_prior_kl_against_torch(gen):
    ch, z0 = GaussianChannel(5.0, -2.0), torch.randn(4, 2, 3, generator=gen(12), dtype=F64)
    a, sigma = ch.coefficients(torch.tensor(1.0, dtype=F64))
    unit = Normal(torch.zeros_like(z0), torch.ones_like(z0))
    truth = kl_divergence(Independent(Normal(a * z0, sigma), 2), Independent(unit, 2))
    assert torch.allclose(ch.prior_kl(z0), truth) and (truth > 0.1).all()

"""(M1)-(M8): both channels against closed forms, and by Monte Carlo with fixed seeds."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from lddm_lite.diffusion.channels import GaussianChannel, MaskedChannel, SquareRootChannel
from tests.support.own_parts import Squared
from tests.support.statistics import agree, histogram, near

F64 = torch.float64
times = st.floats(0, 1, allow_nan=False)
reals = st.floats(-3, 3, allow_nan=False)


# --- the masked channel ---------------------------------------------------------------------------

def test_m1_positions_are_masked_independently_with_probability_t(gen):
    ch, n = MaskedChannel(3), 30_000
    for seed, t in enumerate((0.1, 0.5, 0.9)):
        x0 = torch.tensor([0, 2, 1, 1]).expand(n, -1)
        x_t = ch.corrupt(x0, torch.full((n,), t), gen(seed))
        masked = x_t == ch.mask_id
        assert torch.equal(x_t[~masked], x0[~masked])
        patterns = torch.tensor(list(itertools.product((0, 1), repeat=4)))
        agree(histogram(masked.long(), 2), torch.where(patterns == 1, t, 1 - t).double().prod(1))


def test_m1_each_row_has_its_own_time_and_keep_stays(gen):
    ch = MaskedChannel(2)
    x0, t = torch.ones(3, 5_000, dtype=torch.long), torch.tensor([0.0, 0.3, 1.0])
    keep = torch.zeros_like(x0, dtype=torch.bool)
    keep[:, :1000] = True
    masked = ch.corrupt(x0, t, gen(5), keep) == ch.mask_id
    assert not masked[:, :1000].any() and not masked[0].any() and masked[2, 1000:].all()
    near(masked[1, 1000:].double().mean(), math.sqrt(0.21), 4000, 0.3)
    assert (ch.prior((2, 3), gen()) == ch.mask_id).all()


@pytest.mark.parametrize(("t", "s"), [(0.8, 0.5), (1.0, 0.25), (0.4, 0.0)])
def test_m2_a_step_back_lands_on_the_forward_marginal(t, s, random_task, gen):
    """Independent tokens, so that one factorised step is exact: all (V+1)^L states of x_s have
    known probabilities."""
    task, ch, n = random_task(length=3, vocab=2, components=1), MaskedChannel(2), 40_000
    g = gen(6)
    x_t = ch.corrupt(task.sample(n, g), torch.full((n,), t), g)
    where = ch.to_reveal(x_t, t, s, g)
    x_s = ch.reverse_step(x_t, task.predict(x_t)[where].log(), where, g)
    seen = x_t != ch.mask_id
    assert torch.equal(x_s[seen], x_t[seen])
    # [L, V+1]
    per_position = torch.cat([(1 - s) * task.probs[0], torch.full((3, 1), s, dtype=F64)], 1)
    agree(histogram(x_s, 3), torch.einsum("a,b,c->abc", *per_position).flatten())


def test_m2_with_dependent_tokens_every_position_still_has_its_marginal(tiny, gen):
    ch, n, t, s = MaskedChannel(2), 40_000, 0.7, 0.2
    g = gen(7)
    x_t = ch.corrupt(tiny.sample(n, g), torch.full((n,), t), g)
    where = ch.to_reveal(x_t, t, s, g)
    x_s = ch.reverse_step(x_t, tiny.predict(x_t)[where].log(), where, g)
    p = torch.einsum("g,glv->lv", tiny.log_prior.exp(), tiny.probs)
    for i in range(4):
        agree(torch.bincount(x_s[:, i], minlength=3), torch.cat([(1 - s) * p[i], torch.tensor([s])]))


def test_m3_rate_by_hand_in_both_forms():
    ch = MaskedChannel(2)
    x0, x_t = torch.tensor([[1, 0, 1], [0, 0, 1]]), torch.tensor([[2, 0, 2], [0, 0, 1]])
    p = torch.tensor([[0.25, 0.75], [0.9, 0.1]], dtype=F64)
    t = torch.tensor([0.5, 0.1])
    truth = torch.tensor([-(math.log(0.75) + math.log(0.1)) / 0.5, 0.0], dtype=F64)
    assert torch.allclose(ch.rate(x0, x_t, p.log(), t), truth)
    full = torch.full((2, 3, 2), math.nan, dtype=F64)  # visible positions must not be looked at
    full[0, 0], full[0, 2] = p[0].log(), p[1].log()
    assert torch.allclose(ch.rate(x0, x_t, full, t), truth)
    assert torch.allclose(ch.step_cost(x0, x_t, p.log(), t, torch.tensor([0.2, 0.1])), 0.3 * truth)


def expected(task, t, s=None):
    """E over x_0 and masks of the rate at t, or of the step cost of t -> s: every sequence with
    every mask, exactly."""
    ch, x = MaskedChannel(task.vocab), task.all_sequences()
    weight, total = task.log_prob(x).exp(), 0.0
    when = torch.full((len(x),), t, dtype=F64)
    for hidden in itertools.product((False, True), repeat=task.length):
        x_t = x.masked_fill(torch.tensor(hidden), ch.mask_id)
        k = sum(hidden)
        args = (x, x_t, task.predict(x_t).log(), when)
        cost = ch.rate(*args) if s is None else ch.step_cost(*args, torch.full_like(when, s))
        total += t**k * (1 - t) ** (task.length - k) * float(weight @ cost)
    return total


def test_m4_step_costs_are_a_riemann_sum_of_the_rate_and_converge_to_the_entropy(random_task):
    task = random_task(length=3, vocab=3, components=3)
    # the expected rate is a polynomial of degree 2 in t: exact
    nodes, weights = np.polynomial.legendre.leggauss(4)
    integral = sum(w / 2 * expected(task, (u + 1) / 2) for u, w in zip(nodes, weights, strict=True))
    assert integral == pytest.approx(task.entropy().value, abs=1e-9)
    excess = []
    for steps in (1, 2, 4, 8, 16, 32):
        sum_ = sum(expected(task, (k + 1) / steps, k / steps) for k in range(steps))
        excess.append(sum_ - integral)
        assert sum_ == pytest.approx(sum(expected(task, (k + 1) / steps) / steps for k in range(steps)))
    assert all(a > b > 0 for a, b in itertools.pairwise(excess))
    assert excess[-2] / excess[-1] == pytest.approx(2, abs=0.1)  # first order in the step


# --- the Gaussian channel -------------------------------------------------------------------------

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
    """q(z_s | z_t, z_0) from the covariance of the pair (z_s, z_t) given z_0: regression of one on
    the other."""
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
    """For every eta; the covariance with z_t is (M6)'s for eta=1, where forward and reverse pairs
    are the same."""
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
    # exact to rounding for an exponential over 12 e-folds
    u, w = np.polynomial.legendre.leggauss(40)
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


def test_speed_of_the_usual_channel_is_its_constant():
    channel = GaussianChannel(5.0, -3.0)
    assert channel.speed(torch.tensor([0.3])) == 8.0


@pytest.mark.parametrize("channel", [GaussianChannel(), Squared()], ids=["usual", "squared"])
def test_step_costs_of_one_guess_add_up_to_the_change_of_the_snr(channel):
    z0, guess = torch.ones(1, 1, 2), torch.zeros(1, 1, 2)
    t = torch.linspace(0, 1, 9)
    cost = sum(channel.step_cost(z0, None, guess, t[i + 1 : i + 2], t[i : i + 1]) for i in range(8))
    assert float(cost) == pytest.approx(math.exp(6) - math.exp(-6), rel=1e-5)


# --- the square-root schedule ---------------------------------------------------------------------

roots = [SquareRootChannel(), SquareRootChannel(4.6), SquareRootChannel(12.0, -12.0), SquareRootChannel(1.0, -1.0)]


@given(times, st.floats(-10, 0), st.floats(0.5, 10))
def test_the_square_of_the_noise_variance_is_linear_in_time(t, low, high):
    ch, t = SquareRootChannel(high, low), torch.tensor(t, dtype=F64)
    first, last = (1 / (1 + math.exp(v)) for v in (high, low))  # sigma^2 at both ends
    a, sigma = ch.coefficients(t)
    assert float(sigma**4) == pytest.approx(first**2 + (last**2 - first**2) * float(t), rel=1e-9)
    assert float(a**2 + sigma**2) == pytest.approx(1, abs=1e-12)


def test_it_is_diffusion_lms_but_for_the_end():
    """Li et al.: alpha_bar = 1 - sqrt(t + s), s = 1e-4, which is below 0 at t=1. log-SNR 4.595 at
    t=0 is alpha_bar = 0.99. Our slope is smaller by s + 1 - sigma_1^4, here 0.5 %."""
    t = torch.linspace(0, 0.99, 50, dtype=F64)
    a, _ = SquareRootChannel(math.log(99)).coefficients(t)
    assert torch.allclose(a**2, 1 - (t + 1e-4).sqrt(), atol=0.003)
    assert float(a[0] ** 2) == pytest.approx(0.99, abs=1e-9)


@pytest.mark.parametrize("ch", roots, ids=repr)
def test_its_speed_is_the_derivative_of_its_log_snr(ch):
    t = torch.cat([torch.linspace(0, 1, 41, dtype=F64), torch.logspace(-9, -2, 8, dtype=F64)]).requires_grad_()
    slope = torch.autograd.grad(ch.log_snr(t).sum(), t)[0]
    assert torch.allclose(ch.speed(t), -slope, rtol=1e-9)


@pytest.mark.parametrize("ch", roots, ids=repr)
def test_its_ends_are_those_asked_for_and_finite_in_float32(ch):
    t = torch.tensor([0.0, 1e-7, 0.5, 1 - 1e-7, 1.0])
    found, speed = ch.log_snr(t), ch.speed(t)
    assert found[[0, -1]].tolist() == pytest.approx([ch.log_snr_max, ch.log_snr_min], rel=1e-5)
    assert (found.diff() <= 0).all() and found.isfinite().all() and speed.isfinite().all() and (speed > 0).all()
    assert torch.allclose(found.double(), ch.log_snr(t.double()), rtol=1e-5)


@pytest.mark.parametrize("ch", roots, ids=repr)
def test_its_rate_integrates_to_its_step_costs(ch):
    """Over any step, with one guess; the nodes are placed where the rate is, t = u^4."""
    z0, z_hat = (torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(k), dtype=F64) for k in (1, 2))
    u, w = np.polynomial.legendre.leggauss(400)
    for s, t in ((0.0, 1.0), (0.0, 0.01), (0.3, 0.7)):
        low, high = s**0.25, t**0.25
        at = torch.tensor(low + (high - low) * (u + 1) / 2)
        rate = ch.rate(z0, None, z_hat, at**4) * 4 * at**3
        integral = float((rate * torch.tensor(w)).sum()) * (high - low) / 2
        cost = float(ch.step_cost(z0, None, z_hat, torch.tensor([t], dtype=F64), torch.tensor([s], dtype=F64)))
        assert integral == pytest.approx(cost, rel=1e-6)


def test_its_prior_term_is_that_of_the_usual_channel(gen):
    """It depends on the end alone, which both share."""
    z0 = torch.randn(4, 2, 3, generator=gen(12), dtype=F64)
    ch = SquareRootChannel(5.0, -2.0)
    a, sigma = ch.coefficients(torch.tensor(1.0, dtype=F64))
    unit = Normal(torch.zeros_like(z0), torch.ones_like(z0))
    truth = kl_divergence(Independent(Normal(a * z0, sigma), 2), Independent(unit, 2))
    assert torch.allclose(ch.prior_kl(z0), truth) and torch.equal(ch.prior_kl(z0), GaussianChannel(5, -2).prior_kl(z0))


@pytest.mark.parametrize("eta", [1.0, 0.5, 0.0])
def test_its_steps_back_land_on_the_forward_marginal_from_noise_to_clean(eta, gen):
    """The whole of the sampler's range in two steps, with the true z_0: t=1 and t=0 are reached."""
    ch, n, g = SquareRootChannel(4.6), 20_000, gen(13)
    z0, one = torch.full((n, 1, 1), 1.2), torch.ones(n)
    a, sigma = map(float, ch.coefficients(torch.tensor(0.4)))
    z = ch.reverse_step(ch.corrupt(z0, one, g), z0, one, 0.4 * one, g, eta)
    near(z.mean(), sigma, n, a * 1.2), near(z.var(), math.sqrt(2) * sigma**2, n, sigma**2)
    z = ch.reverse_step(z, z0, 0.4 * one, 0 * one, g, eta)
    near(z.mean(), 0.01**0.5, n, 0.99**0.5 * 1.2), near(z.var(), math.sqrt(2) * 0.01, n, 0.01)


# --- arguments ------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MaskedChannel(0), "vocab"),
        (lambda: MaskedChannel(2.0), "vocab"),
        (lambda: GaussianChannel(-6.0, 6.0), "log_snr_min"),
        (lambda: GaussianChannel(log_snr_max=math.nan), "log_snr_max"),
    ],
)
def test_channels_name_the_argument_that_is_wrong(make, name):
    with pytest.raises(ValueError, match=name):
        make()


def test_masks_by_count_are_any_of_that_number_at_its_time(gen):
    """Exactly ceil(u n) of the n free positions; each as often as others; and t like the k-th of n
    uniform times, whose mean is k / (n + 1). 20,000 rows; five standard errors."""
    ch, n = MaskedChannel(3), 5
    x = torch.zeros(20_000, 6, dtype=torch.long)
    keep = torch.zeros_like(x, dtype=torch.bool)
    keep[:, 2] = True
    for u, k in ((1e-6, 1), (0.39, 2), (0.41, 3), (1.0, 5)):
        x_t, t, share = ch.corrupt_by_count(x, torch.full((len(x),), u), gen(1), keep)
        masked = x_t == ch.mask_id
        assert (masked.sum(1) == k).all() and not masked[:, 2].any() and torch.allclose(share, torch.tensor(k / n))
        p = k / n
        often = masked[:, ~keep[0]].double().mean(0)
        assert (often - p).abs().max() <= 5 * (p * (1 - p) / len(x)) ** 0.5
        spread = (k * (n + 1 - k) / ((n + 1) ** 2 * (n + 2))) ** 0.5
        assert abs(float(t.mean()) - k / (n + 1)) < 5 * spread / len(x) ** 0.5


def test_a_sequence_with_nothing_to_mask_stays_clean(gen):
    x, keep = torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool)
    x_t, _, share = MaskedChannel(2).corrupt_by_count(x, torch.ones(1), gen(0), keep)
    assert torch.equal(x_t, x) and torch.isfinite(share).all()

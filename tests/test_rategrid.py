"""The grid of rates: against closed forms, against enumeration, against `nelbo`; (M11) and (M12) on the stored grid."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from lddm_lite.channels import GaussianChannel
from lddm_lite.model import LatentDiffusion
from lddm_lite.paths import Knot, Path
from lddm_lite.rategrid import rate_grid
from lddm_lite.rates import BEND_X, BEND_Z, RateGrid, nodes
from lddm_lite.widgets.path_explorer import stored_grids

LEADS = (0.0, 0.1, 0.25, 0.4, 0.5)
BUDGETS = ((1, 1), (1, 16), (4, 4), (8, 16), (3, 7), (64, 64))
GAIN = 20.0  # of the closed form below: the SNR at which all tokens together show the latent


# --- reading a grid: a closed form, without noise ----------------------------------------------------------

def potential(t_x, t_z):
    """A Phi of (M11), whose derivatives are rho_x and rho_z: a Gaussian latent that visible tokens measure too."""
    snr = GaussianChannel().log_snr(torch.as_tensor(t_z)).exp().numpy()
    return -0.5 * np.log(snr + 1 + GAIN * (1 - t_x))


def analytic(points):
    """RateGrid of `potential`. rho_z = -dSNR/dt x half of 1 / (SNR + ...), a posterior variance."""
    t_x, t_z = np.meshgrid(nodes(points, BEND_X), nodes(points, BEND_Z), indexing="ij")
    precision = np.exp(-2 * potential(t_x, t_z))
    return RateGrid("closed form", GAIN / 2 / precision, 0.5 / precision, log_snr=(6.0, -6.0))


def test_every_path_of_a_potential_costs_its_difference():
    grid = analytic(33)
    truth = potential(1.0, 1.0) - potential(0.0, 0.0)
    for lead in LEADS:
        assert grid.bound(Path(lead)).total == pytest.approx(truth, abs=2e-4), lead
        for budgets in BUDGETS:
            cost = grid.bound(Path(lead), *budgets)
            assert cost.nfe == Path(lead).nfe(*budgets)
            assert cost.total - cost.excess == pytest.approx(truth, abs=2e-4), (lead, budgets)
            assert cost.excess_tokens > -1e-6 and cost.excess_latents > -1e-6
    parts = [grid.bound(Path(lead)).tokens for lead in LEADS]
    assert max(parts) - min(parts) > 0.5, "the split does depend on the path"
    piece = grid.lines([Knot(1, 1), Knot(0.3, 1)])
    assert piece.shape == (1, 2) and piece[0, 1] == 0
    assert piece[0, 0] == pytest.approx(potential(1.0, 1.0) - potential(0.3, 1.0), abs=1e-4)


def test_rates_between_the_nodes():
    grid, at = analytic(33), np.random.default_rng(0).random((2, 500))
    rho_x, rho_z = grid.rho(*at)
    precision = np.exp(-2 * potential(*at))
    slope = 12 * GaussianChannel().log_snr(torch.from_numpy(at[1])).exp().numpy()
    assert np.abs(rho_x - GAIN / 2 / precision).max() < 1e-3
    assert np.abs(rho_z / (slope * 0.5 / precision) - 1).max() < 1e-3
    assert np.abs(analytic(9).rho(*at)[0] - rho_x).max() > 1e-2, "so that the tolerance above says something"


def test_a_step_costs_what_its_stale_prediction_costs():
    grid = analytic(33)
    steps, knots = grid.steps(Path(0.25), 3, 7), Path(0.25).knots(3, 7)
    w = np.polynomial.legendre.leggauss(12)
    for k, (a, b) in enumerate(itertools.pairwise(knots)):
        u = (1 + w[0]) / 2
        t_x, t_z = b.t_x + (a.t_x - b.t_x) * u, b.t_z + (a.t_z - b.t_z) * u
        x, z = grid.stale(a, t_x, t_z)
        assert steps["tokens"][k] == pytest.approx(x @ w[1] / 2 * (a.t_x - b.t_x), rel=1e-9)
        assert steps["latents"][k] == pytest.approx(z @ w[1] / 2 * (a.t_z - b.t_z), rel=1e-6, abs=1e-12)


def test_one_step_by_hand():
    cost = analytic(33).bound(Path(0.5), 1, 1)  # from (1, 1) to (1, 0) to (0, 0)
    low, high = math.exp(-6), math.exp(6)
    assert cost.latents == pytest.approx((high - low) * 0.5 / (1 + low), rel=1e-9)
    assert cost.tokens == pytest.approx(GAIN / 2 / (1 + high), rel=1e-9)


# --- measuring one ------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def small(saw):
    return rate_grid(LatentDiffusion.exact(saw, "shift"), saw.sample(512, seed=1), points=9, seed=2)


def conditional_entropy(task, p, x, hidden):
    """sum over hidden i of H(X_i | all visible), for all sequences x of probability p."""
    masked = x.clone()
    masked[:, hidden] = task.mask_id
    q = task.predict(masked)[:, hidden].gather(-1, x[:, hidden].unsqueeze(-1)).squeeze(-1)
    return float(-(p @ q.log()).sum())


def test_without_latents_the_rates_are_sums_over_all_masks(small, saw):
    """At t_z=1 next to nothing is known of z: rho_x against enumeration, at t=0 and t=1 too."""
    x = saw.all_sequences()
    p, length = saw.log_prob(x).exp(), saw.length
    by_count = np.zeros(length + 1)
    for hidden in itertools.chain.from_iterable(itertools.combinations(range(length), k) for k in range(1, length + 1)):
        by_count[len(hidden)] += conditional_entropy(saw, p, x, list(hidden))
    for i, t in enumerate(small.t_x):
        # (1/t) P(this mask) = t^(k-1) (1-t)^(L-k): no 1/t is left
        truth = sum(by_count[k] * t ** (k - 1) * (1 - t) ** (length - k) for k in range(1, length + 1))
        assert abs(small.tokens[i, -1] - truth) < 4 * small.tokens_se[i, -1] + 0.01, t
    assert small.tokens[0, -1] < small.tokens[-1, -1] - 0.5


def test_the_latent_rate_at_its_ends(small, saw):
    """Tokens masked, z pure noise: the variance of the prior, less what a log-SNR of -6 tells. Everything visible and z
    at the noise floor: the error of one direction on a circle, 1 / (2 SNR), at a radius of sqrt(2)."""
    assert small.latents[-1, -1] == pytest.approx(1 / (1 + math.exp(-6)), abs=2e-3)
    assert small.latents[0, 0] == pytest.approx(0.5 * math.exp(-6), rel=0.1)
    assert (np.diff(small.latents, axis=1) > 0).all(), "more noise, more error"
    rho_x, rho_z = small.rho(0.6, 0.4)
    assert rho_z[0] == pytest.approx(12 * math.exp(6 - 4.8) * small._latent(np.array([0.6]), np.array([0.4]))[0])


def test_discrete_latents(tiny, settled):
    """A deterministic encoder: every path costs the entropy, and rates at t=0 are finite."""
    model = LatentDiffusion.exact(tiny, settled(tiny, "discrete", codes=6, slots=2))
    grid = rate_grid(model, tiny.sample(2048, seed=3), points=5, draws=2)
    assert grid.log_snr is None and grid.prior == 0 and grid.encoder.value == 0
    found = [grid.bound(Path(lead)) for lead in LEADS]
    for cost in found:
        assert abs(cost.total - tiny.entropy().value) < 4 * grid.bound_se + 0.01 and grid.bound_se < 0.02
    assert found[0].tokens - found[-1].tokens > 0.1
    assert grid.bound(Path(0.5), 1, 2).nfe == 3 and grid.bound(Path(0.5), 1, 1).excess > 0.01


def test_a_network_is_measured_by_its_losses(saw, gen):
    """Fresh weights predict uniform tokens, and latents from z_t alone: the rates are known, or taken at one point."""
    model, x = LatentDiffusion.preset("co-seq", saw, width=16, dim=4), saw.sample(512, seed=4)
    grid = rate_grid(model, x, points=4)
    assert np.allclose(grid.tokens, 8 * math.log(2), atol=1e-5)
    model.eval()
    with torch.no_grad():
        z0, t = model.encode(x), torch.full((512,), 1 / 3)
        z_t = model.latents.corrupt(z0, t, gen(5))
        half = (model.predict(None, z_t, t, None).latents - z0).pow(2).flatten(1).sum(1) / 2
    assert np.allclose(grid.latents[:, 1], float(half.mean()), atol=5 * float(half.std()) / 512**0.5)
    assert grid.entropy is None


def test_json_keeps_it(small):
    back = RateGrid.from_dict(json.loads(json.dumps(small.to_dict())))
    assert back.bound(Path(0.2), 3, 5).total == pytest.approx(small.bound(Path(0.2), 3, 5).total, rel=1e-3)
    assert back.entropy.value == pytest.approx(small.entropy.value, rel=1e-5) and back.data == small.data
    with pytest.raises(ValueError, match="latents"):
        RateGrid.from_dict({"title": "x", "tokens": []})


@pytest.mark.parametrize(
    ("options", "message"),
    [(dict(points=3), "points"), (dict(draws=0), "draws"), (dict(seed=-1), "seed"), (dict(x=[[0] * 8] * 4), "x must")],
)
def test_wrong_arguments_are_named(saw, options, message):
    with pytest.raises(ValueError, match=message):
        rate_grid(LatentDiffusion.exact(saw, "shift"), **{"x": saw.sample(16), **options})


def test_what_cannot_be_measured(saw, small):
    with pytest.raises(ValueError, match="latents"):
        rate_grid(LatentDiffusion.exact(saw), saw.sample(16))
    with pytest.raises(ValueError, match="both or neither"):
        small.bound(Path(), token_steps=2)
    with pytest.raises(ValueError, match="token_steps"):
        small.bound(Path(), 0, 2)
    with pytest.raises(ValueError, match="one shape"):
        RateGrid("x", np.ones((4, 4)), np.ones((4, 5)))
    with pytest.raises(ValueError, match="> 0"):
        RateGrid("x", np.ones((4, 4)), np.zeros((4, 4)), log_snr=(6.0, -6.0))


# --- the stored grids ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=[0, 1], ids=["32", "128"])
def stored(request):
    return stored_grids()[request.param]


def test_m11_the_bound_stays_put(stored):
    """Every lead, and every walk in infinitely many steps: entropy and encoder."""
    truth = stored.entropy.value + stored.encoder.value
    error = math.hypot(stored.bound_se, stored.entropy.stderr, stored.encoder.stderr)
    totals = [stored.bound(Path(v)).total for v in LEADS]
    totals += [c.total - c.excess for v in LEADS for c in (stored.bound(Path(v), *b) for b in BUDGETS)]
    assert max(abs(v - truth) for v in totals) < 4 * error + 0.003 and error < 0.0015 * truth
    assert max(totals) - min(totals) < 0.05 if stored.data["length"] == 32 else 0.2
    split = [stored.bound(Path(v)).tokens for v in LEADS]
    assert max(split) - min(split) > 1


def test_m12_finite_steps_lose_and_fewer_lose_more(stored):
    for lead in LEADS:
        costs = [stored.bound(Path(lead), k, k) for k in (2, 4, 8, 16, 32, 64, 128)]
        excess = [c.excess for c in costs]
        assert excess == sorted(excess, reverse=True) and excess[-1] > 0
        assert all(c.excess_tokens > -4 * stored.excess_se and c.excess_latents > 0 for c in costs)
    tokens = [stored.bound(Path(v), 4, 16).excess_tokens for v in (0.0, 0.25, 0.5)]
    assert tokens[0] > tokens[1] + 0.1 and tokens[0] > tokens[2] + 0.1, "latents that lead make tokens independent"


@pytest.mark.parametrize(("t_x", "t_z"), [(0.9, 0.6), (0.7, 0.5), (0.5, 0.35)])
def test_m11_mixed_identity(t_x, t_z):
    """d rho_x / d t_z = d rho_z / d t_x, by central differences of step 0.05 on 32 bits."""
    grid, h = stored_grids()[0], 0.05
    over_z = (grid.rho(t_x, t_z + h)[0] - grid.rho(t_x, t_z - h)[0]) / (2 * h)
    over_x = (grid.rho(t_x + h, t_z)[1] - grid.rho(t_x - h, t_z)[1]) / (2 * h)
    assert over_z[0] == pytest.approx(over_x[0], rel=0.1, abs=0.1) and over_z[0] > 0.5


@pytest.mark.parametrize("lead", [0.0, 0.25, 0.5])
def test_it_agrees_with_nelbo_in_finite_steps_and_in_continuous_time(lead, saw32):
    """The same exact model through `nelbo`. What its sequences cost beyond the entropy is known, and taken out."""
    grid, model, path = stored_grids()[0], LatentDiffusion.exact(saw32, "shift"), Path(lead)
    x = saw32.sample(1024, seed=21)
    luck = -float(saw32.log_prob(x).mean()) - saw32.entropy().value
    for budgets in ((), (2, 8), (8, 5)):
        found = model.nelbo(x, path, **dict(zip(("token_steps", "latent_steps"), budgets, strict=False)), seed=3)
        cost = grid.bound(path, *budgets)
        assert found.nfe == cost.nfe
        for name in ("tokens", "latents", "total"):
            mine, other = getattr(cost, name), getattr(found, name)
            off = luck if name == "total" else 0.0
            assert abs(mine - (other.value - off)) < 4 * math.hypot(other.stderr, grid.bound_se), (budgets, name)
        assert found.prior.value == pytest.approx(cost.prior, abs=1e-4)

"""Reading a grid of rates: against a closed form and against `nelbo`; (M11) and (M12) on the stored
grids."""

import itertools
import math

import numpy as np
import pytest
import torch

from lddm_lite.diffusion.channels import GaussianChannel
from lddm_lite.diffusion.paths import Curve, Knot, Path
from lddm_lite.diffusion.rate_grid import BEND_X, BEND_Z, RateGrid, nodes
from lddm_lite.model import LatentDiffusion
from lddm_lite.widgets.path_explorer import stored_grids

LEADS = (0.0, 0.1, 0.25, 0.4, 0.5)
STEPS = ((1, 1), (1, 16), (4, 4), (8, 16), (3, 7), (64, 64))
GAIN = 20.0  # of the closed form below: the SNR at which all tokens together show the latent


# --- a closed form, without noise -----------------------------------------------------------------

def potential(t_x, t_z):
    """A Phi of (M11), whose derivatives are rho_x and rho_z: a Gaussian latent that visible tokens
    measure too."""
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
        for steps in STEPS:
            cost = grid.bound(Path(lead), *steps)
            assert cost.nfe == Path(lead).nfe(*steps)
            assert cost.total - cost.excess == pytest.approx(truth, abs=2e-4), (lead, steps)
            assert cost.excess_tokens > -1e-6 and cost.excess_latents > -1e-6
    parts = [grid.bound(Path(lead)).tokens for lead in LEADS]
    assert max(parts) - min(parts) > 0.5, "the split does depend on the path"
    line = grid.lines([Knot(1, 1), Knot(0.3, 1)])
    assert line.shape == (1, 2) and line[0, 1] == 0
    assert line[0, 0] == pytest.approx(potential(1.0, 1.0) - potential(0.3, 1.0), abs=1e-4)


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


# --- the stored grids -----------------------------------------------------------------------------

@pytest.fixture(scope="module", params=[0, 1], ids=["32", "128"])
def stored(request):
    return stored_grids()[request.param]


def test_m11_the_bound_stays_put(stored):
    """Every lead, and every walk in infinitely many steps: entropy and encoder."""
    truth = stored.entropy.value + stored.encoder.value
    error = math.hypot(stored.bound_se, stored.entropy.stderr, stored.encoder.stderr)
    totals = [stored.bound(Path(v)).total for v in LEADS]
    totals += [c.total - c.excess for v in LEADS for c in (stored.bound(Path(v), *k) for k in STEPS)]
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
    """The same exact model through `nelbo`. What its sequences cost beyond the entropy is known,
    and taken out."""
    grid, model, path = stored_grids()[0], LatentDiffusion.exact(saw32, "shift"), Path(lead)
    x = saw32.sample(1024, seed=21)
    luck = -float(saw32.log_prob(x).mean()) - saw32.entropy().value
    for steps in ((), (2, 8), (8, 5)):
        found = model.nelbo(x, path, **dict(zip(("token_steps", "latent_steps"), steps, strict=False)), seed=3)
        cost = grid.bound(path, *steps)
        assert found.nfe == cost.nfe
        for name in ("tokens", "latents", "total"):
            mine, other = getattr(cost, name), getattr(found, name)
            off = luck if name == "total" else 0.0
            assert abs(mine - (other.value - off)) < 4 * math.hypot(other.stderr, grid.bound_se), (steps, name)
        assert found.prior.value == pytest.approx(cost.prior, abs=1e-4)


@pytest.mark.parametrize("lead", [0.0, 0.2, 0.5])
def test_a_path_written_as_a_curve_costs_the_same(lead):
    path = Path(lead)
    curve = Curve(path.at, pieces=1000)
    grid = stored_grids()[0]
    assert grid.bound(curve).total == pytest.approx(grid.bound(path).total, abs=0.02)
    assert grid.bound(curve).tokens == pytest.approx(grid.bound(path).tokens, abs=0.02)


# --- arguments ------------------------------------------------------------------------------------

def test_step_counts_come_in_pairs_from_1():
    grid = analytic(9)
    with pytest.raises(ValueError, match="both or neither"):
        grid.bound(Path(), token_steps=2)
    with pytest.raises(ValueError, match="token_steps"):
        grid.bound(Path(), 0, 2)


def test_tables_that_make_no_grid_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        RateGrid("x", np.ones((4, 4)), np.ones((4, 5)))
    with pytest.raises(ValueError, match="> 0"):
        RateGrid("x", np.ones((4, 4)), np.zeros((4, 4)), log_snr=(6.0, -6.0))

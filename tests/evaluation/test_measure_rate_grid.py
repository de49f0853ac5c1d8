"""Measuring a grid of rates: against closed forms, against enumeration, against the losses of a
network."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from lddm_lite.diffusion.paths import Path
from lddm_lite.diffusion.rate_grid import RateGrid
from lddm_lite.evaluation.measure_rate_grid import rate_grid
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import Binsaw
from tests.support.own_parts import Squared

LEADS = (0.0, 0.1, 0.25, 0.4, 0.5)


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
    """Tokens masked, z pure noise: the variance of the prior, less what a log-SNR of -6 tells.
    Everything visible and z at the noise floor: the error of one direction on a circle, 1 / (2
    SNR), at a radius of sqrt(2)."""
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
    """Fresh weights predict uniform tokens, and latents from z_t alone: the rates are known, or
    taken at one point."""
    model, x = LatentDiffusion.preset("co-seq", saw, width=16, dim=4), saw.sample(512, seed=4)
    grid = rate_grid(model, x, points=4)
    assert np.allclose(grid.tokens, 8 * math.log(2), atol=1e-5)
    model.eval()
    with torch.no_grad():
        z0, t = model.encode(x), torch.full((512,), 1 / 3)
        z_t = model.latent_channel.corrupt(z0, t, gen(5))
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


def test_a_model_without_latents_has_no_grid(saw):
    with pytest.raises(ValueError, match="latents"):
        rate_grid(LatentDiffusion.exact(saw), saw.sample(16))


def test_a_rate_grid_is_of_the_usual_schedule():
    task = Binsaw(length=4)
    with pytest.raises(ValueError, match="model must have the usual schedule"):
        rate_grid(LatentDiffusion.exact(task, "shift", channel=Squared()), task.sample(16), points=4)

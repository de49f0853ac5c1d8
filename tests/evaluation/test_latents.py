"""What latents do: a diagnosis that tells good ones from bad, against the model's own bound and the
exact scores."""

import json
import math

import pytest
import torch

from lddm_lite import LatentDiffusion, Path
from lddm_lite._common.estimate import Estimate
from lddm_lite.diffusion.prediction import Prediction
from lddm_lite.evaluation import latents, tables
from lddm_lite.evaluation.latents import latent_health, z_response
from lddm_lite.tasks import MixtureOfProducts
from lddm_lite.text import dataset
from tests.support.comparisons import OneNatAWord
from tests.support.training_runs import TASK, start

REAL = ["rain fell on paris", "the river rose", "snow fell", "today the bank closed in paris", "rain"]


# --- the health of latents on a task --------------------------------------------------------------

def test_health_of_the_exact_shift_latent(saw32):
    """z is Binsaw's own shift and the denoiser is exact: tokens drawn in one step from it lose next
    to nothing."""
    health = latents.health(LatentDiffusion.exact(saw32, "shift"), saw32, n=1024)
    excess = {k: v.value for k, v in health["one_step"].items()}
    assert excess["encoder"] < 0.7 and excess["own"] < 1.5, "limits: what the noise floor and 16 latent steps cost"
    assert excess["zeroed"] == pytest.approx(8.0, rel=0.1), "as if there were no latents"
    assert excess["half"] < 0.7 and excess["half_swapped"] > 2
    assert health["z_response"] > 0.2
    assert health["spread"] == pytest.approx(1, abs=0.05) and abs(health["cosine"]) < 0.02


def test_health_sees_a_collapsed_encoder(saw):
    # with closed gates: the same z for all
    model = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1)
    torch.nn.init.zeros_(model.encoder.head.weight)
    health = latents.health(model, saw, n=128)
    assert health["spread"] == pytest.approx(0, abs=1e-6) and health["cosine"] == pytest.approx(1)
    assert health["z_response"] == pytest.approx(0, abs=1e-5)


def test_health_of_discrete_latents_and_of_none(saw):
    model = LatentDiffusion.preset("di-seq", saw, width=16, blocks=1, slots=2, codes=8)
    health = latents.health(model, saw, n=128)
    assert 1 <= health["perplexity"] <= health["codes"] == 8
    assert set(health["one_step"]) == {"own", "encoder", "zeroed", "half", "half_swapped"}
    assert latents.health(LatentDiffusion.preset("mdlm", saw, width=16), saw) == {}
    assert latents.health(LatentDiffusion.exact(saw), saw) == {}


def test_health_leaves_the_model_as_it_was(saw):
    model = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (latents.health(model, saw, n=64, seed=2) for _ in range(2))
    assert model.training and a == b
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_health_on_a_text():
    data = dataset.from_lines(["the bank rose .", "the yen fell on friday ."] * 4, vocab=64, length=8)
    assert latents.health(LatentDiffusion.preset("mdlm", data, width=16, blocks=1), data) == {}
    model = LatentDiffusion.preset("di-seq", data, width=16, blocks=1, codes=8)
    assert sorted(latents.health(model, data, n=32)) == ["codes", "cosine", "perplexity", "spread", "z_response"]


# --- the response to latents ----------------------------------------------------------------------

def test_z_response_is_the_loss_of_shuffled_latents():
    """Tokens that copy the code of their sequence: a foreign code makes them wrong as often as it
    differs."""
    model = start("co-seq")
    x = TASK.sample(64, seed=2)
    mode = TASK.posterior(x).argmax(1)
    model.encoder.forward = lambda x: 2.0 * TASK.posterior(x).argmax(1).float().reshape(-1, 1, 1).expand(-1, 1, 8) - 1

    def copy(x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        p = TASK.probs[(z_t.mean((1, 2)) > 0).long()]
        return Prediction(p[where].log(), None)

    model.denoiser.forward = copy
    own, other = (
        -TASK.probs[k].log().gather(-1, x.unsqueeze(-1)).sum((1, 2)).mean() for k in (mode, mode.roll(1))
    )
    assert z_response(model, x) == pytest.approx(float(other / own - 1), rel=1e-4)
    assert z_response(model, x) > 1


# --- tokens given latents of several kinds --------------------------------------------------------

@pytest.fixture(scope="module")
def task():
    return MixtureOfProducts(length=6, modes=3, noise=0.05)


@pytest.fixture(scope="module", params=["continuous", "discrete"])
def exact(request, task, settled):
    """The best possible model with latents of a settled encoder that tells sequences apart."""
    return LatentDiffusion.exact(task, settled(task, request.param, dim=4, slots=2))


def test_the_cost_of_the_token_steps_is_that_of_the_bound(exact, task):
    x = task.sample(2000)
    given = latents._latents(exact, x, torch.Generator().manual_seed(1))
    for k in (1, 3):
        got = latents._nll(exact, x, given["encoder"], k, torch.Generator().manual_seed(2))
        want = exact.nelbo(x, Path.sequential(), token_steps=k, latent_steps=2, seed=3).tokens
        error = math.hypot(got.stderr, want.stderr / 6)
        assert abs(got.value - want.value / 6) < 4 * error + 1e-6
    assert list(given) == ["encoder", "shuffled", "zeroed", "mixed"]


def test_draws_given_latents_are_those_of_one_step(exact, task):
    x = task.sample(2000)
    z = latents._latents(exact, x, torch.Generator().manual_seed(1))["encoder"]
    drawn = latents._draw(exact, x, z, 1, torch.Generator().manual_seed(2))
    score, want = task.score(drawn), latents.health(exact, task, 2000)["one_step"]["encoder"]
    assert abs(score["excess"] - want.value) < 4 * math.hypot(score["excess_se"], want.stderr)
    more = latents._draw(exact, x, z, 6, torch.Generator().manual_seed(2))
    assert int(more.max()) < task.vocab, "every mask is gone"


@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_a_text_model_is_examined_with_its_padding(system):
    data = dataset.from_lines(REAL * 3, length=10)
    model = LatentDiffusion.preset(system, data, slots=2, dim=3, codes=8, width=16, blocks=1).train()
    found = latent_health(model, data, (1, 2), n=12, judge=OneNatAWord(), seed=4)
    assert model.training
    assert {"z_response", "spread", "cosine"} <= set(found) and set(found["token_steps"]) == {1, 2}
    for part in found["token_steps"].values():
        assert set(part["nll"]) == {"encoder", "shuffled", "zeroed"}
        assert all(isinstance(v, Estimate) for v in part["nll"].values())
        assert set(part["samples"]) == {"encoder", "zeroed", "mixed", "own"}
    # an untrained head is uniform over all but the padding
    assert found["token_steps"][1]["nll"]["zeroed"].value == pytest.approx(math.log(data.vocab - 1), rel=1e-4)
    real = found["real"]
    assert real["gen_ppl"].value == pytest.approx(math.e)
    g = torch.Generator().manual_seed(0)
    x0 = data.sample(8)
    drawn = latents._draw(model.eval(), x0, latents._latents(model, x0, g)["zeroed"], 2, g)
    assert torch.equal(drawn == 0, (drawn == 0) | (x0 == 0)), "padding stays padding"
    assert json.loads(tables.as_json(found))["token_steps"]["1"]["nll"]["encoder"]["value"] > 0
    again = latent_health(model, data, (1, 2), n=12, judge=OneNatAWord(), seed=4)
    assert tables.as_json(again) == tables.as_json(found)


def test_a_model_without_latents_has_no_health():
    data = dataset.from_lines(REAL, length=10)
    assert latent_health(LatentDiffusion.preset("mdlm", data, width=16, blocks=1), data) == {}


def test_wrong_arguments_are_named():
    data = dataset.from_lines(REAL, length=10)
    model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    with pytest.raises(ValueError, match="token_steps must be an integer >= 1, got 0"):
        latent_health(model, data, (0,))
    with pytest.raises(ValueError, match="data must have `decode`"):
        latent_health(model, object())

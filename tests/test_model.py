"""`LatentDiffusion`: presets, predictions, a path of one's own, and the way to a file and back."""

import math

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite._common import checkpoint
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.config import ALIASES, SYSTEMS
from lddm_lite.diffusion.paths import Path
from lddm_lite.model import LatentDiffusion, load
from lddm_lite.tasks import make
from tests.support.random_models import SMALL, TASK, build

MODELS = {system: build(system) for system in SYSTEMS}


# --- presets --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("alias", "system"), ALIASES.items())
def test_an_alias_is_its_system(alias, system):
    assert LatentDiffusion.preset(alias, TASK, **SMALL).name == system


@pytest.mark.parametrize("system", SYSTEMS)
def test_presets_have_their_name_and_path(system):
    assert MODELS[system].path == Path(SYSTEMS[system]["lead"]) and MODELS[system].name == system


def test_the_seed_decides_the_weights():
    a, b, c = (LatentDiffusion.preset("co-seq", TASK, seed=s, **SMALL).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a) and any(not torch.equal(a[k], c[k]) for k in a)


# --- predictions ----------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_predictions_depend_on_everything_they_should(system):
    model, g = MODELS[system], torch.Generator().manual_seed(1)
    x, t = TASK.sample(4, 9), torch.full((4,), 0.6)
    x_t = model.token_channel.corrupt(x, t, g)
    x_t[:, 0] = 3
    z = model.latent_channel.corrupt(model.encode(x), t, g)
    where = x_t == 3
    base = model.predict(x_t, z, t, where)
    other_z = model.predict(x_t, z.roll(1, 0) if z.is_floating_point() else (z + 1) % 6, t, where)
    assert not torch.allclose(base.tokens, other_z.tokens) and not torch.allclose(base.latents, other_z.latents)
    other_x = model.predict(torch.where(where, x_t, (x_t + 1) % 3), z, t, where)
    assert not torch.allclose(base.tokens, other_x.tokens) and not torch.allclose(base.latents, other_x.latents)
    if system == "co-seq":  # a masked prediction needs no time, a Gaussian one does (METHOD 10)
        assert not torch.allclose(base.tokens, model.predict(x_t, z, t / 2, where).tokens)
    assert torch.allclose(base.tokens.exp().sum(-1), torch.ones(int(where.sum())))


def test_the_loss_of_a_fresh_model_is_log_v_per_token():
    for system in SYSTEMS:
        fresh = LatentDiffusion.preset(system, TASK, **SMALL).eval()
        n = fresh.nelbo(TASK.sample(64), token_steps=1)
        assert n.tokens.value == pytest.approx(6 * math.log(3), rel=1e-5)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_any_model_takes_a_curve(system):
    model, curve = MODELS[system], ld.Curve(lambda u: (1 - (1 - u) ** 2, u**2))
    trace = model.sample(4, token_steps=3, path=curve, seed=0)
    assert trace.nfe == 3 and (trace.tokens < 3).all() and 0 <= trace.lead <= 0.5
    assert ld.Trace.from_json(trace.to_json()).knots == trace.knots
    assert math.isfinite(model.nelbo(TASK.sample(64), curve).total.value)
    assert math.isfinite(model.nelbo(TASK.sample(64), curve, token_steps=3).total.value)
    row = ld.evaluation.frontier(model, TASK, (2,), path=curve, n=32)[0]
    assert row["nfe"] == 2


# --- files ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", SYSTEMS)
def test_a_loaded_model_does_the_same(system, tmp_path):
    model = build(system)
    model.save(tmp_path / "a", note="kept")
    again = load(tmp_path / "a")
    assert again.config == model.config and again.labels == model.labels and not again.training
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    a, b = (m.sample(8, 2, seed=3) for m in (model, again))
    assert np.array_equal(a.tokens, b.tokens) and np.array_equal(a.confidence, b.confidence)
    x = make(**again.data).sample(16)  # the task is known too
    assert torch.equal(x, TASK.sample(16)) and model.nelbo(x) == again.nelbo(x)
    assert checkpoint.read(tmp_path / "a")[1]["note"] == "kept"


def test_a_missing_model_names_those_that_ship():
    with pytest.raises(CheckpointError, match="no checkpoint 'nowhere/at-all'; shipped ones:"):
        load("nowhere/at-all")

"""Evaluation mode ends with the block, whatever happens in it."""

import pytest
import torch
from torch import nn

from lddm_lite import LatentDiffusion, Path, evaluation, tasks, text
from lddm_lite._common.modes import evaluating
from lddm_lite.diffusion import decode
from lddm_lite.training.averages import averaged
from lddm_lite.widgets import latent_explorer

TASK = tasks.Binsaw(length=8)
DATA = text.from_lines(["the bank opened .", "rain fell .", "the river rose ."] * 8, length=6)


def test_each_module_gets_its_own_mode_back():
    layers = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout().eval(), nn.Dropout()))
    before = [m.training for m in layers.modules()]
    with evaluating(layers) as same:
        assert same is layers and not any(m.training for m in layers.modules())
    assert [m.training for m in layers.modules()] == before


def test_also_after_an_error():
    layer = nn.Dropout()
    with pytest.raises(KeyError), evaluating(layer):
        raise KeyError
    assert layer.training


class Failure(Exception):
    """Not one that the library knows."""


def text_health(model):
    return evaluation.latent_health(model, DATA, (1,), n=4)


USES = {
    "nelbo": (TASK, lambda m: m.nelbo(TASK.sample(4))),
    "sample": (TASK, lambda m: m.sample(4, token_steps=2)),
    "infill": (TASK, lambda m: m.infill("01______", token_steps=2)),
    "decode": (TASK, lambda m: decode(m, torch.zeros(2, m.config.slots, m.config.dim))),
    "along_path": (TASK, lambda m: evaluation.along_path(m, TASK.sample(4), Path(), points=2)),
    "rate_grid": (TASK, lambda m: evaluation.rate_grid(m, TASK.sample(32), points=4)),
    "z_response": (TASK, lambda m: evaluation.z_response(m, TASK.sample(4))),
    "diagnose": (TASK, lambda m: evaluation.diagnose(m, TASK, n=8)),
    "latent_health": (DATA, text_health),
    "averaged": (TASK, lambda m: failing_inside(averaged(m, [], []), m)),
    "LatentExplorer": (TASK, lambda m: latent_explorer.LatentExplorer(m, TASK.sample(8))),
}


def failing_inside(context, model):
    with context:
        model.predict(None, None, None)


@pytest.mark.parametrize("name", USES)
def test_an_error_leaves_no_model_in_evaluation_mode(name, monkeypatch):
    data, use = USES[name]
    model = LatentDiffusion.preset("co-seq", data, width=16, heads=2, blocks=1, encoder_blocks=1, dim=2).train()
    model.encoder.centre.eval()  # a part with a mode of its own
    before = [m.training for m in model.modules()]

    def fail(*args, **options):
        assert not any(m.training for m in model.modules()), "the network was called outside of evaluation mode"
        raise Failure

    monkeypatch.setattr(model, "predict", fail)
    monkeypatch.setattr(model, "encode", fail)
    with pytest.raises(Failure):
        use(model)
    assert [m.training for m in model.modules()] == before


@pytest.mark.parametrize("bad", [dict(draws=0), dict(batch=0), dict(latent_steps=2)])
def test_a_bad_argument_leaves_the_mode_alone(bad):
    model = LatentDiffusion.preset("co-seq", TASK, width=16).train()
    with pytest.raises(ValueError):
        model.nelbo(TASK.sample(2), **bad)
    assert model.training

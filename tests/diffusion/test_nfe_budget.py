"""A total of network calls, divided: every system makes exactly as many calls as it is given."""

import pytest

from lddm_lite import LatentDiffusion, Path
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion import nfe_budget
from lddm_lite.evaluation.few_steps import TOKEN_STEPS
from lddm_lite.tasks import Binsaw

TASK = Binsaw(length=8)
SMALL = dict(width=8, heads=1, blocks=1, encoder_blocks=1, slots=3)
MODELS = {system: LatentDiffusion.preset(system, TASK, **SMALL) for system in SYSTEMS}


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_total_is_spent_to_the_last_call(system):
    model, calls = MODELS[system], []
    forward, model.denoiser.forward = model.denoiser.forward, lambda *a: calls.append(a) or forward(*a)
    try:
        for nfe in (*TOKEN_STEPS, 3, 5, 11):
            calls.clear()
            token_steps, latent_steps, path = nfe_budget.split(model, nfe)
            # so many sequences that each step reveals something: where it does not, the call is
            # saved
            trace = model.sample(1000, token_steps, latent_steps, path, batch=1000)
            assert trace.nfe == len(calls) == nfe
    finally:
        del model.denoiser.forward


@pytest.mark.parametrize("lead", [0.05, 0.2, 0.25, 1 / 3, 0.4, 0.45, 0.499])
def test_leads_in_between_spend_exactly_as_much(lead):
    for system in ("co-seq", "di-seq"):
        model = LatentDiffusion.preset(system, TASK, **SMALL, lead=lead)
        for nfe in (*TOKEN_STEPS, 3, 7, 100):
            token_steps, latent_steps, path = nfe_budget.split(model, nfe)
            assert path.nfe(token_steps, latent_steps) == nfe
            assert path.lead == (lead if nfe > 1 else 0)


@pytest.mark.parametrize("lead", [0.0, 0.1, 0.4, 0.5])
def test_another_path_than_the_models_own(lead):
    for system in ("co-seq", "di-joint"):
        model = MODELS[system]
        token_steps, latent_steps, path = nfe_budget.split(model, 9, path=Path(lead))
        assert path == Path(lead) and model.sample(2, token_steps, latent_steps, path).nfe == 9
        assert nfe_budget.split(model, 9, path=model.path) == nfe_budget.split(model, 9)


def test_the_usual_divisions():
    def usual(system):
        return [nfe_budget.split(MODELS[system], nfe)[:2] for nfe in (1, 2, 4, 8, 16, 64)]

    assert usual("mdlm") == [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (64, 0)]
    assert usual("co-joint") == usual("di-joint") == [(k, k) for k in (1, 2, 4, 8, 16, 64)]
    assert usual("co-seq") == [(1, 1), (1, 1), (2, 2), (4, 4), (8, 8), (48, 16)]
    assert usual("di-seq") == [(1, 1), (1, 1), (2, 2), (5, 3), (13, 3), (61, 3)], "three slots"
    paths = {system: [nfe_budget.split(MODELS[system], nfe)[2] for nfe in (1, 2)] for system in SYSTEMS}
    assert paths["co-seq"] == paths["di-seq"] == [Path(0.0), Path(0.5)]
    assert paths["co-joint"] == [Path(0.0)] * 2 and paths["mdlm"] == [Path(0.5)] * 2


def test_other_divisions():
    model = MODELS["co-seq"]
    assert nfe_budget.split(model, 10, latent_share=0.3)[:2] == (7, 3)
    assert nfe_budget.split(model, 10, latent_share=0.0)[:2] == (9, 1)
    assert nfe_budget.split(model, 10, latent_share=1.0)[:2] == (1, 9)
    assert nfe_budget.split(model, 1, latent_share=0.3) == (1, 1, Path(0.0))
    assert nfe_budget.split(model, 10, latent_steps=9)[:2] == (1, 9)
    for system in ("mdlm", "co-joint"):
        assert nfe_budget.split(MODELS[system], 10, latent_steps=40) == nfe_budget.split(MODELS[system], 10)


@pytest.mark.parametrize(
    ("nfe", "options", "message"),
    [
        (0, {}, "nfe must be an integer >= 1, got 0"),
        (2.0, {}, "nfe must be an integer"),
        (4, dict(latent_share=1.5), r"latent_share must be a number in \[0.0, 1.0\], got 1.5"),
        (4, dict(latent_steps=0), "latent_steps must be an integer >= 1"),
        (4, dict(latent_steps=4), "latent_steps must be below nfe=4: tokens need a call too; got 4"),
        (4, dict(latent_steps=1, latent_share=0.5), "give latent_share or latent_steps, not both; got 0.5 and 1"),
    ],
)
def test_wrong_arguments_are_named(nfe, options, message):
    with pytest.raises(ValueError, match=message):
        nfe_budget.split(MODELS["co-seq"], nfe, **options)

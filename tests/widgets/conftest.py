"""Untrained models of Binsaw and two runs of them."""

import pytest

from lddm_lite import LatentDiffusion, tasks


@pytest.fixture(scope="session")
def models():
    task = tasks.Binsaw(length=16)
    make = {s: LatentDiffusion.preset(s, task, width=16) for s in ("co-seq", "mdlm")}
    return make | {"di-seq": LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8)}


@pytest.fixture(scope="session")
def traces(models):
    return [
        models["co-seq"].sample(6, token_steps=2, latent_steps=3, seed=0),
        models["mdlm"].sample(6, token_steps=4, seed=0),
    ]

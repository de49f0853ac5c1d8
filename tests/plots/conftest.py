"""Runs to draw, made once; no figure outlives its test."""

import matplotlib
import pytest
import torch

from lddm_lite import LatentDiffusion, tasks

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def saws():
    """One run of each kind of latents, and encoded data: 6 sequences of 32 bits."""
    task = tasks.Binsaw(length=32)
    shift = LatentDiffusion.exact(task, "shift")
    x = task.sample(50, seed=1)
    return dict(
        task=task,
        continuous=shift.sample(6, token_steps=2, latent_steps=4, seed=0),
        discrete=LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8).sample(6, token_steps=2, seed=0),
        none=LatentDiffusion.exact(task).sample(6, token_steps=4, seed=0),
        cloud=shift.encode(x, torch.Generator().manual_seed(0)),
        hue=task.find_shift(x) / task.period,
    )


@pytest.fixture(scope="session")
def news():
    """Four sentences of the newswire, 5 steps."""
    return LatentDiffusion.exact(tasks.ToyNewswire()).sample(4, token_steps=5, seed=3)

"""Untrained models of all systems on a small mixture, with random numbers for all weights."""

import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts

TASK = MixtureOfProducts(length=6, modes=3, vocab=3, seed=1)
SMALL = dict(width=16, heads=2, blocks=2, encoder_blocks=1, dim=4, slots=2)


def awaken(model, seed=0):
    """Random numbers for all weights: gates and heads start at zero, which would hide what depends
    on what."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g))
    return model.eval()


def build(system, **changes):
    """An awakened model of `TASK`; discrete ones have 5 codes."""
    codes = {"codes": 5} if system.startswith("di") else {}
    return awaken(LatentDiffusion.preset(system, TASK, **{**SMALL, **codes, **changes}))

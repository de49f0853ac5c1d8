"""Notebook 02: what its prose claims of the bound, of finite steps and of samples holds for other
seeds too."""

import itertools
import math

import pytest
import torch
from torch import nn

from lddm_lite.config import Config
from lddm_lite.diffusion.paths import Path
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import Binsaw, MixtureOfProducts
from lddm_lite.widgets.path_explorer import stored_grids


class Nearest(nn.Module):
    """The notebook's encoder: the number of the nearest prototype, as a point on a line."""

    def __init__(self, task):
        super().__init__()
        self.task = task

    def forward(self, x):
        k = self.task.modes
        code = (k * (x[:, None] != self.task.prototypes).sum(-1) + torch.arange(k)).argmin(1)
        return math.sqrt(1.5) * (code.float() - 1).reshape(-1, 1, 1)


def test_an_exact_model_may_have_its_latent_on_a_line():
    """Which a learned encoder may not: its slots lie on a sphere, and that of a line is two points.
    """
    task = MixtureOfProducts(length=5, modes=3, seed=1)
    model = LatentDiffusion.exact(task, Nearest(task))
    assert model.latent_shape(2) == (2, 1, 1) and model.sample(4, 1, latent_steps=4).tokens.shape == (4, 5)
    with pytest.raises(ValueError, match="dim must be an integer >= 2, got 1"):
        Config.preset("co-seq", length=5, vocab=2, dim=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_order_matters_in_few_steps_only(seed):
    """For five draws of prototypes: the same bound on every path in continuous time; with the
    latent ahead, one token step loses little; and the latents' part of what 16 Gaussian steps lose
    stays."""
    task = MixtureOfProducts(length=5, modes=3, noise=0.05, seed=seed)
    model, plain, x = LatentDiffusion.exact(task, Nearest(task)), LatentDiffusion.exact(task), task.sample(16_384, seed)
    truth = -float(task.log_prob(x).mean())
    with torch.no_grad():
        found = {lead: model.nelbo(x, Path(lead), draws=2, seed=seed) for lead in (0.0, 0.2, 0.4, 0.5)}
        for n in found.values():  # 4 standard errors; 0.002 for what is left of z at t_z=1
            assert abs(n.total.value - truth) < 4 * n.total.stderr + 0.002
        parts = [n.tokens.value for n in found.values()]
        assert all(a > b - 0.05 for a, b in itertools.pairwise(parts)) and parts[0] > parts[-1] + 0.2
        few = model.nelbo(x, Path(0.5), token_steps=1, latent_steps=16, draws=2, seed=seed)
        one = plain.nelbo(x, token_steps=1)
    # tokens of the sequential path, continuous: H(x | z); in one step: sum_i H(x_i | z). Without z:
    # H(x), sum_i H(x_i)
    lost, lost_plain = few.tokens.value - found[0.5].tokens.value, one.total.value - truth
    assert lost < lost_plain / 4 + 4 * math.hypot(few.tokens.stderr, found[0.5].tokens.stderr)
    assert few.latents.value - found[0.5].latents.value > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_samples_follow_the_tokens_part_of_the_excess(seed):
    """128 bits, 2 token and 16 latent steps: the lead of 0.25 helps samples, though the bound's
    latents' part grows."""
    grid, task = stored_grids()[1], Binsaw()
    model, costs = LatentDiffusion.exact(task, "shift"), [stored_grids()[1].bound(Path(v), 2, 16) for v in (0, 0.25)]
    joint, ahead = (
        -float(task.log_prob(model.sample(256, 2, 16, Path(lead), seed=seed).tokens).mean()) - grid.entropy.value
        for lead in (0.0, 0.25)
    )
    assert ahead < joint / 4 and costs[1].excess_tokens < costs[0].excess_tokens / 20
    assert costs[1].excess_latents > costs[0].excess_latents

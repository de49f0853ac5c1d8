"""Exact predictors: Bayes' rule, and the same law from a list of all sequences."""

import itertools
import math

import pytest
import torch
from torch import nn

from lddm_lite.model import LatentDiffusion
from lddm_lite.networks.encoders import ContinuousEncoder
from lddm_lite.networks.exact import ExactDenoiser, enumerated
from lddm_lite.tasks import Binsaw

pytestmark = pytest.mark.usefixtures("no_gradients")

F64 = torch.float64


def test_exact_predictions_are_bayes_rule(tiny, settled, gen):
    """With a latent: p(x | x_t, z_t) is proportional to p(x) 1[x fits x_t] q(z_t | z_0(x)), over
    all sequences."""
    model = LatentDiffusion.exact(tiny, settled(tiny, dim=4, slots=2))
    x, g = tiny.all_sequences(), gen(3)
    # off the sphere too
    z0 = model.encode(x).double() * torch.linspace(0.3, 1.5, 16, dtype=F64).reshape(-1, 1, 1)
    model.denoiser.points = z0
    x_t = model.token_channel.corrupt(x, torch.full((16,), 0.5), g)
    t_z = torch.linspace(0.3, 0.9, 16, dtype=F64)
    z_t = model.latent_channel.corrupt(z0, t_z, g)
    where = x_t == tiny.mask_id
    out = model.predict(x_t, z_t, t_z, where)
    a, sigma = model.latent_channel.coefficients(t_z.reshape(-1, 1, 1, 1))
    # [16, 16]
    likelihood = torch.distributions.Normal(a * z0, sigma).log_prob(z_t.unsqueeze(1)).sum((-1, -2))
    fits = ((x_t.unsqueeze(1) == x) | where.unsqueeze(1)).all(-1)
    w = (likelihood + tiny.log_prob(x)).masked_fill(~fits, -math.inf).softmax(1)
    assert torch.allclose(out.latents, torch.einsum("bn,nmd->bmd", w, z0))
    p = torch.einsum("bn,nlv->blv", w, nn.functional.one_hot(x, 2).double())
    assert torch.allclose(out.tokens.exp(), p[where], atol=1e-12)
    assert torch.allclose(model.predict(None, z_t, t_z).latents, model.predict(x_t * 0 + 2, z_t, t_z).latents)


def test_enumerated_is_the_same_law(tiny, random_task):
    table = enumerated(tiny)
    rows = torch.tensor(list(itertools.product(range(3), repeat=4)))
    assert torch.allclose(table.log_prob(rows), tiny.log_prob(rows)) and table.entropy() == tiny.entropy()
    assert torch.allclose(table.predict(rows), tiny.predict(rows))
    with pytest.raises(ValueError, match="8192 sequences are too many|2\\*\\*13 sequences are too many"):
        enumerated(random_task(length=13, vocab=2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: LatentDiffusion.exact(t, "shift"), "ShiftEncoder needs a Binsaw task"),
        (lambda t: LatentDiffusion.exact(t, "modes"), "encoder must be None, 'shift' or an encoder module"),
        (lambda t: ExactDenoiser(t, torch.zeros(3, 1, 2)), "latents must hold 5 entries"),
        (lambda t: LatentDiffusion.exact(t).sample(2, 4, latent_steps=4), "latent_steps must be 0 for 'exact'"),
        (lambda t: LatentDiffusion.exact(Binsaw(13), ContinuousEncoder), "encoder must be"),
    ],
)
def test_wrong_arguments_are_named(make, message, tiny):
    with pytest.raises(ValueError, match=message):
        make(tiny)

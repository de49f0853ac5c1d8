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
        (lambda t: LatentDiffusion.exact(t, "shift"), "task must be a Binsaw"),
        (lambda t: LatentDiffusion.exact(t, "modes"), "encoder must be None, 'shift', 'shift-code' or an encoder"),
        (lambda t: ExactDenoiser(t, torch.zeros(3, 1, 2)), "latents must hold 5 entries"),
        (lambda t: LatentDiffusion.exact(t).sample(2, 4, latent_steps=4), "latent_steps must be 0 for 'exact'"),
        (lambda t: LatentDiffusion.exact(Binsaw(13), ContinuousEncoder), "encoder must be"),
    ],
)
def test_wrong_arguments_are_named(make, message, tiny):
    with pytest.raises(ValueError, match=message):
        make(tiny)


def binned(saw, codes, fine=200_000):
    """P(x, code) [2**L, codes] of a Binsaw by its definition: midpoint sums over each bin of the shift."""
    s = (torch.arange(fine, dtype=F64) + 0.5) / fine * saw.period
    p1 = saw.bit_probs(s)
    x = saw.all_sequences()
    p = torch.stack([torch.where(row == 1, p1, 1 - p1).prod(-1) for row in x])  # [2**L, fine]
    return p.unflatten(1, (codes, -1)).mean(-1) / codes


SAW4 = Binsaw(length=4)


@pytest.mark.parametrize("codes", [2, 4])
def test_a_shift_code_predicts_by_bayes_rule(codes):
    """p(x_i | visible, code) and p(code | visible), for all that may be visible of four bits, with and
    without the code. Bins end where Gauss pieces do, or within one: there the law of the bin is that
    of its nodes, so that four codes agree to 1e-2 only."""
    model, joint = LatentDiffusion.exact(SAW4, "shift-code", codes=codes), binned(SAW4, codes)
    x, tolerance = SAW4.all_sequences(), 1e-9 if codes == 2 else 1e-2
    for row in itertools.product(range(3), repeat=4):
        x_t = torch.tensor([row])
        fits = ((x_t == x) | (x_t == 2)).all(1)
        for code in range(codes + 1):
            w = joint * fits.unsqueeze(1)
            if code < codes:
                w = w * (torch.arange(codes) == code)
            out = model.predict(x_t, torch.tensor([[code]]), torch.ones(1), x_t == 2)
            p1 = (w.sum(1) @ x.double() / w.sum())[x_t[0] == 2]
            assert torch.allclose(out.tokens[:, 1].exp(), p1, atol=tolerance)
            assert torch.allclose(out.latents.exp()[0, 0], w.sum(0) / w.sum(), atol=tolerance)


def test_a_shift_code_is_drawn_from_its_posterior_and_costs_its_entropy(gen):
    """The bound is H(x) + H(code | x), here by enumeration, in continuous time; 5 standard errors."""
    model, joint = LatentDiffusion.exact(SAW4, "shift-code", codes=2), binned(SAW4, 2)
    x = SAW4.all_sequences()
    drawn = torch.stack([model.encode(x, gen(k)).squeeze(1) for k in range(4000)]).double().mean(0)
    want = joint[:, 1] / joint.sum(1)
    assert ((drawn - want).abs() < 5 * (want * (1 - want) / 4000).sqrt()).all()
    entropy = -float((joint.sum(1) * joint.sum(1).log()).sum())
    gap = -float((joint * joint.log()).sum()) - entropy
    assert entropy == pytest.approx(SAW4.entropy().value, abs=1e-9) and gap > 0.1
    bound = model.nelbo(SAW4.sample(1 << 14, seed=1), seed=2, batch=1 << 14).total
    assert abs(bound.value - entropy - gap) < 5 * bound.stderr and bound.stderr < 0.03


def test_one_token_step_given_a_shift_code_is_a_mixture_of_products():
    model, joint, n = LatentDiffusion.exact(SAW4, "shift-code", codes=2), binned(SAW4, 2), 1 << 15
    x = SAW4.all_sequences()
    one = joint.T @ x.double() / joint.sum(0).unsqueeze(1)  # p(x_i = 1 | code) [2, 4]
    law = sum(w * torch.where(x == 1, p, 1 - p).prod(1) for w, p in zip(joint.sum(0), one, strict=True))
    drawn = torch.as_tensor(model.sample(n, token_steps=1, latent_steps=1, seed=3).tokens).long()
    seen = torch.bincount(drawn @ (2 ** torch.arange(3, -1, -1)), minlength=16) / n
    assert ((seen - law).abs() < 5 * (law * (1 - law) / n).sqrt()).all()
    assert float((law - joint.sum(1)).abs().sum()) > 0.05  # not the law of the task


@pytest.mark.parametrize(
    ("encoder", "codes", "message"),
    [
        ("shift-code", None, "codes must be given for encoder='shift-code'"),
        ("shift", 4, "codes must be given for encoder='shift-code', and for no other"),
        ("shift-code", 1, "codes must be an integer"),
    ],
)
def test_wrong_codes_are_named(encoder, codes, message):
    with pytest.raises(ValueError, match=message):
        LatentDiffusion.exact(SAW4, encoder, codes=codes)

"""The rates (M9) on the path and off it: one pass of the network for what two would give."""

import pytest
import torch

from lddm_lite._common import randomness
from lddm_lite.diffusion import loss
from lddm_lite.diffusion.bound import antithetic
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts


@pytest.mark.parametrize("n", [1, 7, 64])
def test_antithetic_times_lie_one_in_each_stratum(n, gen):
    t = antithetic(n, gen(5), torch.zeros(1))
    assert ((t > 0) & (t <= 1)).all()
    assert torch.allclose(t.sort().values - torch.arange(n) / n, t.min().expand(n), atol=1e-6)
    assert t.min() <= 1 / n + 1e-6


TASK = MixtureOfProducts(length=8, modes=3, vocab=5, seed=1)


def model_of(system, slots):
    """A model whose predictions are not those of a fresh one, which knows nothing."""
    model = LatentDiffusion.preset(system, TASK, width=16, heads=2, blocks=2, slots=slots, codes=8, off_path_share=0.3)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in model.denoiser.named_parameters():
            if "modulation" in name or "head" in name:
                p.copy_(torch.randn(p.shape, generator=g) / 4)
    return model.eval()


def two_passes(model, x0, z0, gap, t_x, g, t_off):
    """`path_rates` as written down: a pass for those on the path, then one for those off it, each
    row by the book."""
    k = {1: 4, 2: 2, 5: 1}[z0.shape[1]]  # about four vectors of latents per sequence
    on, rates, rate = len(x0) - len(t_off), [], loss._latent_rate(model)
    x_t = model.token_channel.corrupt(x0, t_x, g)
    times = torch.cat([(t_x - gap).clamp_min(0)[:on], t_off])
    z_t = model.latent_channel.corrupt(z0, times, g)
    for rows in (slice(0, on), slice(on, None)):
        t_z = times[rows]
        out = model.predict(x_t[rows], z_t[rows], t_z, torch.ones_like(x_t[rows], dtype=torch.bool))
        tokens = model.token_channel.rate(x0[rows], x_t[rows], out.tokens.unflatten(0, x0[rows].shape), t_x[rows])
        rates.append((tokens, torch.where(t_z > 0, rate(z0[rows], z_t[rows], out.latents, t_z.clamp_min(1e-6)), 0.0)))
    zz, dd = z0[:on].repeat_interleave(k, 0), gap[:on].repeat_interleave(k)
    s = 1 - dd * (1 - antithetic(len(zz), g, dd))
    z_s = model.latent_channel.corrupt(zz, s, g)
    alone = rate(zz, z_s, model.predict(None, z_s, s, None).latents, s) * dd
    rates[0] = rates[0][0], rates[0][1] + alone.unflatten(0, (-1, k)).mean(1)
    return tuple(torch.cat(part) for part in zip(*rates, strict=True))


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_one_pass_gives_the_rates_of_two(system, slots):
    """The same draws, the same rates and the same gradients, sequence by sequence."""
    model = model_of(system, slots)
    x0 = TASK.sample(9, randomness.generator(4))
    with torch.no_grad():
        z0 = model.encode(x0)
    gap = torch.tensor([0.0, 1.0, 0.4, 0.0, 1.0, 0.2, 0.0, 1.0, 0.5])
    t_x, t_off = torch.linspace(0.1, 1.0, 9), torch.tensor([0.3, 0.9])
    options = [model, x0, z0, gap, t_x]
    quick = loss.path_rates(*options, randomness.generator(5), t_off)
    plain = two_passes(*options, randomness.generator(5), t_off)
    close = dict(rtol=1e-4, atol=1e-5)  # float32, in another order
    torch.testing.assert_close(quick, plain, **close)
    assert (plain[1] > 0).sum() >= 5  # latents do move in most of them
    weights = list(model.denoiser.parameters())
    a, b = (torch.autograd.grad(tokens.mean() + latents.mean(), weights) for tokens, latents in (quick, plain))
    torch.testing.assert_close(a, b, **close)


def test_everything_off_the_path_or_on_it():
    model = model_of("co-seq", 1)
    x0 = TASK.sample(4, randomness.generator(4))
    z0, gap, t = model.encode(x0).detach(), torch.ones(4), torch.full((4,), 0.5)
    for off in (t[:0], t):
        quick = loss.path_rates(model, x0, z0, gap, t, randomness.generator(5), off)
        assert quick[0].shape == quick[1].shape == (4,)
        assert torch.isfinite(quick[0]).all() and (quick[1] > 0).all()

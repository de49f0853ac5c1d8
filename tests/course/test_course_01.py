"""Notebook 01: its sixty lines are sixty and stand alone; what its prose concludes holds for other
seeds, too."""

import math

import jupytext
import pytest
import torch

import lddm_lite as ld
from tests.support import ROOT
from tests.support.notebooks import build

CELLS = jupytext.read(ROOT / "notebooks/source/01_masked_diffusion.py", fmt="py:percent").cells
(SIXTY,) = [c.source for c in CELLS if "sixty-lines" in build.tags(c)]
(LAW,) = [c.source for c in CELLS if c.source.startswith("def law(")]
SEEDS = range(5)


@pytest.fixture(scope="module")
def sixty():
    """The names that the cell defines, by itself."""
    names = {}
    exec(SIXTY, names)  # noqa: S102 - our own cell
    return names


def test_sixty_lines_of_plain_torch(sixty):
    assert len(SIXTY.splitlines()) <= 60
    assert "lddm" not in SIXTY and "ld." not in SIXTY
    torch.manual_seed(0)
    net, task = sixty["Net"](width=16), ld.tasks.Binsaw(length=sixty["L"])
    losses = list(sixty["train"](net, task.sample, 3, torch.Generator().manual_seed(0), batch=8))
    assert len(losses) == 3 and all(math.isfinite(v) for v in losses)
    x = sixty["sample"](net, 4, sixty["L"], 2, torch.Generator().manual_seed(0))
    assert x.shape == (4, sixty["L"]) and int(x.max()) <= 1


@pytest.mark.parametrize("knots", [(1, 0), (1, 0.5, 0), (1, 0.9, 0.2, 0)])
def test_the_law_of_a_sampler_by_enumeration(knots):
    """`law` sums to 1; one step gives the product of the marginals; two equal bits share a step as
    often as it says."""
    names = {"torch": torch, "itertools": __import__("itertools")}
    exec(LAW, names)  # noqa: S102
    task = ld.tasks.Binsaw(length=4, saws=1)
    p = names["law"](task, knots)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    if len(knots) == 2:
        # Binsaw's marginals are fair
        assert torch.allclose(p, torch.full((16,), 1 / 16, dtype=p.dtype))
    equal = torch.tensor([[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2])
    p = names["law"](ld.tasks.MixtureTask(torch.zeros(2), equal.log()), knots)
    together = sum((t - s) ** 2 for t, s in zip(knots, knots[1:], strict=False))
    assert p[1] + p[2] == pytest.approx(together / 2, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_training_the_sixty_lines(sixty, seed):
    """They leave the plateau, come within a nat of the entropy, and at one step do no better than
    the exact limit. The bounds of network and exact predictor share their masks, so that a
    difference of 0.1 nats shows."""
    task = ld.tasks.Binsaw(length=32)
    torch.manual_seed(seed)
    net = sixty["Net"]()
    losses = list(sixty["train"](net, task.sample, 500, torch.Generator().manual_seed(seed)))
    net.eval()
    assert abs(sum(losses[:10]) / 10 - 32 * math.log(2)) < 2  # a start near L log 2
    model = _wrapped(net, task)
    held_out, exact = task.sample(4096, seed=100 + seed), ld.LatentDiffusion.exact(task)
    gap = model.nelbo(held_out, seed=seed).total.value - exact.nelbo(held_out, seed=seed).total.value
    assert 0 < gap < 1.2
    n = 1024  # standard errors of an excess: 0.15 at one step and with few
    one, many = (task.score(_draw(sixty, net, n, k, seed)) for k in (1, 32))
    best_one, best_many = ld.evaluation.exact_limit(task, (1, 32), n=n, seed=seed)
    assert abs(one["excess"] - best_one["excess"]) < 0.8  # four standard errors of the difference
    # learning is what is left to mend
    assert best_many["excess"] + 0.3 < many["excess"] < one["excess"] / 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_limit_falls_like_one_over_the_steps(seed):
    rows = ld.evaluation.exact_limit(ld.tasks.Binsaw(length=32), (1, 2, 4, 8), n=8192, seed=seed)
    excess = [r["excess"] for r in rows]  # each with a standard error of about 0.05
    assert all(1.6 < a / b < 2.6 for a, b in zip(excess, excess[1:], strict=False))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_newswire_is_read_as_the_notebook_says(seed):
    """n = 256: a share has a standard error of at most 0.031."""
    news = ld.tasks.ToyNewswire()
    best = ld.LatentDiffusion.exact(news)
    x = {k: best.sample(256, token_steps=k, seed=seed).tokens for k in (1, 2, 4, 16, 64)}
    x |= {o: best.sample(256, token_steps=16, seed=seed, order=o).tokens for o in ("even", "confidence")}
    ok = {k: news.coherent(v).double().mean().item() for k, v in x.items()}
    assert max(ok[1], ok[2]) < 0.03 and ok[4] < 0.15
    assert 0.35 < ok[16] < 0.65 and ok[64] > 0.75
    assert ok["even"] > 0.98 and ok["confidence"] > 0.98  # but for typos
    entropy = {k: ld.evaluation.unigram_entropy(torch.tensor(v), news.vocab) for k, v in x.items()}
    assert entropy["confidence"] < min(entropy["even"], entropy[16]) - 0.2
    assert news.mode_tv(x["confidence"]) > news.mode_tv(x["even"]) + 0.08


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_where_the_curve_is_steep(seed):
    """The rate rises with t, and most steeply at its end: so steps crowded there lose less
    (exercise 7)."""
    task = ld.tasks.Binsaw(length=32)
    rows = ld.along_path(ld.LatentDiffusion.exact(task), task.sample(4096, seed=seed), points=5, draws=2, seed=seed)
    rho = [r["tokens"] for r in rows]
    assert rho[4] == pytest.approx(32 * math.log(2), abs=1e-3)
    assert rho[4] - rho[3] > 2 > rho[3] - rho[2]  # standard errors of about 0.1


def _wrapped(net, task):
    from lddm_lite.diffusion.prediction import Prediction

    class Ours(torch.nn.Module):
        def forward(self, x_t, z_t=None, t_z=None, where=None, need_latents=True, lengths=None):
            return Prediction(net(x_t)[where], None)

    config = ld.Config.preset("mdlm", task.length, task.vocab)
    return ld.LatentDiffusion(config, Ours(), None, task.labels, task.spec())


def _draw(sixty, net, n, steps, seed):
    return sixty["sample"](net, n, sixty["L"], steps, torch.Generator().manual_seed(seed))

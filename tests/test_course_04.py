"""Notebook 04: what its prose concludes holds for other seeds, too, and a denoiser of one's own can be trained."""

import sys
from pathlib import Path

import jupytext
import pytest
import torch
from torch import nn

import lddm_lite as ld

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

CELLS = jupytext.read(ROOT / "notebooks/source/04_latents.py", fmt="py:percent").cells
SETUP = [c.source for c in CELLS if c.cell_type == "code" and "setup" in build.tags(c)]
SEEDS = range(5)


@pytest.fixture(scope="module")
def book():
    """The names that the notebook's setup cells define."""
    threads, names = torch.get_num_threads(), {"__name__": "notebook_04"}
    for source in SETUP:
        lines = [line for line in source.splitlines() if not line.startswith("%")]
        exec("\n".join(lines), names)  # noqa: S102 - our own cells
    yield names
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def none():
    """Excess of one token step without latents, exact."""
    task = ld.tasks.Binsaw(length=32)
    return task.score(ld.LatentDiffusion.exact(task).sample(4096, token_steps=1, seed=0).tokens)["excess"]


def test_a_denoiser_without_trunk_trains_in_any_system(book):
    """`fit` looks for transformer blocks to compile and to cast, and does without them where there are none."""
    for system in ("co-seq", "di-seq"):
        model = book["build"](system, codes=4)
        assert not hasattr(model.denoiser, "trunk")
        history = ld.fit(model, book["task"], steps=6, batch=16, progress=False, precision="bf16")
        assert history.rows[-1]["step"] == 6
        assert model.sample(3, token_steps=2, latent_steps=1, seed=0).tokens.shape == (3, 32)


def test_switches_do_what_they_say(book):
    x = book["task"].sample(256, seed=0)
    z = book["build"](centre=True).encoder.train()(x)
    torch.testing.assert_close(z.norm(dim=-1), torch.full((256, 1), 8**0.5))
    raw = book["build"](centre=True, unit=False).encoder.train()(x).detach()
    # batch statistics: mean 0 and variance 1, up to the 1e-5 that BatchNorm adds to a variance of about 0.03
    assert float(raw.mean(0).abs().max()) < 1e-5 and float((raw.std(0, unbiased=False) - 1).abs().max()) < 1e-3
    assert isinstance(book["build"](centre=False).encoder.centre, nn.Identity)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_blow_up_and_its_cure(book, seed):
    x = book["task"].sample(512, seed=5)
    wild, held = (book["build"](seed=seed, centre=False, unit=unit) for unit in (False, True))
    rows = book["train"](wild, "noise", seed=seed)
    assert rows[-1]["norm"] > 5 * rows[0]["norm"] and rows[-1]["norm"] > 2 * 8**0.5
    calm = book["train"](held, "noise", seed=seed)
    assert all(abs(r["norm"] - 8**0.5) < 1e-3 for r in calm)
    prior = [float(m.latents.prior_kl(m.encode(x)).mean()) for m in (wild, held)]
    assert prior[0] > 3 * prior[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_collapse_and_its_cures_one_at_a_time(book, none, seed):
    def ladder(loss, stage1=0.0, **switches):
        model = book["build"](seed=seed, **switches)
        book["train"](model, loss, stage1=stage1, seed=seed)
        return book["measure"]("", model, quiet=True)

    dead = [ladder("bound", centre=False, unit=unit) for unit in (False, True)]
    for row in dead:  # below the noise floor e^-3; nothing read; as bad as without latents (s.e. 0.1)
        assert row["spread"] < 0.05 and row["response"] < 0.05 and row["own"] > none - 1
    centred, both = ladder("bound"), ladder("training", stage1=0.3)
    staged = ladder("training", stage1=0.3, centre=False)
    for row in (centred, both, staged):
        assert row["spread"] > 0.9 and row["response"] > 0.5 and row["own"] < none / 4
    assert both["response"] > centred["response"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_transformer_needs_centring_in_stage_1(book, seed):
    task, found = book["task"], []
    x = task.sample(512, seed=5)
    for kind in (book["Uncentred"], book["ContinuousEncoder"]):
        model = ld.LatentDiffusion.preset("co-seq", task, dim=8, width=32, blocks=2, encoder_blocks=1, seed=seed)
        torch.manual_seed(seed)
        model.encoder = kind(model.config)
        assert book["gauges"](model, x)["spread"] < 1e-5
        ld.fit(model, task, steps=350, stage1=1.0, few_step1=0.0, seed=seed, progress=False)
        found.append((book["gauges"](model.eval(), x)["spread"], ld.metrics.z_response(model, x)))
    (spread, response), (cured_spread, cured_response) = found
    assert spread < 0.05 and response < 0.02
    assert cured_spread > 0.5 and cured_response > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_dead_codes_and_what_revives_them(book, seed):
    fit_codes, measure = book["fit_codes"], book["measure"]
    dead, alive, late = (
        measure("", fit_codes(64, seed=seed, **how), quiet=True)
        for how in (dict(reseed=False), dict(reseed=True), dict(late=True))
    )
    assert dead["perplexity"] < 32 < alive["perplexity"] and late["perplexity"] > 40
    few = [measure("", fit_codes(k, seed=seed, late=True), quiet=True)["own"] for k in (2, 4)]
    assert few[0] > few[1] + 1 and few[1] > late["own"]

"""Notebook 04: what its prose concludes holds for other seeds, too, and a denoiser of one's own can
be trained."""

import functools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import lddm_lite as ld
from tests.support.notebooks import defined

SEEDS = range(5)


@pytest.fixture(scope="module")
def book():
    """The names that the notebook's setup cells define."""
    threads, names = torch.get_num_threads(), defined("04_latents")
    # sequences in a measurement: the claims need no more, standard error of an excess 0.15
    names["N"] = 512
    yield names
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def none():
    """Excess of one token step without latents, exact."""
    task = ld.tasks.Binsaw(length=32)
    return task.score(ld.LatentDiffusion.exact(task).sample(4096, token_steps=1, seed=0).tokens)["excess"]


@pytest.fixture(scope="module")
def trained(book):
    """(model, its gauges, the course of its training) of the sandbox, each trained once: several
    claims share them."""

    @functools.cache
    def get(loss="training", stage1=0.3, seed=0, steps=800, lr=2e-3, clip=1.0, **changes):
        model = book["build"](seed=seed, **changes)
        rows = book["train"](model, loss, stage1=stage1, steps=steps, seed=seed, lr=lr, clip=clip)
        return model, book["measure"]("", model, quiet=True), rows

    return get


def test_a_denoiser_without_transformer_blocks_trains_in_any_system(book):
    """`fit` looks for transformer blocks to compile and to cast, and does without them where there
    are none."""
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
    # batch statistics: mean 0 and variance 1, up to the 1e-5 that BatchNorm adds to a variance of
    # about 0.03
    assert float(raw.mean(0).abs().max()) < 1e-5 and float((raw.std(0, unbiased=False) - 1).abs().max()) < 1e-3
    assert isinstance(book["build"](centre=False).encoder.centre, nn.Identity)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_blow_up_and_its_cure(book, trained, none, seed):
    """Section 3. 512 samples have a standard error of 0.15 nats, of which 2 and 4 latent steps
    leave 4 to 5 between the two models."""
    x = book["task"].sample(512, seed=5)
    (wild, drawn, rows), (held, cured, calm) = (
        trained("noise", stage1=0, seed=seed, centre=False, unit=unit, lr=1e-2, clip=math.inf) for unit in (False, True)
    )
    assert rows[-1]["norm"] > 5 * rows[0]["norm"] and rows[-1]["norm"] > 2 * 8**0.5
    assert drawn["response"] > 0.5, "informative, though nothing holds it"
    assert all(abs(r["norm"] - 8**0.5) < 1e-3 for r in calm)
    prior = [float(m.latent_channel.prior_kl(m.encode(x)).mean()) for m in (wild, held)]
    assert prior[0] > 3 * prior[1]

    excess = {k: [book["one_token_step"](m, k) for m in (wild, held)] for k in (2, 64)}
    assert excess[2][0] - excess[2][1] > none / 2, "more than half of what a latent can win"
    assert excess[2][1] < 1 and cured["own"] < 1, "cured"
    assert excess[64][0] < 1.5, "many latent steps hide it"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_collapse_and_its_cures_one_at_a_time(book, trained, none, seed):
    """Sections 4 and 6."""

    # of 15 batches of 64: standard error 0.2, the same batches and times for all
    def late_loss(rows):
        return float(np.mean([r["tokens"] for r in rows[-15:]]))

    dead = [trained("bound", stage1=0, seed=seed, centre=False, unit=unit)[1:] for unit in (False, True)]
    entropy = book["task"].entropy().value
    # below the noise floor e^-3; nothing read; as bad as without latents (s.e. 0.1)
    for row, steps in dead:
        assert row["spread"] < 0.05 and row["response"] < 0.05 and row["own"] > none - 1
        # by chance 0.2, and training is not quite done
        assert abs(late_loss(steps) - entropy) < 1.5
    centred, both = trained("bound", stage1=0, seed=seed)[1:], trained(seed=seed)[1:]
    staged = trained(seed=seed, centre=False)[1:]
    for row, steps in (centred, both, staged):
        assert row["spread"] > 0.9 and row["response"] > 0.5 and row["own"] < none / 4
        assert late_loss(steps) < min(late_loss(rows) for _, rows in dead) - 0.5
    assert both[0]["response"] > centred[0]["response"]


@pytest.mark.slow
def test_a_transformer_learns_later_without_centring_and_less(book):
    """Section 5."""
    read = []
    for seed in SEEDS:
        without, centred = (
            {r["step"]: r for r in book["stage_1"](book[name], seed)} for name in ("Uncentred", "ContinuousEncoder")
        )
        assert without[0]["spread"] < 1e-5 and centred[0]["spread"] < 1e-5, "all latents alike at first"
        assert centred[50]["spread"] > 0.5 and centred[50]["response"] < 0.002, "spread without a reader"
        # five seeds had 0.011 and more at step 150; without centring 0.0000 up to step 200
        assert centred[150]["response"] > 0.005
        assert all(abs(without[step]["response"]) < 0.002 for step in (50, 100, 150, 200))
        assert centred[250]["response"] > without[250]["response"] + 0.01
        assert without[500]["response"] < centred[500]["response"] / 2
        read.append(without[300]["response"] > 0.01)
    assert sum(read) == 3, "with two seeds not at step 300, where the usual stage 1 of 1,000 steps ends"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_noise_floor(book, trained, seed):
    """Section 7: what the trained models show."""
    tops, x = (0.0, 3.0, 6.0, 10.0), book["task"].sample(2048, seed=6)
    found = [trained(seed=seed, **({} if top == 6 else {"log_snr_max": top})) for top in tops]
    excess, bounds = [row["own"] for _, row, _ in found], [model.nelbo(x) for model, _, _ in found]
    assert excess[0] > max(excess[1:]) + 1, "a floor near 0 blurs the shift"
    for a, b in pairwise(bounds):  # three nats and more apart, standard errors below 1
        assert b.total.value > a.total.value + 1.5 and b.latents.value > a.latents.value + 1.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_floors_and_codes_with_exact_predictors(book, seed):
    """Sections 7 and 8."""
    task, floor, size = book["task"], {}, {}
    for top in (-2.0, 0.0, 4.0, 6.0, 9.0, 12.0):
        model = ld.LatentDiffusion.exact(task, "shift")
        model.latent_channel = model.denoiser.channel = ld.GaussianChannel(top, -6.0)
        floor[top] = task.score(model.sample(1024, token_steps=1, latent_steps=16, seed=seed).tokens)["excess"]
    assert floor[-2.0] > floor[0.0] > 1 and all(abs(floor[k]) < 0.5 for k in (4.0, 6.0, 9.0, 12.0))
    for codes in (1, 2, 4, 8, 16, 32, 64):
        part = (task.shift / task.period * codes).long().clamp_max(codes - 1)
        channel = ld.MaskedChannel(codes)
        config = ld.Config(task.length, task.vocab, system="exact", latent="discrete", codes=max(2, codes))
        model = ld.LatentDiffusion(config, ld.ExactDenoiser(task, part.unsqueeze(1), channel), None, task.labels)
        model.latent_channel = channel
        size[codes] = task.score(model.sample(1024, token_steps=1, latent_steps=1, seed=seed).tokens)["excess"]
    assert all(size[2 * k] < 0.6 * size[k] for k in (1, 2, 4)), "half or more"
    assert all(abs(size[k]) < 0.5 for k in (16, 32, 64)), "five standard errors"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_dead_codes_and_what_revives_them(book, seed):
    """Section 8."""
    fit_codes, measure = book["fit_codes"], book["measure"]
    dead, alive, late = (
        measure("", fit_codes(64, seed=seed, **how), quiet=True)
        for how in (dict(reseed=False), dict(reseed=True), dict(late=True))
    )
    assert dead["perplexity"] < 32 < alive["perplexity"] and late["perplexity"] > 40
    few = [measure("", fit_codes(k, seed=seed, late=True), quiet=True)["own"] for k in (2, 4)]
    assert few[0] > few[1] + 1 and few[1] > late["own"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_maps_keep(book, trained, seed):
    """Section 9: the colours run around once; UMAP keeps neighbours, PCA distances."""
    pytest.importorskip("umap")
    task, points = book["task"], book["task"].sample(800, seed=9)
    shift = task.find_shift(points) / task.period
    with torch.no_grad():
        z = trained(seed=seed)[0].encode(points)
    maps = {how: book["LatentMap"].fit(z, method=how, seed=seed) for how in ("pca", "umap")}
    kept = {how: book["kept"](z, m.coords) for how, m in maps.items()}
    for how, m in maps.items():
        bins = [m.coords[((shift * 12).long() == k).numpy()].mean(0) for k in range(12)]
        at = np.array(bins) - np.mean(bins, 0)
        turn = np.diff(np.angle(at[:, 0] + 1j * at[:, 1]), append=np.angle(at[0, 0] + 1j * at[0, 1]))
        assert abs(abs(((turn + np.pi) % (2 * np.pi) - np.pi).sum()) - 2 * np.pi) < 1e-6, how
    assert kept["umap"][0] > kept["pca"][0] + 0.1 and kept["pca"][1] > kept["umap"][1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_taking_the_latent_away(book, seed):
    """Section 10, shipped models."""
    for name, data in (("binsaw-co-seq", book["big"]), ("newswire-di-seq", book["news"])):
        model = ld.load(name)
        drawn = book["replaced"](model, data, 256, seed=seed)
        s = {what: data.score(tokens) for what, tokens in drawn.items()}
        e = {what: v["excess"] for what, v in s.items()}
        assert abs(e["from nothing, z shuffled"] - e["from nothing, z encoder's"]) < 1.5, "standard errors 0.1 to 0.4"
        assert e["from nothing, z encoder's"] < 2 and e["half given, z encoder's"] < 2
        assert min(e[k] for k in e if "zeroed" in k or k == "half given, z shuffled") > 15
        assert s["from nothing, z zeroed"]["mode_tv"] < 0.4
    topic = [news_topic(data, x) for x in (drawn["data"], drawn["from nothing, z encoder's"])]
    assert (topic[0] == topic[1]).double().mean() > 0.9, "with its own code a sentence keeps its topic"
    flips = ld.LatentDiffusion.exact(book["big"]).sample(256, token_steps=1, seed=seed).tokens
    zeroed = book["replaced"](book["bits_model"], book["big"], 256, seed=seed)["from nothing, z zeroed"]
    assert abs(book["big"].score(zeroed)["excess"] - book["big"].score(flips)["excess"]) < 3, "as independent bits"


def news_topic(news, x):
    return news.topic_of[news.posterior(torch.as_tensor(x).long()).argmax(1)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_sentence_costs(book, seed):
    """The last of section 10."""
    found = ld.evaluation.latent_health(
        book["writer"], book["news"], token_steps=(1, 4), n=64, seed=seed, progress=False
    )["token_steps"]
    one, four = ({k: v.value for k, v in found[steps]["nll"].items()} for steps in (1, 4))
    for cost in (one, four):
        assert cost["encoder"] < 0.5 and cost["zeroed"] > 4 * cost["encoder"] and cost["shuffled"] > 2 * cost["zeroed"]
    saved = {k: 1 - four[k] / one[k] for k in one}
    assert saved["zeroed"] > max(saved["encoder"], saved["shuffled"]) + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_exercises_6_and_7(book, trained, seed):
    """What their solutions say of spread, z response and excess."""
    random = book["build"](seed=seed)
    ld.fit(random, book["task"], steps=800, stage1=0.0, seed=seed, progress=False)
    row = book["measure"]("", random, quiet=True)
    both = trained(seed=seed)[1]
    assert row["spread"] > 0.7 and row["response"] > 0.05 and row["own"] > both["own"] + 1
    rows = [trained(seed=seed, slots=m, **({} if d == 8 else {"dim": d}))[1] if m > 1 or d < 8 else both
            for m, d in ((1, 2), (1, 8), (4, 2))]  # fmt: skip
    assert all(abs(r["spread"] - 1) < 0.1 for r in rows)

"""Binsaw and mixtures: everything exact about them against sums over all sequences and over fine grids."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite import tasks
from lddm_lite.metrics import sliced_wasserstein, unigram_entropy
from lddm_lite.tasks import Binsaw, MixtureOfProducts, MixtureTask

F64 = torch.float64


def saw_log_prob(x, saws, eps, points=4_000):
    """log p*(x) from the definition alone: plain Python, midpoint rule over the whole circle of shifts."""
    total, length = 0.0, len(x)
    for j in range(points):
        s, p = (j + 0.5) / points, 1.0
        for i, bit in enumerate(x):
            u = ((i / length + s) % 1) * saws % 1
            one = eps + (1 - 2 * eps) * (1 - abs(2 * u - 1))
            p *= one if bit else 1 - one
        total += p / points
    return math.log(total)


def brute_predict(task, row):
    """p(x_i | visible) of one partly masked row [L], by Bayes' rule over the list of all sequences."""
    x = task.all_sequences()
    fits = ((row == task.mask_id) | (x == row)).all(1)
    w = task.log_prob(x).exp() * fits
    return torch.stack([(w.unsqueeze(1) * (x == v)).sum(0) for v in range(task.vocab)], -1) / w.sum()


# --- likelihood -------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("length", "saws"), [(2, 1), (3, 2), (7, 1), (8, 2), (10, 3), (12, 5)])
def test_binsaw_likelihoods_sum_to_one(length, saws):
    task = Binsaw(length, saws, eps=0.03)
    assert float(task.log_prob(task.all_sequences()).exp().sum()) == pytest.approx(1, abs=1e-12)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(2, 3), st.floats(0, 1), st.integers(0, 99))
def test_mixture_likelihoods_sum_to_one(length, modes, vocab, noise, seed):
    task = MixtureOfProducts(length, modes, vocab, noise, seed)
    assert float(task.log_prob(task.all_sequences()).exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("length", "saws", "eps"), [(8, 2, 0.01), (5, 3, 0.1), (24, 1, 0.02)])
def test_binsaw_against_its_definition_in_plain_python(length, saws, eps):
    """The midpoint rule is off by O(points^-2), here below 1e-5 of the likelihood."""
    task = Binsaw(length, saws, eps)
    for x in task.sample(3, seed=1):
        assert float(task.log_prob(x[None])) == pytest.approx(saw_log_prob(x.tolist(), saws, eps), abs=1e-4)


@pytest.mark.parametrize(("length", "saws"), [(128, 2), (127, 3), (200, 7), (64, 1), (5, 3), (9, 2)])
def test_binsaw_nodes_integrate_to_rounding(length, saws):
    """Against 24 Gauss-Legendre nodes in every cell of width 1/(2 L saws), on whose borders all kinks lie: no sample of
    these polynomials asks for more. Tolerance: what summing logarithms of size 100 leaves."""
    task = Binsaw(length, saws)
    x, cells = task.sample(8, seed=2), 2 * length  # of one period
    u, w = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(24))
    s = ((torch.arange(cells).unsqueeze(1) + (u + 1) / 2) / cells * task.period).flatten()
    p = task.bit_probs(s)
    log_joint = x.double() @ p.log().T + (1 - x.double()) @ (1 - p).log().T
    truth = (log_joint + (w / 2 / cells).log().repeat(cells)).logsumexp(1)
    assert torch.allclose(task.log_prob(x), truth, rtol=0, atol=1e-10)


def test_bit_probs_have_the_stated_period_and_range():
    task, s = Binsaw(16, 3, 0.05), torch.linspace(0, 1, 50, dtype=F64)
    p = task.bit_probs(s)
    assert torch.allclose(p, task.bit_probs(s + 1 / 3)) and 0.05 - 1e-9 < p.min() < p.max() < 0.95 + 1e-9
    assert ((task.shift >= 0) & (task.shift < task.period)).all()


def test_mixture_likelihood_by_hand():
    task = MixtureOfProducts(length=3, modes=2, vocab=3, noise=0.2, seed=1)
    for x in task.all_sequences():
        flips = (task.prototypes != x).sum(1).tolist()
        p = sum(0.8 ** (3 - k) * 0.1**k for k in flips) / 2
        assert float(task.log_prob(x[None])) == pytest.approx(math.log(p), abs=1e-12)


# --- posterior and predictor ------------------------------------------------------------------------------

@pytest.mark.parametrize("make", [lambda t: Binsaw(4, 1), lambda t: t(3, 3, 4, 1), lambda t: MixtureOfProducts(4, 2)])
def test_predict_and_marginals_are_bayes_rule_over_all_sequences(make, random_task):
    task = make(random_task)
    rows = torch.tensor(list(itertools.product(range(task.vocab + 1), repeat=task.length)))
    p, log_p = task.predict(rows), task.log_prob(rows)
    full, all_p = task.all_sequences(), task.log_prob(task.all_sequences()).exp()
    for row, got, lp in zip(rows, p, log_p, strict=True):
        assert torch.allclose(got, brute_predict(task, row), atol=1e-10)
        fits = ((row == task.mask_id) | (full == row)).all(1)
        assert float(lp.exp()) == pytest.approx(float(all_p[fits].sum()), abs=1e-12)
    assert torch.allclose(task.posterior(rows).sum(1), torch.ones(len(rows), dtype=F64))


def test_the_hidden_shift_is_found_and_is_the_circular_mean_of_its_posterior():
    task = Binsaw(128, 2)
    s = torch.tensor([0.0, 0.1, 0.25, 0.49], dtype=F64)
    x = (task.bit_probs(s) > 0.5).long()  # the cleanest sequence of each shift
    gap = (task.find_shift(x) - s + 0.25) % 0.5 - 0.25
    assert gap.abs().max() < 0.02


# --- entropy and sampling ---------------------------------------------------------------------------------

def test_entropy_is_exact_where_it_says_so_and_else_within_its_error(random_task, monkeypatch):
    task = random_task(length=4, vocab=3, components=3)
    x = task.sample(20_000, seed=4)
    mean = -task.log_prob(x)
    exact = task.entropy()
    assert exact.stderr == 0 and abs(float(mean.mean()) - exact.value) < 5 * float(mean.std()) / math.sqrt(len(x))
    monkeypatch.setattr(tasks.mixture, "_ENUMERABLE", 16)
    again = random_task(length=4, vocab=3, components=3).entropy()
    assert 0 < again.stderr < 0.01 and abs(again.value - exact.value) < 5 * again.stderr
    with pytest.raises(ValueError, match="too many to enumerate"):
        task.all_sequences()


@pytest.mark.parametrize(
    "make", [lambda t: Binsaw(6, 2), lambda t: t(3, 4, 3, 5), lambda t: MixtureOfProducts(4, 3, 3)]
)
def test_samples_have_the_exact_frequencies(make, random_task, agree, histogram):
    task = make(random_task)
    agree(histogram(task.sample(40_000, seed=5), task.vocab), task.log_prob(task.all_sequences()).exp())


def test_samples_repeat_from_a_seed_and_a_generator_goes_on(saw, gen):
    assert torch.equal(saw.sample(50, seed=3), saw.sample(50, seed=3))
    assert not torch.equal(saw.sample(50, seed=3), saw.sample(50, seed=4))
    g = gen(3)
    first, second = saw.sample(50, g), saw.sample(50, g)
    assert torch.equal(first, saw.sample(50, seed=3)) and not torch.equal(first, second)


# --- scores -----------------------------------------------------------------------------------------------

def test_a_corpus_keeps_its_sequences_and_draws_each_alike_often(saw, agree):
    corpus = tasks.Corpus(saw, 20, seed=3)
    assert torch.equal(corpus.rows, saw.sample(20, 3)) and len(corpus) == 20
    position = {tuple(row): i for i, row in reversed(list(enumerate(corpus.rows.tolist())))}
    distinct = sorted(set(position.values()))
    times = [sum(position[tuple(row)] == i for row in corpus.rows.tolist()) for i in distinct]
    drawn = [position[tuple(row)] for row in corpus.sample(4000, 1).tolist()]
    agree(np.bincount(drawn, minlength=20)[distinct], torch.tensor(times) / 20)
    assert torch.equal(corpus.sample(5, 2), corpus.sample(5, torch.Generator().manual_seed(2)))
    assert not torch.equal(corpus.sample(5, 2), corpus.sample(5, 3))
    assert corpus.spec() == saw.spec(), "a model made for it belongs to the task"
    assert repr(corpus) == f"20 sequences of {saw!r}"


@pytest.mark.parametrize("name", ["saw32", "mixture"])
def test_fresh_samples_score_like_fresh_samples(name, saw32):
    task = saw32 if name == "saw32" else MixtureOfProducts(16, 8)
    score = task.score(task.sample(4000, seed=6))
    assert abs(score["excess"]) < 4 * score["excess_se"] < 0.5
    assert score["mode_tv"] < 0.05 and score["coherent"] > 0.995 and score["swd"] < 2 * score["swd_fresh"]


def test_dropping_modes_shows_in_mode_tv_and_not_in_the_excess():
    task = MixtureOfProducts(16, 8, noise=0.02, seed=2)
    x = task.sample(4000, seed=7)
    kept = x[task.posterior(x).argmax(1) < 4]
    score = task.score(kept)
    assert score["mode_tv"] == pytest.approx(0.5, abs=0.02) and abs(score["excess"]) < 0.2
    assert score["mode_tv_fresh"] < 0.05 and score["swd"] > 3 * score["swd_fresh"]


def test_mode_mass_of_known_samples():
    task = MixtureOfProducts(12, 4, noise=0.01, seed=3)
    x = task.prototypes[[0, 0, 0, 1]]
    assert task.mode_mass(x).tolist() == pytest.approx([0.75, 0.25, 0, 0], abs=1e-6)
    assert task.mode_tv(x) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("make", [lambda t: Binsaw(8), lambda t: t(4, 3, 4, 3)], ids=["binsaw", "random"])
def test_independent_tokens_have_the_known_excess(make, random_task, gen):
    """Samples of the product of the marginals q: E_q[-log p*] - H(p*), a sum over all sequences."""
    task = make(random_task)
    marginal = torch.einsum("g,glv->lv", task.log_prior.exp(), task.probs)
    product = MixtureTask(torch.zeros(1), marginal.log().unsqueeze(0))
    x = task.all_sequences()
    known = -float(product.log_prob(x).exp() @ task.log_prob(x)) - task.entropy().value
    score = task.score(product.sample(8_000, gen(8)))
    assert abs(score["excess"] - known) < 4 * score["excess_se"] and known > 0.3


# --- metrics ----------------------------------------------------------------------------------------------

@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 999), st.floats(-5, 5))
def test_sliced_wasserstein_is_a_distance(n, d, seed, shift):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g)
    assert sliced_wasserstein(a, a[torch.randperm(n, generator=g)]) < 1e-7
    assert sliced_wasserstein(a, b) == pytest.approx(sliced_wasserstein(b, a)) and sliced_wasserstein(a, b) > 0
    # moved along one axis by c, every slice w is moved by c w_1: the distance is |c| times the root mean of w_1^2
    moved = sliced_wasserstein(a, a + shift * torch.eye(d)[0], directions=512)
    assert moved == pytest.approx(abs(shift) / math.sqrt(d), rel=0.25, abs=1e-6)
    with pytest.raises(ValueError, match="same shape"):
        sliced_wasserstein(a, b[1:])


def test_unigram_entropy_leaves_padding_out():
    x = torch.tensor([[0, 1, 3], [1, 3, 3]])
    assert unigram_entropy(x, 4, pad_id=3) == pytest.approx(-(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3)


# --- arguments --------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Binsaw(1), "length must be"),
        (lambda: Binsaw(8, saws=0), "saws must be"),
        (lambda: Binsaw(8, eps=0.5), "eps must be"),
        (lambda: Binsaw(8, eps=math.nan), "eps must be"),
        (lambda: MixtureOfProducts(noise=1.5), "noise must be"),
        (lambda: MixtureOfProducts(vocab=1), "vocab must be"),
        (lambda: MixtureTask(torch.zeros(2), torch.zeros(3, 4, 2)), "log_probs must be"),
        (lambda: Binsaw(8).sample(0), "n must be"),
        (lambda: Binsaw(4).log_prob([[0, 1, 3, 0]]), r"x holds ids 0\.\.3; allowed are 0\.\.2"),
        (lambda: Binsaw(4).score([[0, 1, 2, 0]]), r"samples holds ids 0\.\.2; allowed are 0\.\.1"),
        (lambda: Binsaw(4).predict(torch.zeros(0, 4, dtype=torch.long)), "x_t is an empty batch"),
        (lambda: tasks.make("chess"), "task must be one of"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("task", [Binsaw(8, 3, 0.02), MixtureOfProducts(5, 3, 3, 0.1, 4)], ids=lambda t: t.name)
def test_a_task_is_made_again_from_its_spec(task):
    again = tasks.make(**task.spec())
    assert repr(again) == repr(task)
    x = task.sample(20)
    assert torch.equal(again.log_prob(x), task.log_prob(x))

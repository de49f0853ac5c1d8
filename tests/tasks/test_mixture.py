"""Mixtures of products: everything exact about them against sums over all sequences."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lddm_lite import tasks
from lddm_lite.tasks import Binsaw, MixtureOfProducts, MixtureTask
from tests.support.statistics import agree, histogram

F64 = torch.float64


def brute_predict(task, row):
    """p(x_i | visible) of one partly masked row [L], by Bayes' rule over the list of all sequences.
    """
    x = task.all_sequences()
    fits = ((row == task.mask_id) | (x == row)).all(1)
    w = task.log_prob(x).exp() * fits
    return torch.stack([(w.unsqueeze(1) * (x == v)).sum(0) for v in range(task.vocab)], -1) / w.sum()


# --- likelihood, posterior and predictor ----------------------------------------------------------

@given(st.integers(1, 5), st.integers(1, 4), st.integers(2, 3), st.floats(0, 1), st.integers(0, 99))
def test_mixture_likelihoods_sum_to_one(length, modes, vocab, noise, seed):
    task = MixtureOfProducts(length, modes, vocab, noise, seed)
    assert float(task.log_prob(task.all_sequences()).exp().sum()) == pytest.approx(1, abs=1e-9)


def test_mixture_likelihood_by_hand():
    task = MixtureOfProducts(length=3, modes=2, vocab=3, noise=0.2, seed=1)
    for x in task.all_sequences():
        flips = (task.prototypes != x).sum(1).tolist()
        p = sum(0.8 ** (3 - k) * 0.1**k for k in flips) / 2
        assert float(task.log_prob(x[None])) == pytest.approx(math.log(p), abs=1e-12)


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


# --- entropy and samples --------------------------------------------------------------------------

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
def test_samples_have_the_exact_frequencies(make, random_task):
    task = make(random_task)
    agree(histogram(task.sample(40_000, seed=5), task.vocab), task.log_prob(task.all_sequences()).exp())


def test_samples_repeat_from_a_seed_and_a_generator_goes_on(saw, gen):
    assert torch.equal(saw.sample(50, seed=3), saw.sample(50, seed=3))
    assert not torch.equal(saw.sample(50, seed=3), saw.sample(50, seed=4))
    g = gen(3)
    first, second = saw.sample(50, g), saw.sample(50, g)
    assert torch.equal(first, saw.sample(50, seed=3)) and not torch.equal(first, second)


# --- scores ---------------------------------------------------------------------------------------

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


# --- arguments and the way to a file --------------------------------------------------------------

@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MixtureOfProducts(noise=1.5), "noise must be"),
        (lambda: MixtureOfProducts(vocab=1), "vocab must be"),
        (lambda: MixtureTask(torch.zeros(2), torch.zeros(3, 4, 2)), "log_probs must be"),
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

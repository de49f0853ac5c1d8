"""Blocks of even parity: the law against its definition, and latents that copy."""

import itertools
import math

import pytest
import torch

from lddm_lite import LatentDiffusion
from lddm_lite.evaluation import visible_costs, z_response
from lddm_lite.tasks import ParityBlocks, make
from tests.support.copies import Copies

TASK = ParityBlocks(blocks=2, size=3, noise=0.1)


def law(x, noise):
    """p of one block by its definition: the mean over even strings of the product of flips."""
    even = [e for e in itertools.product((0, 1), repeat=len(x)) if sum(e) % 2 == 0]
    return sum(math.prod(noise if a != b else 1 - noise for a, b in zip(x, e, strict=True)) for e in even) / len(even)


def test_the_law_is_that_of_its_definition():
    x = TASK.all_sequences()
    want = [math.log(law(row[:3], 0.1) * law(row[3:], 0.1)) for row in x.tolist()]
    assert torch.allclose(TASK.log_prob(x), torch.tensor(want, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("arguments", [dict(blocks=2, size=3, noise=0.1), dict(blocks=1, size=5, noise=0.0),
                                       dict(blocks=3, size=2, noise=0.3)])
def test_entropy_and_total_correlation_are_those_of_enumeration(arguments):
    task = ParityBlocks(**arguments)
    log_p = task.log_prob(task.all_sequences())
    entropy = -float((log_p.exp() * log_p).sum())
    assert task.entropy().value == pytest.approx(entropy, abs=1e-9)
    assert task.length * math.log(2) - entropy == pytest.approx(task.total_correlation(), abs=1e-9)


def test_the_task_is_made_again_from_its_spec():
    task = ParityBlocks(blocks=2, noise=0.1)
    assert make(**task.spec()).spec() == task.spec() and make("parity").length == 16


def test_all_but_one_of_a_block_say_nothing_of_each_other():
    x_t = torch.tensor([[1, 2, 0, 2, 2, 2]])  # one of three hidden: nearly decided; two: even odds
    p = TASK.predict(x_t)[0, :, 1]
    assert p[1] > 0.7 and torch.allclose(p[3:], torch.full((3,), 0.5, dtype=p.dtype))
    assert TASK.predict(torch.tensor([[1, 2, 2, 2, 2, 2]]))[0, 1, 1] == pytest.approx(0.5)


@pytest.mark.parametrize(("count", "left"), [(1, 1.0), (2, 1.0), (3, 0.0)])
def test_copies_lower_the_loss_and_leave_what_tokens_share(count, left):
    """`z_response`, the old gauge, takes copies for good latents; the total correlation that is left
    does not. Only with all but one bit of a block does a latent say what the last one is."""
    task = ParityBlocks(blocks=2, size=4, noise=0.0)
    model = LatentDiffusion.exact(task, Copies(task, count))
    x = task.sample(512, seed=1)
    assert z_response(model, x) > 0.2
    found = visible_costs(model, x, seed=2).total_correlation
    assert abs(found.value - left * task.total_correlation()) < 5 * found.stderr + 1e-6


def test_without_latents_it_is_that_of_the_task():
    found = visible_costs(LatentDiffusion.exact(TASK), TASK.sample(2048, seed=3)).total_correlation
    assert abs(found.value - TASK.total_correlation()) < 5 * found.stderr + 1e-9


def test_samples_in_one_step_are_coherent_by_chance_alone():
    task = ParityBlocks(noise=0.0)
    model = LatentDiffusion.exact(task)
    assert 0.02 < task.coherent(model.sample(2048, token_steps=1).tokens).double().mean() < 0.11  # 1/16
    assert task.coherent(model.sample(64, token_steps=16, order="even").tokens).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [(dict(blocks=0), "blocks"), (dict(size=1), "size"), (dict(noise=0.5), "noise"), (dict(blocks=6), "at most 16")],
)
def test_bad_arguments_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        ParityBlocks(**bad)

"""Remasking (ReMDM): visible tokens are drawn again, and the law stays."""

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite.diffusion.sampler import remasked

TASK = ld.tasks.MixtureOfProducts(length=4, modes=2, vocab=2, noise=0.1)
EXACT = ld.LatentDiffusion.exact(TASK)


def law(x):
    ids = (torch.as_tensor(x).long() * torch.tensor([8, 4, 2, 1])).sum(1)
    return torch.bincount(ids, minlength=16).double() / len(ids)


def test_with_many_steps_and_an_exact_predictor_the_law_is_the_tasks():
    """20,000 draws of 16 sequences: of the true law the total variation has mean 0.0075 and s.d.
    0.0018; 256 steps leave little of what is drawn at once. Four steps do not."""
    p = TASK.log_prob(TASK.all_sequences()).exp()
    far = [0.5 * float((law(EXACT.sample(20_000, steps, seed=0, remask=2.0, batch=20_000).tokens) - p).abs().sum())
           for steps in (4, 256)]  # fmt: skip
    assert far[1] < 0.015 < 0.05 < far[0]


def test_the_share_of_masked_tokens_is_that_of_the_schedule(monkeypatch):
    """After a step t -> s each token is masked with probability s, remasking or not: 4,000 x 16 tokens,
    s.e. 0.002."""
    task = ld.tasks.Binsaw(length=16)
    model, seen = ld.LatentDiffusion.exact(task), []
    predict = model.predict
    monkeypatch.setattr(
        model, "predict", lambda x, *more: seen.append(float((x == 2).float().mean())) or predict(x, *more)
    )
    trace = model.sample(4_000, 4, remask=1.5, seed=1, batch=4_000)
    assert np.allclose(seen, [1, 0.75, 0.5, 0.25], atol=0.01)
    assert (trace.reveal_step[:, :].min(), trace.reveal_step.max()) == (1, 4) and trace.meta["remask"] == 1.5


def test_tokens_are_drawn_again_but_given_ones_are_not():
    task = ld.tasks.Binsaw(length=16)
    model = ld.LatentDiffusion.exact(task)
    usual, again = (model.sample(500, 8, seed=0, remask=r).reveal_step.mean() for r in (0.0, 4.0))
    assert again > usual + 1  # last revealed later
    trace = model.infill([[0, 1] * 4 + [2] * 8], 50, 8, remask=4.0)
    assert (trace.tokens[:, :8] == [0, 1] * 4).all() and (trace.tokens < 2).all()


def test_sigma_is_capped_and_zero_at_both_ends():
    assert remasked(1.0, 0.9, 9) == 0 and remasked(0.1, 0.0, 9) == 0
    assert remasked(0.5, 0.25, 9) == 0.5 and remasked(0.5, 0.4, 1) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="remask needs order='ancestral', got order='even'"):
        EXACT.sample(1, remask=1.0, order="even")
    with pytest.raises(ValueError, match="remask must be"):
        EXACT.sample(1, remask=-1.0)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("system", ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"])
def test_models_of_any_floating_type_sample_and_are_bounded(system, kind):
    task = ld.tasks.Binsaw(length=8)
    model = ld.LatentDiffusion.preset(system, task, width=16, heads=2, blocks=1, encoder_blocks=1, codes=4).to(kind)
    assert model.sample(3, token_steps=2).tokens.shape == (3, 8)
    assert model.nelbo(task.sample(4)).total.value > 0 and model.infill("01__").tokens[0, :2].tolist() == [0, 1]


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), torch.tensor(3), np.array(3)])
def test_a_seed_is_an_integer_of_any_type(seed):
    trace = EXACT.sample(4, token_steps=2, seed=seed)
    assert trace.seed == 3 and (trace.tokens == EXACT.sample(4, token_steps=2, seed=3).tokens).all()


def test_without_float64_the_draws_are_nearly_the_same(monkeypatch):
    """As on a device that has none."""
    from lddm_lite._common import randomness

    usual = EXACT.sample(64, 4, seed=0, top_p=0.9, order="confidence").tokens
    monkeypatch.setattr(randomness, "NO_FLOAT64", {"cpu"})
    assert (EXACT.sample(64, 4, seed=0, top_p=0.9, order="confidence").tokens == usual).mean() > 0.98

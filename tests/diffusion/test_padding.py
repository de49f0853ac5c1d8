"""Padding is neither noised, nor predicted, nor scored; samples have the lengths of the training
data."""

import numpy as np
import pytest
import torch

from lddm_lite.config import Config
from lddm_lite.diffusion.paths import Path
from lddm_lite.model import LatentDiffusion
from tests.support.random_models import awaken
from tests.support.statistics import agree

PAD = 3
SMALL = dict(width=16, heads=2, blocks=2, encoder_blocks=1, dim=4, slots=2)


def padded(system="co-seq"):
    """Four words of which the last is padding; sequences of 2, 4 or 6 words."""
    config = Config.preset(system, length=6, vocab=4, pad_id=PAD, **SMALL)
    lengths = [0, 0, 0.25, 0, 0.5, 0, 0.25]
    return awaken(LatentDiffusion.from_config(config, list("abc") + ["<pad>"], {"lengths": lengths}))


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
@torch.no_grad()
def test_padding_is_neither_noised_nor_predicted_nor_scored(system, gen):
    model = padded(system)
    x = torch.tensor([[0, 1, PAD, PAD, PAD, PAD], [2, 1, 0, 0, PAD, PAD], [0, 0, 1, 2, 2, 1]])
    valid = x != PAD
    assert torch.equal(model.valid(x), valid)
    x_t = model.token_channel.corrupt(x, torch.ones(3), gen(), keep=~valid)
    assert torch.equal(x_t == model.token_channel.mask_id, valid) and (x_t[~valid] == PAD).all()
    z = None if model.latent_channel is None else model.encode(x)
    out = model.predict(x_t, z, torch.zeros(3), valid)
    assert (out.tokens[:, PAD] < -1e8).all()
    assert torch.allclose(out.tokens[:, :PAD].exp().sum(-1), torch.ones(len(out.tokens)))
    rate = model.token_channel.rate(x, x_t, out.tokens, torch.ones(3))
    by_hand = torch.zeros(3).index_add(0, valid.nonzero()[:, 0], -out.tokens[range(12), x[valid]])
    assert torch.allclose(rate, by_hand)
    if system == "mdlm":
        n = model.nelbo(x, token_steps=1)
        assert n.tokens.value == pytest.approx(float(by_hand.mean()), rel=1e-5)
        assert n.nats_per_token == pytest.approx(float(by_hand.sum()) / 12, rel=1e-5)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_every_call_of_the_network_is_told_the_padding_and_leaves_it_alone(system, monkeypatch):
    model, shown = padded(system), []
    # all of one length, whatever rows a call holds
    x = torch.tensor([[0, 1, PAD, PAD, PAD, PAD]]).expand(4, -1)
    forward = model.denoiser.forward

    def look(x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        if x_t is not None:
            assert (x_t[:, 2:] == PAD).all() and (x_t[:, :2] != PAD).all()
        assert where is None or not where[:, 2:].any()
        assert system == "mdlm" or (lengths == 2).all()
        shown.append(x_t)
        return forward(x_t, z_t, t_z, where, need_latents, lengths)

    monkeypatch.setattr(model.denoiser, "forward", look)
    for stage in (1, 2):
        model.loss(x, 0, stage)
    model.nelbo(x, Path(0.3)), model.nelbo(x, Path(0.3), token_steps=3, latent_steps=None if system == "mdlm" else 3)
    model.infill(torch.where(x == PAD, x, 4), n=2, token_steps=2, path=Path(0.5))
    model.data = {"lengths": [0, 0, 1, 0, 0, 0, 0]}
    model.sample(3, 2, path=Path(0.5))
    assert len(shown) > 8 and (system == "mdlm" or any(s is None for s in shown))


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_samples_have_the_lengths_of_the_data(system):
    trace = padded(system).sample(400, token_steps=2, seed=4)
    words = (trace.tokens != PAD).sum(1)
    agree(np.bincount(words, minlength=7), torch.tensor([0, 0, 0.25, 0, 0.5, 0, 0.25]))
    assert all((row[n:] == PAD).all() and (row[:n] < PAD).all() for row, n in zip(trace.tokens, words, strict=True))
    assert len(trace.words(0)) == words[0]

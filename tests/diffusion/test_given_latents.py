"""Tokens given finished latents: the most probable ones and draws."""

import math

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.diffusion.given_latents import decode
from lddm_lite.text import dataset

SAW = tasks.Binsaw(length=32)
EXACT = LatentDiffusion.exact(SAW, "shift")
LINES = ["the bank is open .", "the bank of japan is closed .", "rain ."]


def on_circle(shift):
    a = 2 * math.pi * torch.as_tensor(shift) * SAW.saws
    return (math.sqrt(2) * torch.stack([a.cos(), a.sin()], -1)).unsqueeze(1).float()  # [n, 1, 2]


def small(system="di-seq", data=None, **changes):
    sizes = dict(width=16, heads=2, blocks=1, encoder_blocks=1, dim=4)
    return LatentDiffusion.preset(system, data or tasks.Binsaw(length=8), **{**sizes, **changes})


def test_the_most_probable_tokens_are_those_of_the_shift():
    shift = torch.tensor([0.0, 0.11, 0.29, 0.43])
    p = SAW.bit_probs(shift)
    sure = (p - 0.5).abs() > 0.15  # the noise floor leaves the shift a little open
    bits = decode(EXACT, on_circle(shift))
    assert torch.equal(bits[sure], (p > 0.5).long()[sure]) and sure.float().mean() > 0.5


def test_draws_have_the_frequencies_of_the_law():
    shift, n = 0.2, 300
    draws = torch.cat([decode(EXACT, on_circle([shift]), seed=s, argmax=False) for s in range(n)]).double()
    p = SAW.bit_probs(torch.tensor([shift]))[0]
    slack = 5 * (p * (1 - p) / n).sqrt() + 0.03  # the noise floor of z
    assert ((draws.mean(0) - p).abs() < slack).all()
    assert draws.std(0).max() > 0.3


@pytest.mark.parametrize("argmax", [True, False])
def test_rows_differ_by_their_latents_alone(argmax):
    z = on_circle([0.1, 0.3, 0.1])
    out = decode(EXACT, z, token_steps=4, seed=5, argmax=argmax)
    assert torch.equal(out[0], out[2]) and not torch.equal(out[0], out[1])
    assert torch.equal(decode(EXACT, z[1:2], token_steps=4, seed=5, argmax=argmax)[0], out[1])
    assert int(out.max()) <= 1, "no mask is left"
    if not argmax:
        assert not torch.equal(out, decode(EXACT, z, token_steps=4, seed=6, argmax=argmax))


def test_the_model_keeps_its_mode():
    model = small().train()
    decode(model, torch.tensor([[3]]))
    assert model.training


def test_padding_begins_where_it_is_told():
    data = dataset.from_lines(LINES, length=8)
    model = small("co-seq", data)
    out = decode(model, torch.randn(2, 1, 4), lengths=[3, 8])
    assert (out[0, 3:] == data.pad_id).all() and (out[0, :3] != data.pad_id).all() and (out[1] != data.pad_id).all()


def test_lengths_are_needed_where_there_is_padding():
    model = small("co-seq", dataset.from_lines(LINES, length=8))
    with pytest.raises(ValueError, match="lengths .* are needed"):
        decode(model, torch.randn(2, 1, 4))
    for wrong in ([0, 8], [3, 9]):
        with pytest.raises(ValueError, match=r"lengths must be in 1\.\.8"):
            decode(model, torch.randn(2, 1, 4), lengths=wrong)


@pytest.mark.parametrize(
    ("system", "z", "message"),
    [
        ("mdlm", torch.zeros(1, 1), "'mdlm' has no latents"),
        ("co-seq", torch.zeros(1, 1, 3), r"z must hold numbers of shape \[1, 1, 4\], got torch.float32 \[1, 1, 3\]"),
        ("co-seq", torch.zeros(1, 1, dtype=torch.long), "z must hold numbers"),
        ("di-seq", torch.zeros(1, 1), r"z must hold integer codes of shape \[1, 1\]"),
        ("di-seq", torch.tensor([[256]]), r"codes 256\.\.256; allowed are 0\.\.255"),
    ],
)
def test_latents_that_do_not_fit(system, z, message):
    with pytest.raises(ValueError, match=message):
        decode(small(system), z)

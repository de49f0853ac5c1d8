"""Decoding latents, and the way between two of them."""

import math

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks, text
from lddm_lite.decode import decode, slerp, walk

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
    data = text.from_lines(LINES, length=8)
    model = small("co-seq", data)
    out = decode(model, torch.randn(2, 1, 4), lengths=[3, 8])
    assert (out[0, 3:] == data.pad_id).all() and (out[0, :3] != data.pad_id).all() and (out[1] != data.pad_id).all()
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


def test_a_continuous_walk_keeps_its_pace_on_the_sphere():
    model = small("co-seq", slots=3, dim=4)
    a, b = (2 * torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(s)), dim=-1)
            for s in (0, 1))
    z = walk(model, a, b, steps=7)
    assert z.shape == (7, 3, 4)
    assert torch.allclose(z[0], a, atol=1e-6) and torch.allclose(z[-1], b, atol=1e-6)
    assert torch.allclose(z.norm(dim=-1), torch.full((7, 3), 2.0), atol=1e-5), "each slot stays on its sphere"
    steps = (z[1:] - z[:-1]).norm(dim=-1)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-4), "even steps"
    with pytest.raises(ValueError, match="steps must be an integer >= 2, got 1"):
        walk(model, a, b, steps=1)


def test_the_arc_between_opposite_and_between_equal_points():
    a, u = torch.tensor([[3.0, 0.0, 0.0]]), torch.linspace(0, 1, 5)
    out = slerp(a, -a, u)
    assert torch.allclose(out.norm(dim=-1), torch.full((5, 1), 3.0), atol=1e-5)
    assert torch.allclose(out[-1], -a, atol=1e-3)
    assert out[2, 0, 0].abs() < 1e-5
    assert torch.allclose(slerp(a, a, u), a.expand(5, 1, 3))


def test_a_walk_over_codes_goes_slot_by_slot():
    model = small(slots=4, codes=16)
    a, b = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 3, 7])
    z = walk(model, a, b, steps=64)
    assert torch.equal(z[0], a) and torch.equal(z[-1], b)
    moved = (z[1:] != z[:-1])
    assert (moved.sum(1) == 1).all(), "one slot at a time"
    slots = moved.int().argmax(1).tolist()
    assert len({*slots}) == 3 and 2 not in slots
    assert sum(x != y for x, y in zip(slots, slots[1:], strict=False)) == 2, "one arrives before the next one starts"
    assert torch.equal(z, walk(model, a, b, steps=64))
    orders = {tuple(dict.fromkeys((walk(model, a, b, 64, seed=s).diff(dim=0) != 0).int().argmax(1).tolist()))
              for s in range(8)}
    assert len(orders) > 1, "the order of slots comes from the seed"
    few = walk(model, a, b, steps=3)
    assert len(few) == 3 and torch.equal(few[0], a) and torch.equal(few[-1], b)


def test_codes_on_the_way_lie_between_and_among_those_allowed():
    model = small(codes=12, dim=2)
    angle = torch.arange(12) / 12 * math.pi  # half a circle of codes
    model.encoder.codebook.copy_(math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], 1))
    ends = torch.tensor([2]), torch.tensor([8])
    assert walk(model, *ends, steps=20).flatten().tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert walk(model, *ends, steps=20, among=[0, 2, 5, 8, 11]).flatten().tolist() == [2, 5, 8]
    assert walk(model, ends[0], ends[0]).tolist() == [[2], [2]]

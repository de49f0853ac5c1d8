"""The way between two latents: arcs of the sphere, or codes that lie between."""

import math

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.diffusion.interpolation import interpolate, slerp


def small(system="di-seq", **changes):
    sizes = dict(width=16, heads=2, blocks=1, encoder_blocks=1, dim=4)
    return LatentDiffusion.preset(system, tasks.Binsaw(length=8), **{**sizes, **changes})


def test_a_continuous_walk_keeps_its_pace_on_the_sphere():
    model = small("co-seq", slots=3, dim=4)
    a, b = (2 * torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(s)), dim=-1)
            for s in (0, 1))
    z = interpolate(model, a, b, steps=7)
    assert z.shape == (7, 3, 4)
    assert torch.allclose(z[0], a, atol=1e-6) and torch.allclose(z[-1], b, atol=1e-6)
    assert torch.allclose(z.norm(dim=-1), torch.full((7, 3), 2.0), atol=1e-5), "each slot stays on its sphere"
    steps = (z[1:] - z[:-1]).norm(dim=-1)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-4), "even steps"
    with pytest.raises(ValueError, match="steps must be an integer >= 2, got 1"):
        interpolate(model, a, b, steps=1)


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
    z = interpolate(model, a, b, steps=64)
    assert torch.equal(z[0], a) and torch.equal(z[-1], b)
    moved = (z[1:] != z[:-1])
    assert (moved.sum(1) == 1).all(), "one slot at a time"
    slots = moved.int().argmax(1).tolist()
    assert len({*slots}) == 3 and 2 not in slots
    assert sum(x != y for x, y in zip(slots, slots[1:], strict=False)) == 2, "one arrives before the next one starts"
    assert torch.equal(z, interpolate(model, a, b, steps=64))
    orders = {tuple(dict.fromkeys((interpolate(model, a, b, 64, seed=s).diff(dim=0) != 0).int().argmax(1).tolist()))
              for s in range(8)}
    assert len(orders) > 1, "the order of slots comes from the seed"
    few = interpolate(model, a, b, steps=3)
    assert len(few) == 3 and torch.equal(few[0], a) and torch.equal(few[-1], b)


def test_codes_on_the_way_lie_between_and_among_those_allowed():
    model = small(codes=12, dim=2)
    angle = torch.arange(12) / 12 * math.pi  # half a circle of codes
    model.encoder.codebook.copy_(math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], 1))
    ends = torch.tensor([2]), torch.tensor([8])
    assert interpolate(model, *ends, steps=20).flatten().tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert interpolate(model, *ends, steps=20, among=[0, 2, 5, 8, 11]).flatten().tolist() == [2, 5, 8]
    assert interpolate(model, ends[0], ends[0]).tolist() == [[2], [2]]

"""Streams: one of random numbers a row, the same whatever rows there are besides."""

import math

import numpy as np
import pytest
import torch

from lddm_lite._common.randomness import Streams, draw_categorical, rand, randn


def test_splitmix64_by_its_published_numbers():
    """The first numbers of SplitMix64 from the state 0, as Java's SplittableRandom(0) gives them:
    the mixer and the increment are these. `bits` starts at a mixed state instead of the seed's."""
    s = Streams(0, [0])
    s._keys[:] = 0
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert s.bits((1, 3)).tolist() == [first]


@pytest.mark.parametrize("shape", [(3,), (5, 2), (4, 1, 3)])
def test_a_row_does_not_depend_on_the_others(shape):
    n, rest = shape[0], shape[1:]
    whole, few = Streams(7, range(20), "x"), Streams(7, range(4, 4 + n), "x")
    for draw in (rand, randn):
        assert torch.equal(draw((20, *rest), whole)[4 : 4 + n], draw(shape, few))


def test_steps_do_not_depend_on_what_was_drawn_before():
    a, b = Streams(3, range(5)), Streams(3, range(5))
    rand((5, 17), a)
    assert torch.equal(rand((5, 2), a.at(4)), rand((5, 2), b.at(4)))
    assert not torch.equal(rand((5, 2), b.at(4)), rand((5, 2), b.at(5)))


def test_seeds_purposes_rows_and_calls_differ():
    def first(*about):
        return float(rand((1, 1), Streams(*about), dtype=torch.float64))

    s = Streams(0, [0])
    seen = {first(0, [0]), first(1, [0]), first(0, [1]), first(0, [0], "a"), first(2**63, [0])}
    assert len(seen | {float(rand((1, 1), s, dtype=torch.float64)) for _ in range(3)}) == 7  # one is first(0, [0])


def test_numbers_are_uniform_normal_and_independent():
    """10^6 numbers, a seed. Moments within 5 standard errors; correlations between calls, rows and
    neighbouring seeds likewise."""
    n = 1000
    u = torch.stack([rand((n, n), Streams(seed, range(n)), dtype=torch.float64) for seed in (0, 1)])
    assert 0 <= float(u.min()) and float(u.max()) < 1
    centred = (u - 0.5) * math.sqrt(12)
    slack = 5 / n
    assert abs(float(centred[0].mean())) < slack and abs(float(centred[0].pow(2).mean()) - 1) < slack
    for other in (centred[1], centred[0].roll(1, 0), centred[0].roll(1, 1), centred[0].T):
        assert abs(float((centred[0] * other).mean())) < slack + 1 / n  # the transpose has its diagonal in common
    z = randn((n, n), Streams(2, range(n))).double()
    assert abs(float(z.mean())) < slack and abs(float(z.pow(2).mean()) - 1) < 5 * math.sqrt(2) / n
    assert abs(float(z.pow(4).mean()) - 3) < 5 * math.sqrt(96) / n and bool(z.isfinite().all())
    counts = np.bincount((u[0].flatten() * 64).long(), minlength=64)
    expected = n * n / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * math.sqrt(2 * 63)


def test_float32_never_reaches_one():
    s = Streams(0, range(4))
    s.bits = lambda shape: np.full(shape, 2**64 - 1, np.uint64)
    assert float(rand((4, 1), s).max()) < 1 and float(rand((4, 1), s, dtype=torch.float64).max()) < 1
    assert bool(randn((4, 1), s).isfinite().all())


def test_a_categorical_draw_has_a_number_for_each_place():
    """Which other places are drawn for changes nothing at one."""
    log_probs = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    everywhere = torch.ones(3, 4, dtype=torch.bool)
    some = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
    whole = draw_categorical(log_probs[everywhere], Streams(5, range(3)), everywhere).reshape(3, 4)
    assert torch.equal(draw_categorical(log_probs[some], Streams(5, range(3)), some), whole[some])


def test_another_number_of_rows_is_refused():
    with pytest.raises(ValueError, match=r"shape must begin with 3 rows, a stream each; got \[4, 2\]"):
        rand((4, 2), Streams(0, range(3)))

"""The sliced Wasserstein distances: the library's, and the papers'."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite.tasks.scores import sliced_wasserstein


@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 999), st.floats(-5, 5))
def test_sliced_wasserstein_is_a_distance(n, d, seed, shift):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g)
    assert sliced_wasserstein(a, a[torch.randperm(n, generator=g)]) < 1e-7
    assert sliced_wasserstein(a, b) == pytest.approx(sliced_wasserstein(b, a)) and sliced_wasserstein(a, b) > 0
    # moved along one axis by c, every slice w is moved by c w_1: the distance is |c| times the root
    # mean of w_1^2
    moved = sliced_wasserstein(a, a + shift * torch.eye(d)[0], directions=512)
    assert moved == pytest.approx(abs(shift) / math.sqrt(d), rel=0.25, abs=1e-6)
    with pytest.raises(ValueError, match="same shape"):
        sliced_wasserstein(a, b[1:])


@pytest.mark.parametrize("p", [1, 2])
def test_on_a_line_a_shift_is_the_distance(p, gen):
    """One dimension has one direction: every quantile moves by the shift, for both p."""
    a = torch.randn(50, 1, generator=gen(1)).double()
    assert sliced_wasserstein(a, a - 0.7, p=p) == pytest.approx(0.7, rel=1e-9)


@pytest.mark.parametrize("p", [1, 2])
def test_a_scaled_normal_is_as_far_as_its_moment(p, gen):
    """Any slice of a standard normal is one; times 1 + c its quantiles q move by c q. W1 is
    c E|q| = c sqrt(2/pi), W2 is c. 4,000 points in 3 dimensions, so 1 % of sampling error."""
    a = torch.randn(4_000, 3, generator=gen(2)).double()
    truth = 0.5 * (math.sqrt(2 / math.pi) if p == 1 else 1)
    assert sliced_wasserstein(a, 1.5 * a, p=p) == pytest.approx(truth, rel=0.04)


def test_the_papers_is_never_above_ours(gen):
    a, b = (torch.rand(300, 5, generator=gen(k)) for k in (3, 4))
    assert 0 < sliced_wasserstein(a, b, p=1) < sliced_wasserstein(a, b, p=2)


def test_another_p_is_refused():
    with pytest.raises(ValueError, match="p must be 1 or 2, got 3"):
        sliced_wasserstein(torch.eye(2), torch.eye(2), p=3)

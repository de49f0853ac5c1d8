"""The sliced Wasserstein distance."""

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

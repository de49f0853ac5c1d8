"""A mean and its standard error."""

import math

import pytest
import torch

from lddm_lite._common.estimate import Estimate
from tests.support.statistics import near


def test_the_standard_error_is_the_spread_of_repeated_means():
    """2,000 means of 50 draws of standard deviation 3, and their claimed errors: 2 % are four
    standard errors of the spread over repetitions and then some."""
    x = 1 + 3 * torch.randn(2_000, 50, generator=torch.Generator().manual_seed(0))
    found = [Estimate.of(row) for row in x]
    means, claimed = (torch.tensor([float(getattr(e, name)) for e in found]) for name in ("value", "stderr"))
    near(means.mean(), 3, x.numel(), 1)
    assert float(claimed.pow(2).mean().sqrt()) == pytest.approx(float(means.std()), rel=0.08)


def test_one_value_has_no_known_error():
    e = Estimate.of(torch.tensor([2.5], requires_grad=True))
    assert e.value == float(e) == 2.5 and math.isnan(e.stderr)


def test_an_exact_value_is_shown_without_error():
    assert (str(Estimate(2)), str(Estimate(2, 0.5))) == ("2.000", "2.000 ± 0.500")

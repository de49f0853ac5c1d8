"""Binsaw: its likelihood against its definition, and the shift behind a sequence."""

import math

import numpy as np
import pytest
import torch

from lddm_lite.tasks import Binsaw

F64 = torch.float64


def saw_log_prob(x, saws, eps, points=4_000):
    """log p*(x) from the definition alone: plain Python, midpoint rule over the whole circle of
    shifts."""
    total, length = 0.0, len(x)
    for j in range(points):
        s, p = (j + 0.5) / points, 1.0
        for i, bit in enumerate(x):
            u = ((i / length + s) % 1) * saws % 1
            one = eps + (1 - 2 * eps) * (1 - abs(2 * u - 1))
            p *= one if bit else 1 - one
        total += p / points
    return math.log(total)


@pytest.mark.parametrize(("length", "saws"), [(2, 1), (3, 2), (7, 1), (8, 2), (10, 3), (12, 5)])
def test_binsaw_likelihoods_sum_to_one(length, saws):
    task = Binsaw(length, saws, eps=0.03)
    assert float(task.log_prob(task.all_sequences()).exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("length", "saws", "eps"), [(8, 2, 0.01), (5, 3, 0.1), (24, 1, 0.02)])
def test_binsaw_against_its_definition_in_plain_python(length, saws, eps):
    """The midpoint rule is off by O(points^-2), here below 1e-5 of the likelihood."""
    task = Binsaw(length, saws, eps)
    for x in task.sample(3, seed=1):
        assert float(task.log_prob(x[None])) == pytest.approx(saw_log_prob(x.tolist(), saws, eps), abs=1e-4)


@pytest.mark.parametrize(("length", "saws"), [(128, 2), (127, 3), (200, 7), (64, 1), (5, 3), (9, 2)])
def test_binsaw_nodes_integrate_to_rounding(length, saws):
    """Against 24 Gauss-Legendre nodes in every cell of width 1/(2 L saws), on whose borders all
    kinks lie: no sample of these polynomials asks for more. Tolerance: what summing logarithms of
    size 100 leaves."""
    task = Binsaw(length, saws)
    x, cells = task.sample(8, seed=2), 2 * length  # of one period
    u, w = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(24))
    s = ((torch.arange(cells).unsqueeze(1) + (u + 1) / 2) / cells * task.period).flatten()
    p = task.bit_probs(s)
    log_joint = x.double() @ p.log().T + (1 - x.double()) @ (1 - p).log().T
    truth = (log_joint + (w / 2 / cells).log().repeat(cells)).logsumexp(1)
    assert torch.allclose(task.log_prob(x), truth, rtol=0, atol=1e-10)


def test_bit_probs_have_the_stated_period_and_range():
    task, s = Binsaw(16, 3, 0.05), torch.linspace(0, 1, 50, dtype=F64)
    p = task.bit_probs(s)
    assert torch.allclose(p, task.bit_probs(s + 1 / 3)) and 0.05 - 1e-9 < p.min() < p.max() < 0.95 + 1e-9
    assert ((task.shift >= 0) & (task.shift < task.period)).all()


def test_the_hidden_shift_is_found_and_is_the_circular_mean_of_its_posterior():
    task = Binsaw(128, 2)
    s = torch.tensor([0.0, 0.1, 0.25, 0.49], dtype=F64)
    x = (task.bit_probs(s) > 0.5).long()  # the cleanest sequence of each shift
    gap = (task.find_shift(x) - s + 0.25) % 0.5 - 0.25
    assert gap.abs().max() < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Binsaw(1), "length must be"),
        (lambda: Binsaw(8, saws=0), "saws must be"),
        (lambda: Binsaw(8, eps=0.5), "eps must be"),
        (lambda: Binsaw(8, eps=math.nan), "eps must be"),
        (lambda: Binsaw(8).sample(0), "n must be"),
        (lambda: Binsaw(4).log_prob([[0, 1, 3, 0]]), r"x holds ids 0\.\.3; allowed are 0\.\.2"),
        (lambda: Binsaw(4).score([[0, 1, 2, 0]]), r"x holds ids 0\.\.2; allowed are 0\.\.1"),
        (lambda: Binsaw(4).predict(torch.zeros(0, 4, dtype=torch.long)), "x_t is an empty batch"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Do random draws fit what is known of them? Limits that fewer than one seed in 1,000 oversteps."""

import math

import torch


def near(value, sd, n, truth, sds=5.0):
    """Assert that a mean of n draws of standard deviation sd is within 5 standard errors (one seed
    in 10^6 is not)."""
    assert abs(float(value) - float(truth)) <= sds * float(sd) / math.sqrt(n), (float(value), float(truth))


def agree(counts, p, sd=5.0):
    """Assert that the counts of n draws fit the probabilities p. Every cell must lie within `sd`
    binomial standard deviations: for fewer than 1,000 cells, 5 of them are overstepped by chance in
    less than one of 1,000 seeds. Half a count more is allowed, for cells in which next to nothing
    is expected."""
    counts, p = torch.as_tensor(counts).double(), torch.as_tensor(p).double()
    assert counts.shape == p.shape
    n = counts.sum()
    assert abs(float(p.sum()) - 1) < 1e-6
    slack = sd * (n * p * (1 - p)).sqrt() + 0.5
    worst = ((counts - n * p).abs() / slack).max()
    assert worst <= 1, f"a cell is {float(worst):.2f} times the allowed deviation off"
    assert counts[p == 0].sum() == 0, "something impossible was drawn"


def histogram(x, base):
    """Counts of sequences [n, L] over all base**L of them, in the order of `all_sequences`."""
    x = torch.as_tensor(x).long()
    at = (x * base ** torch.arange(x.shape[1] - 1, -1, -1)).sum(1)
    return torch.bincount(at, minlength=base ** x.shape[1])

"""What all tests share: one thread, repeatable properties, tiny tasks whose every state can be listed."""

import math
import os

import pytest
import torch
from hypothesis import settings

from lddm_lite import train
from lddm_lite.config import Config
from lddm_lite.encoders import ContinuousEncoder, DiscreteEncoder
from lddm_lite.tasks import Binsaw, MixtureTask

torch.set_num_threads(1)  # many small tensors: threads would only wait for each other
settings.register_profile("quick", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("quick")


def near(value, sd, n, truth, sds=5.0):
    """Assert that a mean of n draws of standard deviation sd is within 5 standard errors (one seed in 10^6 is not)."""
    assert abs(float(value) - float(truth)) <= sds * float(sd) / math.sqrt(n), (float(value), float(truth))


def awaken(model, seed=0):
    """Random numbers for all weights: gates and heads start at zero, which would hide what depends on what."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g))
    return model.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def gen():
    """A fresh generator from a seed."""
    return generator


@pytest.fixture(scope="session")
def random_task():
    """A mixture of random components with uneven weights. `sharp` is the scale of their random logits: the larger, the
    more the tokens share."""

    def make(length=3, vocab=3, components=3, seed=0, sharp=2.5):
        g = generator(seed)
        prior = torch.randn(components, generator=g, dtype=torch.float64) / 2
        return MixtureTask(prior, sharp * torch.randn(components, length, vocab, generator=g, dtype=torch.float64))

    return make


@pytest.fixture(scope="session")
def tiny(random_task):
    """Four bits, five components: 16 sequences, entropy about 2 nats, tokens that share a lot."""
    return random_task(length=4, vocab=2, components=5, seed=3)


@pytest.fixture(scope="session")
def saw():
    """A Binsaw that trains in seconds."""
    return Binsaw(length=8)


@pytest.fixture(scope="session")
def saw32():
    """Binsaw of 32 bits; its entropy is a Monte Carlo mean, computed once for all tests."""
    return Binsaw(length=32)


@pytest.fixture(scope="session")
def settled():
    """A random encoder with settled statistics, in eval mode. Its gates are opened: as they start, at zero, the output
    would be the same for every sequence."""

    def make(task, kind="continuous", seed=0, **changes):
        system = {"continuous": "co-seq", "discrete": "di-seq"}[kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = Config.preset(system, task.length, task.vocab, width=16, heads=2, encoder_blocks=1, **changes)
            encoder = (ContinuousEncoder if kind == "continuous" else DiscreteEncoder)(config)
            for half in [*encoder.trunk.token, *encoder.trunk.latent]:
                torch.nn.init.normal_(half.modulation)
        encoder.settle([task.sample(256, seed=k) for k in range(4)])
        return encoder

    return make


@pytest.fixture(scope="session")
def agree():
    """Do the counts of n draws fit the probabilities? Every cell must lie within `sd` binomial standard deviations: for
    fewer than 1,000 cells, 5 of them are overstepped by chance in less than one of 1,000 seeds. Half a count more is
    allowed, for cells in which next to nothing is expected."""

    def check(counts, p, sd=5.0):
        counts, p = torch.as_tensor(counts).double(), torch.as_tensor(p).double()
        assert counts.shape == p.shape
        n = counts.sum()
        assert abs(float(p.sum()) - 1) < 1e-6
        slack = sd * (n * p * (1 - p)).sqrt() + 0.5
        worst = ((counts - n * p).abs() / slack).max()
        assert worst <= 1, f"a cell is {float(worst):.2f} times the allowed deviation off"
        assert counts[p == 0].sum() == 0, "something impossible was drawn"

    return check


@pytest.fixture(scope="session")
def histogram():
    """Counts of sequences [n, L] over all base**L of them, in the order of `all_sequences`."""

    def count(x, base):
        x = torch.as_tensor(x).long()
        at = (x * base ** torch.arange(x.shape[1] - 1, -1, -1)).sum(1)
        return torch.bincount(at, minlength=base ** x.shape[1])

    return count


@pytest.fixture
def responsive(monkeypatch):
    """Stage 1 ends after its share of steps, whether or not so short a training has made the tokens respond."""
    monkeypatch.setattr(train, "z_response", lambda *a: 1.0)

"""What all tests share: one thread, repeatable properties, tiny tasks whose every state can be
listed."""

import os

import pytest
import torch
from hypothesis import settings

from lddm_lite.config import Config
from lddm_lite.diffusion import prediction
from lddm_lite.networks.codebook import DiscreteEncoder
from lddm_lite.networks.encoders import ContinuousEncoder
from lddm_lite.tasks import Binsaw, MixtureTask
from lddm_lite.training import loop

torch.set_num_threads(1)  # many small tensors: threads would only wait for each other
settings.register_profile("quick", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("quick")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def gen():
    """A fresh generator from a seed."""
    return generator


@pytest.fixture(autouse=True)
def usual_memory(monkeypatch):
    """Commands and `limit` set how much a process holds at once: no test leaves that to the next."""
    monkeypatch.setattr(prediction, "_held", prediction.MEGABYTES)


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def random_task():
    """A mixture of random components with uneven weights. `sharp` is the scale of their random
    logits: the larger, the more the tokens share."""

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
    """A random encoder with settled statistics, in eval mode. Its gates are opened: as they start,
    at zero, the output would be the same for every sequence."""

    def make(task, kind="continuous", seed=0, **changes):
        system = {"continuous": "co-seq", "discrete": "di-seq"}[kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = Config.preset(system, task.length, task.vocab, width=16, heads=2, encoder_blocks=1, **changes)
            encoder = (ContinuousEncoder if kind == "continuous" else DiscreteEncoder)(config)
            for block in [*encoder.trunk.token, *encoder.trunk.latent]:
                torch.nn.init.normal_(block.modulation)
        encoder.settle([task.sample(256, seed=k) for k in range(4)])
        return encoder

    return make


@pytest.fixture
def responsive(monkeypatch):
    """Stage 1 ends after its share of steps, whether or not so short a training has made the tokens
    respond."""
    monkeypatch.setattr(loop, "z_response", lambda *a: 1.0)

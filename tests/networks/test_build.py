"""The parts that a configuration and a caller ask for."""

import pytest
import torch

import lddm_lite as ld
from lddm_lite.networks import build
from tests.support.own_parts import SMALL, TASK, Halves, Net, make


def test_the_seed_decides_what_a_factory_makes_and_nothing_else_moves():
    def weights(model):
        return list(model.state_dict().values())

    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, other = make("denoiser"), make("denoiser"), make("denoiser", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, weights(a), weights(b))) and not all(map(torch.equal, weights(a), weights(other)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(a.config)
    given = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL, denoiser=net)
    assert given.denoiser is net and net.training
    plain = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL)
    kept = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL, encoder=Halves)
    # made first, as always
    assert all(map(torch.equal, weights(plain.denoiser), weights(kept.denoiser)))


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="unknown part 'decoder'; there are denoiser, encoder, channel"):
        build.made("decoder", Net, ld.Config(8, 2))

"""Operations of a call, against those that torch counts."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lddm_lite import Config
from lddm_lite.networks import Denoiser
from lddm_lite.networks.cost import forward_flops


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_as_torch_counts(system):
    """All positions asked; torch counts the ways in, adaLN and the latent head besides, a tenth at
    this size, and leaves out attention on a CPU, 4 %."""
    c = Config.preset(system, length=16, vocab=8, width=64, blocks=2, slots=2, dim=8, codes=8)
    net, x = Denoiser(c), torch.full((3, 16), 8)
    z, t = (None, None) if system == "mdlm" else (torch.randn(3, 2, 8), torch.full((3,), 0.5))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x, z, t, x == 8).tokens  # noqa: B018 - written out when asked for
    assert 0.95 < counter.get_total_flops() / (3 * forward_flops(net)) < 1.1
    if z is not None:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(None, z, t)
        assert 0.95 < counter.get_total_flops() / (3 * forward_flops(net, tokens=False)) < 1.35


def test_nothing_is_known_of_a_denoiser_of_ones_own():
    assert math.isnan(forward_flops(torch.nn.Linear(1, 1)))

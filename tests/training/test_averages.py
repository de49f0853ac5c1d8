"""Averages of the weights, held by a model for a while."""

import copy

import pytest
import torch

from lddm_lite.training import averages
from tests.support.training_runs import run, start


def test_the_models_own_weights_and_modes_come_back_after_an_error_too():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    model[1].eval()
    before, params = copy.deepcopy(model.state_dict()), list(model.parameters())
    with pytest.raises(KeyError), averages.averaged(model, params, [torch.zeros_like(p) for p in params]) as held:
        assert held is model and not model.training and not model[0].training
        assert all((p == 0).all() for p in model.parameters())
        raise KeyError
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert (model.training, model[0].training, model[1].training) == (True, True, False)


def test_fit_leaves_the_averages_of_its_weights():
    """With ema = 0 the average is the last step's own weights; near 1 hardly anything was learned.
    """
    fresh, (last, _), (slow, _) = start("mdlm"), run("mdlm", ema=0.0), run("mdlm", ema=0.999)

    def far(model):
        pairs = zip(model.parameters(), fresh.parameters(), strict=True)
        return sum(float((a - b).detach().pow(2).sum()) for a, b in pairs)

    assert 0 < far(slow) < far(last)

"""A model begins with the weights of another, as far as they fit."""

import pytest
import torch

import lddm_lite as ld
from lddm_lite.tasks import Binsaw, MixtureOfProducts

SMALL = dict(width=16, heads=2, blocks=1, encoder_blocks=1)


def test_all_of_a_like_model_is_taken(tmp_path):
    one, two = (ld.LatentDiffusion.preset("co-seq", Binsaw(length=8), seed=s, **SMALL) for s in (0, 1))
    one.save(tmp_path / "m")
    assert two.init_from(tmp_path / "m") == []
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert (one.sample(2, token_steps=2).tokens == two.sample(2, token_steps=2).tokens).all()


def test_what_does_not_fit_is_listed_and_keeps_its_value():
    one, two = (
        ld.LatentDiffusion.preset("mdlm", MixtureOfProducts(length=8, vocab=v), seed=v, **SMALL) for v in (2, 3)
    )
    before = {k: v.clone() for k, v in two.state_dict().items()}
    left = two.init_from(one)
    assert any("embed.weight: shape (4, 16), there (3, 16)" in line for line in left)
    kept = {line.split(":")[0] for line in left}
    for k, v in two.state_dict().items():
        assert torch.equal(v, before[k] if k in kept else one.state_dict()[k]), k


def test_less_than_half_is_refused():
    two = ld.LatentDiffusion.preset("mdlm", Binsaw(length=8), width=32, heads=2, blocks=1)
    before = {k: v.clone() for k, v in two.state_dict().items()}
    with pytest.raises(ValueError, match="of the model's numbers .* less than half; the first that does not fit"):
        two.init_from(ld.LatentDiffusion.preset("mdlm", Binsaw(length=8), **SMALL))
    assert all(torch.equal(v, before[k]) for k, v in two.state_dict().items())
    with pytest.raises(ValueError, match="no checkpoint 'none'"):
        two.init_from("none")

"""Configurations: presets, sizes, and what they refuse."""

import json

import pytest
import torch

from lddm_lite.config import SIZES, SYSTEMS, Config
from lddm_lite.diffusion.channels import SquareRootChannel
from lddm_lite.model import LatentDiffusion
from lddm_lite.networks.denoiser import Denoiser
from lddm_lite.tasks import MixtureOfProducts


def parameters(system, size):
    with torch.device("meta"):
        return sum(p.numel() for p in Denoiser(Config.preset(system, 64, 4000, size, pad_id=0)).parameters())


@pytest.mark.parametrize(("size", "millions"), [("tiny", 3), ("small", 30)])
def test_systems_of_a_size_have_as_many_parameters(size, millions):
    counts = [parameters(system, size) for system in SYSTEMS]
    assert max(counts) / min(counts) < 1.1 and all(abs(n / 1e6 / millions - 1) < 0.1 for n in counts)


def test_base_is_that_of_the_papers():
    assert {tuple(fields.values()) for fields in SIZES["base"].values()} == {(768, 12, 12)}
    for kinds in SIZES.values():
        assert all(f["width"] // f["heads"] in (32, 64) and f["width"] % f["heads"] == 0 for f in kinds.values())


def test_options_go_before_the_size():
    config = Config.preset("fuji", 8, 2, size="tiny", blocks=1)
    assert (config.width, config.blocks, config.heads) == (128, 1, 4)
    model = LatentDiffusion.preset("fuji", MixtureOfProducts(length=8), size="tiny", blocks=1)
    assert model.config == config


def test_without_a_size_the_preset_is_the_default():
    assert Config.preset("co-seq", 8, 2).changed() == Config(8, 2)


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="size must be one of tiny, small, base, minilm; got 'huge'"):
        LatentDiffusion.preset("mdlm", MixtureOfProducts(length=8), size="huge")


def test_a_config_is_its_dict():
    config = Config.preset("di-joint", 5, 4, pad_id=2, codes=9)
    assert Config(**json.loads(json.dumps(config.to_dict()))) == config
    assert config.changed(codes=3).codes == 3 and config.codes == 9


def test_odd_heads_are_refused():
    with pytest.raises(ValueError, match="even width per head, got 18 / 6"):
        Config.preset("mdlm", 8, 2, width=18, heads=6, network="text")


def test_the_schedule_of_the_latents_is_an_option_that_is_kept(tmp_path):
    model = LatentDiffusion.preset("co-seq", MixtureOfProducts(length=8), width=16, latent_schedule="sqrt")
    assert isinstance(model.latent_channel, SquareRootChannel)
    assert model.denoiser.gauss == model.latent_channel == Denoiser(model.config).gauss
    assert "parts" not in json.loads((model.save(tmp_path) / "config.json").read_text())  # it is no part of one's own
    assert LatentDiffusion.load(tmp_path).latent_channel == model.latent_channel
    with pytest.raises(ValueError, match="latent_schedule must be linear or sqrt, got 'cosine'"):
        Config.preset("co-seq", 8, 2, latent_schedule="cosine")

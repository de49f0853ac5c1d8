"""Models for a page: what travels, under which key, and what is refused."""

import numpy as np
import pytest
import torch

from lddm_lite import GaussianChannel, LatentDiffusion, load, tasks
from lddm_lite.networks.sentence_latents import Statistics
from lddm_lite.networks.web_export import export

TASK = tasks.Binsaw(length=16)


@pytest.mark.parametrize("system", ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"])
def test_a_page_gets_all_that_sampling_takes(system):
    model = LatentDiffusion.preset(system, TASK, width=16)
    whole, small = model.to_web("float32"), model.to_web()
    for name, value in model.state_dict().items():
        if name.startswith("denoiser."):
            assert np.array_equal(whole.arrays[name], value.numpy())
    assert whole.head["encodes"] == (system != "mdlm") and whole.head["config"] == model.config.to_dict()
    assert small.size < 0.6 * whole.size and small.arrays["denoiser.head.weight"].dtype == np.float16
    assert not any("usage" in name or "num_batches" in name for name in whole.arrays)


def test_without_its_encoder_a_model_is_smaller_and_keeps_its_codebook():
    model = LatentDiffusion.preset("di-seq", TASK, width=16)
    without = export(model, encoder=False)
    assert without.size < 0.7 * export(model).size and not without.head["encodes"]
    assert [name for name in without.arrays if name.startswith("encoder")] == ["encoder.codebook"]


def test_keys_tell_models_apart():
    model, other = (LatentDiffusion.preset("mdlm", TASK, seed=seed, width=16) for seed in (0, 1))
    assert export(model).key == export(model).key != export(other).key
    assert export(model).key != export(model, "float16").key


def test_a_frozen_text_encoder_stays_outside():
    model = load("newswire-co")
    assert not export(model).head["encodes"]
    with pytest.raises(ValueError, match="frozen text encoder"):
        export(model, encoder=True)
    with pytest.raises(ValueError, match="no latents"):
        export(LatentDiffusion.preset("mdlm", TASK, width=16), encoder=True)


def test_codes_of_a_frozen_text_encoder_come_without_it():
    model = LatentDiffusion.preset("di-seq", TASK, width=16, codes=4, dim=3, encoder="minilm")
    mean, axes = torch.zeros(1, 5), torch.eye(5)[:, :3]
    model.encoder.encoder.statistics = Statistics(mean, axes, torch.ones(3), "00" * 32)
    sent = export(model)
    assert not sent.head["encodes"]
    assert [name for name in sent.arrays if name.startswith("encoder")] == ["encoder.codebook"]


def test_what_no_page_can_run_is_refused():
    with pytest.raises(ValueError, match="denoiser ExactDenoiser"):
        export(LatentDiffusion.exact(TASK))
    with pytest.raises(ValueError, match="channel GaussianChannel"):
        export(LatentDiffusion.preset("co-seq", TASK, width=16, channel=GaussianChannel(5.0)))
    with pytest.raises(ValueError, match="weights must be .float32"):
        export(LatentDiffusion.preset("mdlm", TASK, width=16), "int7")


def test_weights_are_copies_on_the_cpu():
    model = LatentDiffusion.preset("mdlm", TASK, width=16)
    sent = export(model, "float32")
    before = sent.key
    with torch.no_grad():
        model.denoiser.head.weight.add_(1.0)
    assert sent.key == before

"""Parts of one's own in a model: what fits trains, samples, resumes and is saved; what does not is
named."""

import json
import math

import pytest
from torch import nn

import lddm_lite as ld
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.diffusion import SquareRootChannel
from lddm_lite.networks import custom_parts
from tests.support.own_parts import OWN, SMALL, TASK, Codes, Halves, Learning, Net, Squared, make
from tests.support.training_runs import Feed, interrupt, same

QUICK = dict(steps=12, batch=16, log_every=4, warmup=2, progress=False)


@pytest.mark.parametrize("name", OWN)
def test_own_parts_train_resume_are_saved_and_loaded(name, responsive, tmp_path):
    system, own = OWN[name]
    whole = make(name)
    history = ld.fit(whole, Feed(16), **QUICK)
    stages = {row["stage"] for row in history.rows}
    assert stages == ({1, 2} if name != "denoiser, no latents" and custom_parts.learned(whole.encoder) else {2})
    assert all(math.isfinite(row["loss"]) for row in history.rows)
    model = make(name)
    ld.fit(model, Feed(16, s5=interrupt), out=tmp_path / "a", **QUICK)
    model = make(name, seed=3)  # its weights come from the file
    going_on = ld.fit(model, Feed(16), out=tmp_path / "a", resume=True, **QUICK)
    same((whole, history), (model, going_on))
    x = TASK.sample(64)
    assert math.isfinite(model.nelbo(x).total.value) and math.isfinite(model.nelbo(x, token_steps=2).total.value)
    noted = json.loads((tmp_path / "a" / "config.json").read_text())["parts"]
    assert set(noted) == set(own)
    with pytest.raises(CheckpointError, match="was made with parts of its own.*give the same ones again.*load"):
        ld.load(tmp_path / "a")
    again = ld.load(tmp_path / "a", **own)
    assert (again.sample(8, 2, seed=1).tokens == model.sample(8, 2, seed=1).tokens).all()


def test_the_librarys_models_note_no_parts(tmp_path):
    for system in ("mdlm", "co-seq", "di-joint"):
        model = ld.LatentDiffusion.preset(system, TASK, **SMALL)
        assert custom_parts.own(model) == {}
        model.save(tmp_path / system)
        assert "parts" not in json.loads((tmp_path / system / "config.json").read_text())
        with pytest.raises(CheckpointError, match="was made without a denoiser of its own"):
            ld.load(tmp_path / system, denoiser=Net)


def test_loading_with_another_part_is_refused(tmp_path):
    make("encoder").save(tmp_path)
    with pytest.raises(CheckpointError, match="made with encoder=Halves, got Learning"):
        ld.load(tmp_path, encoder=Learning)
    with pytest.raises(CheckpointError, match="the parts given do not fit it: encoder: z_0 must be"):
        ld.load(tmp_path, encoder=Codes)


def broken(what):
    return lambda config: Net(config, what)


class Loud(Codes):
    def forward(self, x):
        return super().forward(x) + 4


class Trains(Codes):
    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(2, 2)


class Slow(Squared):
    def speed(self, t):
        return self.log_snr_max - self.log_snr_min


class Ends(ld.GaussianChannel):
    def log_snr(self, t):
        return super().log_snr(t) + 1


class Doubled(SquareRootChannel):
    def speed(self, t):
        return 2 * super().speed(t)


BAD = [
    ("co-seq", dict(denoiser=3), "denoiser must be a torch.nn.Module, or a function"),
    ("co-seq", dict(denoiser=nn.Linear(2, 2)), "denoiser: a call on two sequences failed with TypeError"),
    ("co-seq", dict(denoiser=broken("rows")), r"denoiser: tokens must be a tensor of shape \(7, 2\), got \(2, 8, 2\)"),
    ("mdlm", dict(denoiser=broken("logits")), "denoiser: tokens must be log-probabilities"),
    ("co-seq", dict(denoiser=broken("latents")), r"denoiser: latents must be .* \(2, 1, 2\), got \(2, 1, 1\)"),
    ("co-seq", dict(denoiser=broken("pair")), "denoiser must return a Prediction"),
    ("co-seq", dict(denoiser=broken("none")), "denoiser: a call .* x_t is None"),
    ("mdlm", dict(encoder=Halves), "encoder must be left out for 'mdlm', which has no latents"),
    ("co-seq", dict(encoder=Codes), "encoder: z_0 must be a tensor of shape"),
    ("di-seq", dict(encoder=Halves), "encoder: z_0 must be a tensor of shape"),
    ("di-seq", dict(encoder=Loud), r"encoder: codes must lie in 0\.\.3, got"),
    ("di-seq", dict(encoder=Trains), "needs quantise"),
    ("co-seq", dict(channel=ld.MaskedChannel(4)), "channel must be a GaussianChannel for continuous latents"),
    ("di-seq", dict(channel=ld.MaskedChannel(5)), "channel must be over codes=4 codes, got vocab=5"),
    ("mdlm", dict(channel=ld.GaussianChannel()), "channel must be None for none latents"),
    ("co-seq", dict(channel=Slow()), r"channel: speed\(t\) must be -d log_snr/dt"),
    ("co-seq", dict(channel=Doubled()), r"channel: speed\(t\) must be -d log_snr/dt"),
    ("co-seq", dict(channel=Ends()), r"channel: log_snr\(t\) must go from log_snr_max to log_snr_min"),
    ("co-seq", dict(channel="fast"), "channel must be a GaussianChannel or MaskedChannel"),
]


@pytest.mark.parametrize(("system", "own", "message"), BAD, ids=[m[:32] for *_, m in BAD])
def test_a_part_that_does_not_fit_is_named(system, own, message):
    with pytest.raises(ValueError, match=message):
        ld.LatentDiffusion.preset(system, TASK, **SMALL, **own)


@pytest.mark.parametrize("top", [4.6, 6.0])
def test_a_steep_schedule_is_taken(top):
    """Where log-SNR falls by nearly 3 within 1/64 of the time, its slope is still seen rightly."""
    channel = SquareRootChannel(top)
    assert ld.LatentDiffusion.preset("co-seq", TASK, **SMALL, channel=channel).latent_channel is channel

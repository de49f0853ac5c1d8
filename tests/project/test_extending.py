"""A system, a channel, a task, an encoder, a view of one's own: each is one small class, row or file, and the rest of
the library takes it as it takes its own."""

import math

import pytest
import torch
import traitlets as T
from torch import nn

import lddm_lite as ld
from lddm_lite.config import SYSTEMS
from lddm_lite.evaluation import frontier, health
from lddm_lite.tasks import Binsaw
from lddm_lite.widgets import payload
from lddm_lite.widgets.base import Widget

SMALL = dict(width=16, heads=2, blocks=1, encoder_blocks=1, dim=2)
QUICK = dict(steps=4, batch=8, progress=False)


def used(model, data, tmp_path, **own):
    """Train, bound, sample, save, load, sample again: the same samples."""
    history = ld.fit(model, data, **QUICK)
    assert all(math.isfinite(v) for v in history.column("loss"))
    assert math.isfinite(model.nelbo(data.sample(8)).total.value)
    trace = model.sample(3, token_steps=2, seed=1)
    model.save(tmp_path / "m")
    again = ld.load(tmp_path / "m", **own)
    assert (again.sample(3, token_steps=2, seed=1).tokens == trace.tokens).all()
    return trace


def test_a_system_is_a_row(monkeypatch, tmp_path):
    monkeypatch.setitem(SYSTEMS, "co-between", dict(latent="continuous", lead=0.25))
    task = Binsaw(length=8)
    model = ld.LatentDiffusion.preset("co-between", task, **SMALL)
    assert model.path == ld.Path(0.25) and used(model, task, tmp_path).lead == 0.25
    assert [row["system"] for row in frontier(model, task, (1, 2), n=16)] == ["co-between"] * 2


class Cosine(ld.GaussianChannel):
    """A log-SNR that lingers at its ends."""

    def log_snr(self, t):
        half = (self.log_snr_max - self.log_snr_min) / 2
        bent = 0.5 * (1 - t * 2) + 0.5 * torch.cos(math.pi * t)
        return self.log_snr_min + half * (1 + bent)

    def speed(self, t):
        return (self.log_snr_max - self.log_snr_min) / 2 * (1 + 0.5 * math.pi * torch.sin(math.pi * t))


def test_a_channel_is_a_class(tmp_path):
    task, channel = Binsaw(length=8), Cosine()
    used(ld.LatentDiffusion.preset("co-seq", task, channel=channel, **SMALL), task, tmp_path, channel=channel)


class Squares:
    """Lines of length 6 with two equal halves out of three tokens."""

    length, vocab, labels = 6, 3, ["a", "b", "c"]

    def spec(self):
        return {}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return torch.randint(3, (n, 3), generator=g).repeat(1, 2)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_task_is_a_class(system, tmp_path):
    task = Squares()
    trace = used(ld.LatentDiffusion.preset(system, task, **SMALL), task, tmp_path)
    assert trace.tokens.shape == (3, 6) and {len(text) for text in trace.texts()} == {6}


class Corner(nn.Module):
    """z_0 of a sequence: the angle of its first two tokens."""

    def __init__(self, config):
        super().__init__()

    def forward(self, x):
        angle = x[:, 0] * math.pi + x[:, 1] * math.pi / 2
        return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], -1).unsqueeze(1)


def test_an_encoder_is_a_class(tmp_path):
    task = Binsaw(length=8)
    model = ld.LatentDiffusion.preset("co-seq", task, encoder=Corner, **SMALL)
    used(model, task, tmp_path, encoder=Corner)
    assert health(model, task, n=16)["spread"] > 0.5


VIEW = """
import { el } from "./elements.js";
import { register } from "./mount.js";

register("token-counts", (frame, app) => {
  frame.append(el("p", { text: app.arrays.counts.data.join(" ") }));
  return { set() {}, theme() {}, resize() {}, close() {} };
});
"""


def test_a_view_is_a_class_and_a_module(tmp_path):
    (tmp_path / "token_counts.js").write_text(VIEW)
    (tmp_path / "token_counts.css").write_text("p { font-weight: 600 }")

    class TokenCounts(Widget):
        _kind, _folder, _state = "token-counts", str(tmp_path), ("step",)
        step = T.Int(0).tag(sync=True)

    trace = ld.LatentDiffusion.exact(Binsaw(length=8)).sample(4, token_steps=2)
    counts = torch.bincount(torch.as_tensor(trace.tokens).flatten(), minlength=2).numpy()
    view = TokenCounts({"title": "how often each token"}, {"counts": counts})
    page = view.to_html(tmp_path / "page.html").read_text("utf-8")
    for html in (page, view._repr_mimebundle_()["text/html"]):
        assert payload.folded(payload.bundle("token-counts", str(tmp_path))) in html
    text = view._esm
    assert 'register("token-counts"' in text and "font-weight: 600" in text and "function startHtml(" in text

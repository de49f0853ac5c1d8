"""The playground's Python side: what travels, once in a page, and what is refused."""

import base64
import re

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, load, tasks
from lddm_lite.widgets import Playground, base, payload

TASK = tasks.Binsaw(length=16)


@pytest.fixture(scope="module")
def playground(models):
    return Playground(models, samples=4)


def test_models_and_their_controls(playground, models):
    head = payload.unpack(playground.data)["head"]
    assert [m["name"] for m in head["models"]] == list(models)
    assert head["models"][0]["usual"] == {"token_steps": 1, "latent_steps": 7, "lead": 0.5}
    entropy = TASK.entropy()
    assert head["models"][0]["truth"] == {"entropy": entropy.value, "entropy_se": entropy.stderr}
    assert playground.plan["samples"] == 4 and playground.plan["latent_steps"] == 7
    assert repr(playground) == "Playground(Models that sample here: co-seq, mdlm, di-seq)"
    assert playground.still().startswith(b"\x89PNG")


def test_weights_travel_once_and_whole(playground, models):
    page = playground._fragment(live=False)
    found = re.findall(r'<script type="text/plain" data-lddm-weights="(\w+)">([^<]+)</script>', page)
    assert len(found) == len(models) == len(dict(found))
    for model, (key, text) in zip(models.values(), found, strict=True):
        sent = payload.unpack(base64.b64decode(text))
        assert sent["head"]["config"] == model.config.to_dict()
        assert np.array_equal(sent["denoiser.head.bias"], model.denoiser.head.bias.detach().numpy())
        assert base64.b64decode(playground.answer({"weights": key})["weights"]) == base64.b64decode(text)


def test_in_a_notebook_the_first_cell_carries_them(playground, monkeypatch):
    class Shell:
        cell = "a"

        def get_parent(self):
            return {"metadata": {"cellId": self.cell}}

    shell = Shell()
    monkeypatch.setattr(base, "_CARRIERS", {})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    def carried():
        return playground._repr_mimebundle_()["text/html"].count("data-lddm-weights=")

    assert carried() == 3
    assert carried() == 3, "the same cell, run again"
    shell.cell = "b"
    assert carried() == 0
    assert playground._fragment(live=False).count("data-lddm-weights=") == 3, "a page of its own has all"


def test_latent_planes(models):
    wide = LatentDiffusion.preset("co-joint", TASK, width=16, dim=5).eval()
    with torch.no_grad():  # one that is not blind
        for p in wide.encoder.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    sent = payload.unpack(
        Playground({"wide": wide, "two": LatentDiffusion.preset("co-seq", TASK, width=16, dim=2)}).data
    )
    about, two = sent["head"]["models"]
    z = wide.encode(TASK.sample(300, seed=17)).detach().numpy().reshape(300, -1)
    placed = (z - about["plane"]["mean"]) @ np.array(about["plane"]["axes"]).T
    assert np.allclose(placed, sent["cloud0"], atol=1e-4) and np.ptp(placed, axis=0).min() > 0.1
    assert two["plane"] is None and sent["cloud1"].shape == (300, 2) and sent["hue1"].dtype == np.float32


def test_what_is_known_of_a_model_that_ships():
    mine, other = load("binsaw-mdlm"), LatentDiffusion.preset("mdlm", tasks.Binsaw(), seed=1)
    known, unknown = (payload.unpack(Playground({"binsaw-mdlm": m}).data)["head"]["models"][0] for m in (mine, other))
    assert [row["nfe"] for row in known["measured"]] == [2, 4, 8, 16]
    assert known["limits"] == unknown["limits"] and "measured" not in unknown
    assert {row["nfe"]: round(row["excess"], 2) for row in known["limits"]["best"]}[4] == 3.79
    assert "limits" not in payload.unpack(Playground(LatentDiffusion.preset("mdlm", TASK)).data)["head"]["models"][0]


def test_refusals():
    with pytest.raises(ValueError, match="ExactDenoiser"):
        Playground(LatentDiffusion.exact(TASK))
    with pytest.raises(ValueError, match="models must be"):
        Playground({})
    with pytest.raises(ValueError, match="samples must be an integer in"):
        Playground(LatentDiffusion.preset("mdlm", TASK), samples=0)

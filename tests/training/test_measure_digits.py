"""Digits: the judge, what is measured, and what the results that ship say."""

import json

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion
from lddm_lite.training import measure_digits
from lddm_lite.training.measure_digits import SYSTEMS, Digits, measure, plans
from tests.support import ROOT


@pytest.fixture(scope="module")
def digits():
    return Digits()


def test_the_judge_reads_what_it_has_not_seen(digits):
    assert (digits.read(digits.held) == digits.classes(digits.held)).mean() > 0.95
    noise = torch.cat([digits.held[:, :1], torch.randint(2, (360, 64), generator=torch.Generator().manual_seed(0))], 1)
    assert (digits.read(noise) == digits.classes(digits.held)).mean() < 0.25
    assert (digits.half[:, 1:33] == digits.held[:, 1:33]).all() and (digits.half[:, [0, *range(33, 65)]] == 12).all()


def test_spread_is_the_share_of_pixels_that_differ(digits):
    x = digits.held[:120]
    of, pairs = digits.classes(x), []
    for k in range(10):
        p = x[of == k, 1:]
        differ = (p[:, None] != p).double().mean(-1)
        pairs.append(float(differ.sum() / (len(p) * (len(p) - 1))))
    assert digits.spread(x, of) == pytest.approx(np.mean(pairs))
    assert digits.spread(x[:1].repeat(4, 1), of[:1].repeat(4)) == 0


def test_all_spend_the_same_calls(digits):
    for name, options in SYSTEMS.items():
        model = LatentDiffusion.preset(data=digits.data, width=16, **options)
        for how in plans(model, digits, 4).values():
            assert model.sample(1, seed=0, **how).nfe <= 4, name  # a step that reveals nothing is not called


def test_a_model_that_copies_is_right(digits):
    """One that always draws unseen pictures, of the class that is asked for or the half that is given."""

    class Copy:
        latent_channel, config = LatentDiffusion.preset("di-seq", digits.data, width=16).latent_channel, None

        def sample(self, n, label=None, seed=0, **how):
            rows = digits.held if label is None else digits.held[digits.classes(digits.held) == label]
            return type("Run", (), {"tokens": rows[torch.arange(n) % len(rows)].numpy()})

        def infill(self, x, seed=0, **how):
            same = (digits.half == x[:, None]).all(-1).int().argmax(1)
            return type("Run", (), {"tokens": digits.held[same].numpy()})

    model = Copy()
    model.config = type("Config", (), {"latent": "discrete", "slots": 1})
    found = measure(model, digits, 4, n=6)
    assert all(found[k]["share"] > 0.9 and found[k]["plan"] == "3 + 1" for k in ("class", "free", "half"))


def test_the_command_writes_what_it_takes_to_repeat_it(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_digits, "SIZE", dict(width=16, blocks=1))
    words = ["--seeds", "3", "--systems", "di-seq", "--steps", "2", "-n", "2", "--calls", "2"]
    measure_digits.main([*words, "--out", str(tmp_path / "d.json")])
    found = json.loads((tmp_path / "d.json").read_text())
    (row,) = found["rows"]
    assert (row["model"], row["seed"], row["nfe"]) == ("di-seq", 3, 2) and found["command"].count("--seeds 3")
    assert {"machine", "versions", "judge", "spread", "systems", "how", "size"} <= set(found)


def test_the_notebook_says_what_the_results_say():
    found = json.loads((ROOT / "data/results/digits.json").read_text())
    rows = [row for row in found["rows"] if row["nfe"] == 4]
    assert {(row["model"], row["seed"]) for row in rows} == {(m, k) for m in ("mdlm", "di-seq") for k in (0, 1, 2)}
    said = []
    for what, name in (("free", "free"), ("class", "class"), ("half", "halves")):
        means = [np.mean([r[what]["share"] for r in rows if r["model"] == m]) for m in ("di-seq", "mdlm")]
        said.append(f"{name} {means[0]:.1%} and {means[1]:.1%}".replace("%", " %"))
    assert ", ".join(said) in (ROOT / "notebooks/source/08_your_own_data.py").read_text("utf-8")
    assert "lddm_lite.training.measure_digits" in found["command"] and "CPU cores" in found["machine"]

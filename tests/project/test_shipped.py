"""The models that ship are whole, small, documented, and as good as the README says."""

import json
import re

import pytest

from lddm_lite import load, tasks
from lddm_lite._common.checkpoint import CheckpointError
from tests.support import ROOT

FOLDERS = sorted(p for p in (ROOT / "data" / "checkpoints").iterdir() if p.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_is_whole_small_and_documented(folder):
    model = load(folder.name)
    meta = json.loads((folder / "config.json").read_text())
    most = 20_000_000 if folder.name.startswith("lm1b") else 5_000_000
    assert sum(f.stat().st_size for f in folder.iterdir()) <= most
    assert meta["history"]["rows"][-1]["step"] == meta["training"]["steps"]
    assert meta["scores"] and meta["command"].startswith("python -m lddm_lite train")
    assert not re.search(r"/(home|tmp|root|Users)/", (folder / "config.json").read_text())
    trace = model.sample(2, token_steps=2, seed=0)
    assert (trace.tokens < model.config.vocab).all() and trace.model == meta["config"]["system"]


def test_makefile_trains_what_ships():
    """`make checkpoints` gives the very options that the shipped models record."""
    makefile = (ROOT / "Makefile").read_text()
    common = re.search(r"LM1B_COMMON := (.*)", makefile)[1].split()
    for folder in FOLDERS:
        text, own = re.search(rf"\(call (LM1B_|)CHECKPOINT,{folder.name},(.*)\)", makefile).groups()
        options = own.split() + (common if text else [])
        command = json.loads((folder / "config.json").read_text())["command"].split()
        assert set(options) <= set(command), folder.name


@pytest.mark.parametrize(("name", "most"), [("binsaw-co-seq", 1.0), ("binsaw-di-seq", 1.0)])
def test_one_token_step_is_enough(name, most):
    """512 samples have a standard error of 0.24 nats, so 1.0 is four of them above the measured
    -0.2 and 0.1; the best possible masked diffusion has 44."""
    score = tasks.Binsaw().score(load(name).sample(512, token_steps=1, seed=0).tokens)
    assert score["excess"] < most
    assert score["mode_tv"] < score["mode_tv_fresh"] + 0.05


def test_unknown_name_lists_what_ships():
    with pytest.raises(CheckpointError, match="binsaw-co-seq"):
        load("no-such-model")

"""The models that ship are whole, small, documented, and as good as the README says."""

import json
import re
import runpy
import shlex
import subprocess

import pytest

from lddm_lite import load, tasks
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.cli import commands, options, train_command
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


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_a_run_with_its_recipe_would_be_the_same(folder):
    """`make checkpoints` goes by run.json, which holds what the model records of its training."""
    stored = json.loads((folder / "run.json").read_text())["options"]
    again = train_command._chosen(train_command.recipe(folder))
    of_texts = options.TEXT_ONLY if stored.get("text") is None else ()  # which say nothing of a task
    stored = {k: v for k, v in stored.items() if k not in of_texts}
    assert {k: again[k] for k in stored} == stored
    recorded = json.loads((folder / "config.json").read_text())["training"]
    assert {k: again[k] for k in recorded} == recorded


@pytest.mark.parametrize("file", sorted((ROOT / "data" / "recipes").glob("*/run.json")), ids=lambda p: p.parent.name)
def test_a_recipe_is_its_command(file):
    """Its options are those that the command line in it gives, and make a model."""
    run = json.loads(file.read_text())
    words = shlex.split(run["command"].removeprefix("python -m lddm_lite "))
    given = vars(options.build_parser(commands.COMMANDS).parse_args(words))
    assert {k: v for k, v in given.items() if k in options.defaults()} == run["options"]
    assert words[-1] == f"runs/{file.parent.name}"
    chosen = train_command._chosen(train_command.recipe(file.parent))
    assert {k: chosen[k] for k in run["options"]} == run["options"]


def test_make_trains_each_model_that_ships_once():
    words = ["make", "-n", "-o", "install", "checkpoints", "checkpoints-lm1b"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = re.findall(r"data/checkpoints/[\w-]+", said)
    assert sorted(named) == [f"data/checkpoints/{folder.name}" for folder in FOLDERS]


def test_each_model_that_ships_has_its_card():
    page = (ROOT / "data" / "checkpoints" / "README.md").read_text("utf-8")
    assert page == runpy.run_path(str(ROOT / "data" / "model_cards.py"))["page"](), "make cards"
    assert re.findall(r"^## (\S+)$", page, flags=re.M) == sorted(folder.name for folder in FOLDERS)


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

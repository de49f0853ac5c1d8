"""Data of one's own through every command: a class in a file, an array of ids, a text in any script."""

import json

import numpy as np
import pytest

from lddm_lite.cli import own_data
from lddm_lite.config import SYSTEMS
from lddm_lite.model import load
from tests.support.command_line import TINY

CHORDS = """
import torch

class Bars:
    vocab, labels = 3, ["C4", "D4", "REST"]

    def __init__(self, length=6):
        self.length = length

    def spec(self):
        return {}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return torch.randint(3, (n, self.length // 2), generator=g).repeat(1, 2)

broken = Bars(4)
broken.labels = ["C4"]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a class of one's own in my.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(CHORDS)
    return tmp_path


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_class_in_a_file_goes_through_every_command(here, run, system):
    """Train, go on, sample, fill in, evaluate, score and compare, in each of the five systems."""
    train = ["train", "--task", "my.py:Bars", "--out", "bars"]
    status, out, err = run(*train, "--system", system, "--steps", 6, *TINY)
    assert status == 0 and "evaluate bars --task my.py:Bars" in out, err
    stored = json.loads((here / "bars" / "config.json").read_text())
    assert stored["data"] == {} and stored["labels"] == ["C4", "D4", "REST"]
    status, out, err = run(*train, "--resume", "--steps", 9, "--quiet")
    assert status == 0 and "9 steps instead of 6" in out, err
    status, out, err = run("sample", "bars", "-n", 2, "--token-steps", 2, "--out", "s.jsonl", "--batch", 1)
    rows = [json.loads(line) for line in (here / "s.jsonl").read_text().splitlines()]
    assert status == 0 and len(rows) == 2 and all(row["text"] in out and len(row["tokens"]) == 6 for row in rows), err
    status, out, err = run("infill", "bars", "C4 [MASK] _ C4", "-n", 2)
    assert status == 0 and all(line.split()[0] == line.split()[3] == "C4" for line in out.splitlines()[1:]), err
    status, out, err = run("evaluate", "bars", "--task", "my.py:Bars", "-n", 8, "--token-steps", 2, "--json", "e.json")
    assert status == 0 and "bound" in json.loads((here / "e.json").read_text())["rows"][0], err
    (here / "lines.txt").write_text("C4 D4 REST C4 D4 REST\nC4 X\n")
    status, out, err = run("score", "bars", "lines.txt")
    assert status == 0 and float(out.split()[0]) > 0 and "among them X" in out, err
    status, out, err = run("compare", "bars", "--task", "my.py:Bars", "--nfe", 2, "-n", 8, "--out", "compared")
    assert status == 0 and (here / "compared" / "report.png").is_file(), err


def test_a_file_never_names_code_to_run(here, run, fails):
    """Resuming, a recipe and evaluation want the class again."""
    assert run("train", "--task", "my.py:Bars", "--out", "bars", "--steps", 2, *TINY)[0] == 0
    (here / "my.py").write_text("raise SystemExit('ran')")
    assert "give it again, --task my.py:Bars" in fails("train", "--out", "bars", "--resume")
    assert "give it again, --task my.py:Bars" in fails("train", "--recipe", "bars", "--out", "more")
    assert "give them again" in fails("evaluate", "bars")
    assert "give them again" in fails("compare", "bars", "--out", "compared")
    assert run("sample", "bars", "-n", 1)[0] == 0


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("none.py:Bars", "there is no file none.py"),
        ("my.py:Rods", "my.py has no Rods"),
        ("my.py:", "FILE.py:NAME"),
        ("no_such_module:Bars", "there is no module 'no_such_module'"),
        ("my.py:broken", "labels must hold vocab=3 words"),
        ("rods", "task must be one of"),
    ],
)
def test_a_class_that_cannot_be_used_is_named(here, fails, task, message):
    assert message in fails("train", "--task", task, "--out", "bars", *TINY) and not (here / "bars").exists()


def test_the_length_is_that_of_the_command_line(here, run, fails):
    assert own_data.load("my.py:Bars", 8).length == 8
    assert "not with --ids" in fails("train", "--ids", "x.npy", "--length", 4, "--out", "a")


def test_an_array_with_classes_is_sampled_by_class(here, run, fails):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    np.save("x.npy", (rng.random((60, 2, 4)) < 0.5) * 1)
    np.save("y.npy", y)
    (here / "names.txt").write_text("low\nmiddle\nhigh\n")
    words = ["--ids", "x.npy", "--classes", "y.npy", "--names", "names.txt", "--system", "di-seq", "--steps", 4]
    status, out, err = run("train", *words, "--out", "a", *TINY)
    assert status == 0 and "pictures of 2 x 4, 3 classes" in out and "held out: NELBO" in out, err
    model = load("a")
    assert model.data == {"shape": [2, 4], "classes": {"first": 2, "names": ["low", "middle", "high"]}}
    assert (model.sample(3, label="high").tokens[:, 0] == 4).all() and model.sample(1).meta["shape"] == [2, 4]
    status, out, err = run("sample", "a", "--label", "low", "-n", 2)
    assert status == 0 and all(line.startswith("low ") for line in out.splitlines()[1:]), err
    assert "label must be one of low middle high" in fails("sample", "a", "--label", "none")
    assert run("evaluate", "a", "--ids", "x.npy", "--classes", "y.npy", "-n", 8, "--token-steps", 1)[0] == 0
    assert "give those of the rows" in fails("evaluate", "a", "--ids", "x.npy")
    assert run("score", "a", "x.npy", "--classes", "y.npy", "--draws", 1, "--out", "s.jsonl")[0] == 0
    assert len((here / "s.jsonl").read_text().splitlines()) == 60
    assert run("train", "--out", "a", "--resume", "--quiet")[0] == 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0.5, 1.0]]), "ids must hold integers"),
        (np.array([3, 4]), "ids must have shape"),
        (np.array([[-1, 4]]), "ids must lie in 0..4"),
        (np.array([object()]), "no array of numbers"),
    ],
)
def test_arrays_that_are_no_ids(here, fails, array, message):
    np.save("x.npy", array, allow_pickle=True)
    assert message in fails("train", "--ids", "x.npy", "--out", "a", *TINY)


def test_options_go_with_their_source(here, fails):
    np.save("x.npy", np.eye(4, dtype=int))
    assert "--labels: for --ids only" in fails("train", "--task", "binsaw", "--labels", "x", "--out", "a")
    assert "--tokenizer: for --text only" in fails("train", "--ids", "x.npy", "--tokenizer", "words", "--out", "a")
    assert "--shape must be ROWSxCOLUMNS" in fails("train", "--ids", "x.npy", "--shape", "4", "--out", "a")


def test_destroyed_text_does_not_train(here, run, fails):
    """What is lost is told before training, and stops it where it is too much."""
    (here / "dna.txt").write_text("\n".join(["ACGT" * 60] * 20))
    assert "100 % of the tokens are unknown" in fails(
        "train", "--text", "dna.txt", "--tokenizer", "words", "--out", "a", *TINY
    )
    (here / "long.txt").write_text("\n".join(["one two three four five six"] * 199 + ["one"]))
    assert "199 of 200 lines are dropped" in fails("train", "--text", "long.txt", "--length", 4, "--out", "a", *TINY)
    assert not (here / "a").exists()
    words = ["train", "--text", "long.txt", "--length", 4, "--allow-losses", "--steps", 2, "--system", "mdlm"]
    status, out, err = run(*words, "--out", "a", *TINY)
    assert status == 0 and "note: 199 of 200 lines dropped (99.5 %)" in out and "no final score" in out, err
    status, out, err = run("train", "--text", "dna.txt", "--steps", 2, "--system", "mdlm", "--out", "b", *TINY)
    assert status == 0 and "note: tokenizer 'characters': no spaces, and 4 different characters" in out, err
    assert "infill b 'AC[MASK]TAC[MASK]TAC" in out

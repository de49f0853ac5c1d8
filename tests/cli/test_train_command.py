"""`train`: what it writes and says, each mistake a person can make, and a run that goes on exactly
where it stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from lddm_lite import LatentDiffusion
from lddm_lite.cli import commands, options
from lddm_lite.tasks import Binsaw
from lddm_lite.text.dataset import TextData
from tests.support import ROOT
from tests.support.command_line import LINES, TINY

# --- what it writes and says ----------------------------------------------------------------------

def test_train_writes_a_model_with_its_history_command_and_scores(saw_run):
    meta = json.loads((saw_run / "config.json").read_text())
    assert meta["command"].startswith("python -m lddm_lite train --task binsaw --length 8 --steps 12")
    assert meta["training"]["steps"] == 12 and meta["training"]["batch"] == 16
    assert meta["history"]["rows"][-1]["step"] == 12
    assert [row["nfe"] for row in meta["scores"]["frontier"]] == [17, 20]
    assert LatentDiffusion.load(saw_run).config.width == 16


def test_held_out_score_is_kept(text_run):
    assert json.loads((text_run / "config.json").read_text())["scores"]["held_out_nats_per_token"] > 0


def test_train_says_what_it_does_and_what_comes_next(run, tmp_path):
    words = ["train", "--task", "mixture", "--system", "di-seq", "--steps", 3]
    status, out, err = run(*words, "--out", tmp_path / "a", *TINY)
    assert status == 0 and err == ""
    assert "di-seq on MixtureOfProducts(" in out and "parameters, 3 steps of 16" in out and "History(step 3:" in out
    for command in ("sample", "infill", "evaluate"):
        assert f"{options.PROGRAM} {command} {tmp_path / 'a'}" in out


@pytest.mark.parametrize("system", ["fuji", "co-seq", "di-joint"])
def test_lead_and_other_fields_reach_the_model(run, tmp_path, system):
    words = ["train", "--task", "mixture", "--system", system, "--steps", 1, "--out", tmp_path / "a", *TINY]
    assert run(*words, "--lead", 0.25, "--dim", 4, "--seed", 3, "--codes", 5)[0] == 0
    config = LatentDiffusion.load(tmp_path / "a").config
    assert (config.lead, config.dim, config.codes) == (0.25, 4, 5)


def test_a_size_is_an_option_and_is_kept(tmp_path, capsys):
    words = ["train", "--task", "mixture", "--system", "di-seq", "--size", "tiny", "--blocks", "1", "--steps", "1"]
    assert commands.main([*words, "--out", str(tmp_path / "a"), "--batch", "4", "--quiet", "--threads", "1"]) == 0
    options = json.loads((tmp_path / "a" / "run.json").read_text())["options"]
    assert (options["size"], options["width"], options["blocks"], options["heads"]) == ("tiny", 128, 1, 4)
    assert LatentDiffusion.load(tmp_path / "a").config.width == 128


def test_a_recipe_is_the_options_of_another_run_but_for_those_given(run, saw_run, tmp_path):
    assert run("train", "--recipe", saw_run, "--steps", 5, "--quiet", "--out", tmp_path / "b")[0] == 0
    one, other = (json.loads((folder / "run.json").read_text())["options"] for folder in (saw_run, tmp_path / "b"))
    assert other == {**one, "steps": 5} and one["steps"] != 5


def test_a_recipe_begins_where_its_run_began(run, fails, saw_run, tmp_path, monkeypatch):
    """By the name of a model; a place that a file names is not read on its word."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saw_run, tmp_path / "begun")
    again = ("train", "--recipe", "again", "--quiet", "--out")
    assert run("train", "--recipe", saw_run, "--init-from", "begun", "--quiet", "--out", "again")[0] == 0
    assert "begins with the weights of begun" in run(*again, "c")[1]
    one, other = (LatentDiffusion.load(folder).state_dict() for folder in ("again", "c"))
    assert all(torch.equal(one[k], other[k]) for k in one)
    about = json.loads((tmp_path / "again" / "run.json").read_text())
    (tmp_path / "again" / "run.json").write_text(json.dumps({**about, "init_from": "../begun"}))
    assert "it began with the weights of ../begun; give --init-from ../begun" in fails(*again, "d")
    assert run(*again, "d", "--init-from", "begun")[0] == 0


def test_mistakes_in_a_recipe(fails, saw_run, tmp_path):
    out = ("--out", tmp_path / "b")
    assert f"--recipe: no run in {tmp_path / 'no'}" in fails("train", "--recipe", tmp_path / "no", *out)
    assert "--recipe: not with --resume" in fails("train", "--recipe", saw_run, "--resume", *out)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert "run.json is damaged" in fails("train", "--recipe", tmp_path / "bad", *out)
    (tmp_path / "bad" / "run.json").write_text(
        '{"format": "lddm-lite run", "command": "", "options": {"task": "binsaw", "steps": 0}}'
    )
    damaged = fails("train", "--recipe", tmp_path / "bad", *out)
    assert "run.json is damaged" in damaged and "steps must be an integer >= 1, got 0" in damaged
    assert not (tmp_path / "b").exists()


def test_another_run_is_not_overwritten_unasked(run, fails, tmp_path):
    words = ["train", "--task", "mixture", "--system", "mdlm", "--steps", 2, "--out", tmp_path / "a", *TINY]
    assert run(*words)[0] == 0
    before = (tmp_path / "a" / "config.json").read_bytes()
    assert "--resume" in fails(*words) and "--force" in fails(*words)
    assert "must be an integer" in fails(*words, "--force", "--steps", 0)
    assert (tmp_path / "a" / "config.json").read_bytes() == before, "a refused command changes nothing"
    assert run(*words, "--force", "--seed", 1)[0] == 0
    assert (tmp_path / "a" / "config.json").read_bytes() != before


def test_a_folder_that_is_not_ours_is_left_alone_even_with_force(fails, tmp_path):
    (tmp_path / "config.json").write_text('{"precious": 1}')
    assert "something else" in fails("train", "--task", "mixture", "--out", tmp_path, "--force", *TINY)
    file = tmp_path / "file"
    file.write_text("x")
    assert "something else" in fails("train", "--task", "mixture", "--out", file, "--force", *TINY)
    assert (tmp_path / "config.json").read_text() == '{"precious": 1}'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "what to train on"),
        (["--task", "binsaw", "--vocab", "9"], "--vocab: for --text only"),
        (["--task", "binsaw", "--limit", "0"], "limit must be an integer >= 1"),
        (["--task", "chess"], "task must be one of ['binsaw', 'mixture', 'newswire', 'parity', 'twins'], got 'chess'"),
        (["--task", "binsaw", "--text", "x.txt"], "not allowed with"),
        (["--text", "missing.txt"], "missing.txt: No such file"),
        (["--task", "binsaw", "--system", "mdml"], "system must be one of mdlm"),
        (["--task", "binsaw", "--steps", "-5"], "steps must be an integer >= 1"),
        (["--task", "binsaw", "--steps", "many"], "argument --steps: steps must be an integer >= 1, got 'many'"),
        (["--task", "binsaw", "--lead", "0.7"], "lead must be a number in"),
        (["--task", "binsaw", "--width", "30"], "width must be a multiple"),
        (["--task", "binsaw", "--length", "1"], "length must be"),
        (["--task", "binsaw", "--seed", "-1"], "seed must be"),
        (["--task", "binsaw", "--threads", "0"], "--threads: threads must be an integer >= 1, got 0"),
        (["--task", "binsaw", "--lenght", "8"], "unrecognized arguments: --lenght"),
        (["--resume"], "no run in"),
    ],
)
def test_mistakes_in_train(fails, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("train", "--out", "a", *words)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here there is a GPU")
def test_a_gpu_that_is_not_there(fails, tmp_path):
    assert "no CUDA device" in fails("train", "--task", "binsaw", "--out", tmp_path / "a", "--device", "cuda")


def test_a_loss_that_explodes_is_one_line_and_keeps_the_last_good_weights(fails, tmp_path):
    out = tmp_path / "a"
    words = ["train", "--task", "mixture", "--system", "mdlm", "--lr", "1e30", "--clip", "1e30"]
    assert "stopped, the weights of step" in fails(*words, "--out", out, *TINY)
    assert all(torch.isfinite(p).all() for p in LatentDiffusion.load(out).parameters())


# --- a dry run ------------------------------------------------------------------------------------

DRY = ["train", "--task", "mixture", "--system", "di-seq", "--dry-run", *TINY]


def test_a_dry_run_prints_and_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (DRY, [*DRY, "--out", "a"]):
        status, out, _ = run(*words)
        assert status == 0
        for part in ("parameters   ", "memory       ", "per step     256 tokens", "time         ", "activations"):
            assert out.count(part) == 1, out
    assert list(tmp_path.iterdir()) == []


def test_mistakes_in_a_dry_run(fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--dry-run: not with --resume" in fails(*DRY, "--resume")
    assert "Give --out DIR" in fails("train", "--task", "mixture", *TINY)
    assert "multiple of accumulate=3" in fails(*DRY, "--accumulate", 3)


# --- stopping and going on ------------------------------------------------------------------------

def _stop_after(monkeypatch, cls, batches):
    """Ctrl-C while the given batch is drawn. Counts batches of 16, the size of training here."""
    draw, count = cls.sample, [0]

    def sample(self, n, seed=0):
        count[0] += n == 16 and isinstance(seed, torch.Generator)
        if count[0] == batches:
            count[0] += 1
            signal.raise_signal(signal.SIGINT)
        return draw(self, n, seed)

    monkeypatch.setattr(cls, "sample", sample)


@pytest.mark.parametrize("kind", ["task", "text"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(run, tmp_path, monkeypatch, text_file, kind):
    data = ["--task", "binsaw", "--length", 8] if kind == "task" else ["--text", text_file, "--vocab", 90]
    words = ["train", *data, "--steps", 16, "--seed", 5, *TINY]
    assert run(*words, "--out", tmp_path / "whole")[0] == 0
    with monkeypatch.context() as m:
        _stop_after(m, Binsaw if kind == "task" else TextData, 9)
        status, out, err = run(*words, "--out", tmp_path / "parts")
    assert status == 130 and err == ""
    assert "Stopped after step 9" in out
    assert f"{options.PROGRAM} train --out {tmp_path / 'parts'} --resume" in out
    LatentDiffusion.load(tmp_path / "parts").sample(2)  # usable as it is
    status, out, _ = run("train", "--out", tmp_path / "parts", "--resume", "--quiet")
    assert status == 0 and "History(step 16:" in out
    one, two = (LatentDiffusion.load(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[k], two[k]) for k in one)
    commands = [json.loads((tmp_path / name / "config.json").read_text())["command"] for name in ("whole", "parts")]
    assert commands[0].replace("whole", "parts") == commands[1]


def test_a_run_in_pieces_by_the_clock(run, tmp_path):
    words = ["train", "--task", "binsaw", "--length", 8, "--system", "mdlm", "--steps", 3, *TINY]
    assert run(*words, "--out", tmp_path / "whole")[0] == 0
    status, out, _ = run(*words, "--out", tmp_path / "parts", "--minutes", 1e-9)
    assert status == 130 and "Stopped after step 1;" in out
    again = ["train", "--out", tmp_path / "parts", "--resume", "--quiet", "--minutes", 1e-9]
    assert [run(*again)[0] for _ in range(2)] == [130, 0]
    one, two = (LatentDiffusion.load(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_resume_refuses_other_options_another_text_and_a_damaged_run(run, fails, tmp_path, monkeypatch):
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES * 5))
    out, quiet = tmp_path / "a", ["--quiet", "--threads", 1]
    with monkeypatch.context() as m:
        _stop_after(m, TextData, 3)
        assert run("train", "--text", file, "--vocab", 90, "--steps", 8, "--out", out, *TINY)[0] == 130
    assert "--lr, --width not as in the run" in fails("train", "--out", out, "--resume", "--lr", 1, "--width", 32)
    file.write_text("\n".join(["another text ."] * 5))
    assert "has the text changed?" in fails("train", "--out", out, "--resume", *quiet)
    moved = tmp_path / "moved.txt"
    moved.write_text("\n".join(LINES * 5))
    assert run("train", "--out", out, "--resume", "--text", moved, "--steps", 8, *quiet)[0] == 0
    (out / "run.json").write_text("{")
    assert "run.json is damaged" in fails("train", "--out", out, "--resume")


def test_a_run_killed_before_it_saved_starts_again(run, tmp_path):
    words = ["train", "--task", "mixture", "--system", "mdlm", "--steps", 2, *TINY]
    assert run(*words, "--out", tmp_path / "a")[0] == 0
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_bytes((tmp_path / "a" / "run.json").read_bytes())
    assert run("train", "--out", tmp_path / "b", "--resume", "--quiet")[0] == 0
    one, two = (LatentDiffusion.load(tmp_path / name).state_dict() for name in "ab")
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    out = tmp_path / "a"
    command = [sys.executable, "-m", "lddm_lite", "train", "--task", "binsaw", "--length", "8", "--out", str(out)]
    command += [*TINY, "--steps", "100000", "--save-every", "5", "--threads", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        patience = time.monotonic() + 60
        while not (out / "config.json").exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "--resume" in printed and "Traceback" not in errors
    assert LatentDiffusion.load(out).sample(1).nfe

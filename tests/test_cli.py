"""The command line: each command, each mistake a person can make, and a run that goes on exactly where it stopped."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lddm_lite
from lddm_lite import LatentDiffusion, Trace, cli, options, tasks
from lddm_lite.config import Config
from lddm_lite.tasks import Binsaw
from lddm_lite.text import TextData
from lddm_lite.trainconfig import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
TINY = "--width 16 --blocks 1 --encoder-blocks 1 --batch 16 --warmup 2 --quiet".split()
LINES = ["the bank rose .", "the yen fell on friday .", "rain fell in paris , he said ."]


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(capsys):
    """Run a command: (exit status, stdout, stderr)."""

    def go(*words):
        try:
            status = cli.main([str(w) for w in words])
        except SystemExit as e:
            status = e.code or 0
        done = capsys.readouterr()
        return status, done.out, done.err

    return go


@pytest.fixture
def fails(run):
    """Run a command that must say `error: ...` in one line and exit with 2; returns that line."""

    def go(*words):
        status, out, err = run(*words)
        assert status == 2, out
        assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err, err
        return err

    return go


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("\n".join(LINES * 10), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def saw_run(tmp_path_factory):
    """A trained co-seq on Binsaw of 8 bits."""
    out = tmp_path_factory.mktemp("runs") / "saw"
    words = ["train", "--task", "binsaw", "--length", "8", "--steps", "12", "--out", str(out), *TINY]
    assert cli.main(words) == 0
    return out


@pytest.fixture(scope="module")
def text_run(tmp_path_factory, text_file):
    """A trained mdlm on text."""
    out = tmp_path_factory.mktemp("runs") / "text"
    words = ["train", "--text", str(text_file), "--system", "mdlm", "--steps", "12", "--out", str(out)]
    assert cli.main([*words, "--length", "12", "--vocab", "90", "--holdout", "0.2", *TINY]) == 0
    return out


# --- help --------------------------------------------------------------------------------------------------

def test_every_field_of_both_configurations_is_an_option_with_help(run):
    status, out, _ = run("train", "--help")
    assert status == 0
    for cls in (Config, TrainConfig):
        for field in dataclasses.fields(cls):
            if cls is Config and field.name in options.FOLLOWS:
                continue
            assert re.search(rf"--{field.name.replace('_', '-')}[ ,]", out), field.name
            assert options.HELP.get(field.name), f"options.HELP lacks {field.name}"
    assert not set(options.HELP) - {f.name for c in (Config, TrainConfig) for f in dataclasses.fields(c)}


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_teaches_by_example(run, command):
    status, out, _ = run(*[command] * bool(command), "--help")
    assert status == 0 and f"{options.PROGRAM} {command or 'train'}" in out
    assert "(default: " in out or command in (None, "doctor")


def test_no_command_prints_the_commands(run):
    status, out, _ = run()
    assert status == 0 and all(name in out for name in cli.COMMANDS)


def test_examples_in_help_and_readme_are_accepted():
    parser = options.build_parser(cli.COMMANDS)
    pages = [*options.EPILOGS.values(), (ROOT / "README.md").read_text()]
    lines = re.findall(r"python -m lddm_lite (\w[^`\n]*)", "\n".join(pages))
    commands = [shlex.split(line.rstrip(". "), comments=True) for line in lines]
    assert len(commands) > 12
    for words in commands:
        if "--help" not in words:
            parser.parse_args(words)


def test_the_tasks_of_the_help_are_those_of_the_library():
    words = ["train", "--out", "x", "--task"]
    for name in tasks.TASKS:
        assert options.build_parser(cli.COMMANDS).parse_args([*words, name]).task == name


# --- train -------------------------------------------------------------------------------------------------

def test_train_writes_a_model_with_its_history_command_and_scores(saw_run):
    meta = json.loads((saw_run / "config.json").read_text())
    assert meta["command"].startswith("python -m lddm_lite train --task binsaw --length 8 --steps 12")
    assert meta["training"]["steps"] == 12 and meta["training"]["batch"] == 16
    assert meta["history"]["rows"][-1]["step"] == 12
    assert [row["nfe"] for row in meta["scores"]["frontier"]] == [17, 20]
    assert LatentDiffusion.load(saw_run).config.width == 16


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
        (["--task", "chess"], "invalid choice: 'chess'"),
        (["--task", "binsaw", "--text", "x.txt"], "not allowed with"),
        (["--text", "missing.txt"], "missing.txt: No such file"),
        (["--task", "binsaw", "--system", "mdml"], "system must be one of mdlm"),
        (["--task", "binsaw", "--steps", "-5"], "steps must be an integer >= 1"),
        (["--task", "binsaw", "--steps", "many"], "invalid int value"),
        (["--task", "binsaw", "--lead", "0.7"], "lead must be a number in"),
        (["--task", "binsaw", "--width", "30"], "width must be a multiple"),
        (["--task", "binsaw", "--length", "1"], "length must be"),
        (["--task", "binsaw", "--seed", "-1"], "seed must be"),
        (["--task", "binsaw", "--threads", "0"], "--threads must be"),
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


def test_debugging_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("LDDM_DEBUG", "1")
    with pytest.raises(ValueError, match="what to train on"):
        cli.main(["train", "--out", str(tmp_path / "a")])


# --- stopping and going on ---------------------------------------------------------------------------------

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


# --- sample -------------------------------------------------------------------------------------------------

def test_sample_prints_sequences_and_always_the_nfe(run, saw_run):
    status, out, _ = run("sample", saw_run, "-n", 3, "--token-steps", "1,4", "--latent-steps", 2, "--seed", 7)
    lines = out.splitlines()
    assert status == 0 and lines[0] == "# co-seq: NFE 3, 1 token step, lead 0.5, seed 7"
    assert lines[4] == "# co-seq: NFE 6, 4 token steps, lead 0.5, seed 7"
    assert all(len(s) == 8 and set(s) <= set("01") for s in lines[1:4] + lines[5:])
    assert run("sample", saw_run, "-n", 3, "--token-steps", "1,4", "--latent-steps", 2, "--seed", 7)[1] == out
    assert "NFE 4, 4 token steps, lead 0," in run("sample", saw_run, "--token-steps", 4, "--lead", 0)[1]


def test_sample_saves_its_trace(run, fails, saw_run, tmp_path):
    file = tmp_path / "run.json"
    out = run("sample", saw_run, "-n", 2, "--trace", file, "--eta", 0, "--temperature", 0.5)[1]
    trace = Trace.load(file)
    assert [trace.text(i) for i in range(2)] == out.splitlines()[1:3] and trace.nfe == 24
    assert "--trace saves one run" in fails("sample", saw_run, "--trace", file, "--token-steps", "1,2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--token-steps", "0"], "step budgets are positive integers"),
        (["--token-steps", "1,x"], "step budgets are positive integers"),
        (["-n", "0"], "n must be an integer >= 1"),
        (["--latent-steps", "0"], "latent_steps must be >= 1"),
        (["--lead", "0.9"], "lead must be"),
        (["--temperature", "0"], "temperature must be > 0"),
        (["--eta", "2"], "eta must be"),
        (["--seed", "-1"], "seed must be"),
    ],
)
def test_mistakes_in_sample(fails, saw_run, words, message):
    assert message in fails("sample", saw_run, *words)


def test_models_that_are_not_there(fails, tmp_path):
    assert "no checkpoint 'nothing-here'" in fails("sample", "nothing-here")
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    assert "pickle" in fails("sample", tmp_path / "model.pt")
    assert "config.json is missing" in fails("evaluate", tmp_path)


def test_shipped_checkpoints_are_found_by_name(run):
    shipped = ROOT / "data" / "checkpoints"
    names = [p.name for p in shipped.glob("*") if (p / "config.json").is_file()]
    for name in names[:1]:
        assert run("sample", name, "-n", 1, "--token-steps", 1)[0] == 0


# --- infill --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern", ["01__10", "01[MASK][MASK]10", "0 1 _ _ 1 0 _ _"])
def test_infill_bits(run, saw_run, pattern):
    status, out, _ = run("infill", saw_run, pattern, "-n", 5)
    head, *rows = out.splitlines()
    assert status == 0 and "NFE 20, 4 token steps" in head, "no more token steps than masks"
    assert len(rows) == 5 and all(len(r) == 8 and r[:2] == "01" and r[4:6] == "10" for r in rows)


def test_infill_text(run, text_run):
    status, out, _ = run("infill", text_run, "The [MASK] fell on [MASK] .", "-n", 3, "--token-steps", 2)
    head, *rows = out.splitlines()
    assert status == 0 and "NFE 2," in head and len(rows) == 3
    assert all(r.startswith("the") and "fell on" in r and r.endswith(".") for r in rows)


def test_infill_newswire(run, tmp_path):
    assert run("train", "--task", "newswire", "--system", "mdlm", "--steps", 1, "--out", tmp_path / "a", *TINY)[0] == 0
    _, out, _ = run("infill", tmp_path / "a", "the [MASK] rose by two metres in [MASK] on friday , [MASK] said .")
    assert all("rose by two metres in" in row for row in out.splitlines()[1:])


def test_mistakes_in_infill(fails, saw_run, text_run):
    assert "nothing to fill in" in fails("infill", saw_run, "01010101")
    assert "among them 2 x" in fails("infill", saw_run, "01_2x")
    assert "at most 8 of the symbols 0 1 _; got 9" in fails("infill", saw_run, "_" * 9)
    assert "text must have 1 to 12 tokens, got 13" in fails("infill", text_run, "[MASK] " * 13)
    assert "the following arguments are required: PATTERN" in fails("infill", text_run)


# --- evaluate -------------------------------------------------------------------------------------------------

def test_evaluate_stands_beside_the_exact_limit(run, saw_run, tmp_path):
    file = tmp_path / "scores.json"
    status, out, _ = run("evaluate", saw_run, "--token-steps", "1,2,64", "-n", 64, "--latent-steps", 2, "--json", file)
    assert status == 0
    rows = [" ".join(line.split()[:4]) for line in out.splitlines() if line.startswith(("co-seq  ", "exact"))]
    assert rows == ["co-seq 1 2 3", "co-seq 2 2 4", "exact 1 0 1", "exact 2 0 2"]
    for word in ("excess nats", "mode TV (fresh)", "NELBO", "entropy of the task", "spread", "encoder"):
        assert word in out
    report = json.loads(file.read_text())
    assert [r["nfe"] for r in report["rows"]] == [3, 4, 1, 2] and report["n"] == 64
    assert report["nelbo"]["total"]["value"] > report["entropy"]["value"]
    assert set(report["health"]) == {"z_response", "spread", "cosine", "one_step"}
    status, out, _ = run("evaluate", saw_run, "--token-steps", "1,2", "-n", 64, "--latent-steps", 2, "--json", "-")
    again = json.loads(out)  # nothing else is printed
    assert [r["excess"] for r in again["rows"]] == [r["excess"] for r in report["rows"]]


def test_evaluate_without_the_exact_limit(run, saw_run):
    out = run("evaluate", saw_run, "--token-steps", 1, "-n", 16, "--no-exact")[1]
    assert "\nexact" not in out and "entropy of the task" in out


def test_evaluate_text_needs_text(run, fails, text_run, text_file, saw_run):
    out = run("evaluate", text_run, "--text", text_file, "--token-steps", "1,4", "-n", 16)[1]
    assert "bound, nats/token" in out and "token entropy (data)" in out and "nats/token)" in out
    assert "exact" not in out
    assert "give held-out sentences with --text" in fails("evaluate", text_run)
    assert "not on text" in fails("evaluate", saw_run, "--text", text_file)
    assert "token_steps must hold a budget of at most" in fails("evaluate", saw_run, "--token-steps", 9)
    assert "n must be" in fails("evaluate", saw_run, "-n", 0)


def test_held_out_score_is_kept(text_run):
    assert json.loads((text_run / "config.json").read_text())["scores"]["held_out_nats_per_token"] > 0


# --- doctor and the bare machine ------------------------------------------------------------------------------

def test_doctor_works_where_torch_does_not_and_others_say_so():
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "numpy", "safetensors", "tokenizers"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Blocked())
from lddm_lite.__main__ import main
print("statuses", main(["doctor"]), main(["sample", "x"]))
print("statuses", main(["--help"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "python" in done.stdout and "No module named 'torch'; `python -m lddm_lite doctor`" in done.stderr
    assert done.stdout.count("statuses") >= 1 and "train" in done.stdout


def test_doctor_through_the_parser(run):
    assert lddm_lite.__version__ and "torch" in run("doctor")[1]

"""`sample`, `infill`, `evaluate`, `data` and `doctor`: each command, and each mistake a person can
make."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lddm_lite
from lddm_lite import Trace
from lddm_lite.cli import commands
from tests.support import ROOT
from tests.support.archive_server import archive, hurry, sentence, serving
from tests.support.command_line import TINY

# --- sample ---------------------------------------------------------------------------------------

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


def test_sample_in_bf16(run, saw_run, tmp_path):
    """The same noise through a coarser network: latents that are nearly the same, and not the same."""
    latents = {}
    for kind in ("float32", "bf16"):
        assert run("sample", saw_run, "-n", 2, "--precision", kind, "--eta", 0, "--trace", tmp_path / kind)[0] == 0
        latents[kind] = Trace.load(tmp_path / kind).latents[-1]
    apart = abs(latents["bf16"] - latents["float32"]).max() / abs(latents["float32"]).max()
    assert 0 < apart < 0.1, "a bfloat16 has 8 bits: 0.4 % per number, over 16 steps"


def test_sample_continues_a_prompt(run, saved):
    words = ["sample", saved / "text-seq", "-n", 3, "--token-steps", 2, "--prompt", "the bank"]
    status, out, _ = run(*words, "--order", "confidence", "--top-p", 0.5)
    head, *rows = out.splitlines()
    assert status == 0 and head.startswith("# co-seq: NFE 18")
    assert all(row.startswith("the bank") for row in rows) and len(rows) == 3


def test_sample_takes_a_latent_temperature_and_an_order(run, saved):
    assert run("sample", saved / "saw", "-n", 2, "--latent-temperature", 0.5, "--order", "even")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--token-steps", "0"], "token_steps must be an integer >= 1, got 0"),
        (["--token-steps", "1,x"], "token_steps must be an integer >= 1, got 'x'"),
        (["-n", "0"], "n must be an integer >= 1"),
        (["--latent-steps", "0"], "latent_steps must be >= 1"),
        (["--lead", "0.9"], "lead must be"),
        (["--temperature", "-1"], "temperature must be a number in [0.0, inf), got -1.0"),
        (["--eta", "2"], "eta must be"),
        (["--seed", "-1"], "seed must be"),
    ],
)
def test_mistakes_in_sample(fails, saw_run, words, message):
    assert message in fails("sample", saw_run, *words)


def test_a_prompt_is_for_models_of_text(fails, saved):
    assert "not of text" in fails("sample", saved / "saw", "--prompt", "01")


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


# --- infill ---------------------------------------------------------------------------------------

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


def test_mistakes_in_infill(fails, saw_run, text_run, saved):
    assert "nothing to fill in" in fails("infill", saw_run, "01010101")
    assert "among them 2 x" in fails("infill", saw_run, "01_2x")
    assert "at most 8 of the symbols 0 1, with _ for a gap; got 9" in fails("infill", saw_run, "_" * 9)
    assert "text must have 1 to 12 tokens, got 13" in fails("infill", text_run, "[MASK] " * 13)
    assert "the following arguments are required: PATTERN" in fails("infill", text_run)
    assert "top_p must be" in fails("infill", saved / "text-seq", "the [MASK] rose", "--top-p", 2)


# --- evaluate -------------------------------------------------------------------------------------

def test_evaluate_stands_beside_the_exact_limit(run, saw_run, tmp_path):
    file = tmp_path / "scores.json"
    status, out, _ = run("evaluate", saw_run, "--token-steps", "1,2,64", "-n", 64, "--latent-steps", 2, "--json", file)
    assert status == 0
    rows = [" ".join(line.split()[:4]) for line in out.splitlines() if line.startswith(("co-seq  ", "exact"))]
    assert rows == ["co-seq 1 2 3", "co-seq 2 2 4", "exact 1 0 1", "exact 2 0 2"]
    for word in ("excess nats", "mode TV (fresh)", "NELBO", "entropy of the task", "spread", "correlation left"):
        assert word in out
    report = json.loads(file.read_text())
    assert [r["nfe"] for r in report["rows"]] == [3, 4, 1, 2] and report["n"] == 64
    assert report["nelbo"]["total"]["value"] > report["entropy"]["value"]
    assert {"z_response", "spread", "costs", "excess", "left", "law_loses"} <= set(report["health"])
    status, out, _ = run("evaluate", saw_run, "--token-steps", "1,2", "-n", 64, "--latent-steps", 2, "--json", "-")
    again = json.loads(out)  # nothing else is printed
    assert [r["excess"] for r in again["rows"]] == [r["excess"] for r in report["rows"]]


def test_evaluate_without_the_exact_limit(run, saw_run):
    out = run("evaluate", saw_run, "--token-steps", 1, "-n", 16, "--no-exact")[1]
    assert "\nexact" not in out and "entropy of the task" in out


def test_evaluate_on_a_text(run, text_run, text_file):
    out = run("evaluate", text_run, "--text", text_file, "--token-steps", "1,4", "-n", 16)[1]
    assert "bound, nats/token" in out and "entropy, nats (data)" in out and "nats/token)" in out
    assert "exact" not in out


def test_mistakes_in_evaluate(fails, text_run, text_file, saw_run):
    assert "give held-out sentences with --text" in fails("evaluate", text_run)
    assert "not on text" in fails("evaluate", saw_run, "--text", text_file)
    assert "token_steps must hold a number of at most" in fails("evaluate", saw_run, "--token-steps", 9)
    assert "n must be" in fails("evaluate", saw_run, "-n", 0)


# --- data -----------------------------------------------------------------------------------------

@pytest.fixture
def server(tmp_path, monkeypatch):
    hurry(monkeypatch)
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    with serving(archive()) as server:
        yield server


@pytest.mark.parametrize(("split", "quiet"), [("train", []), ("heldout", ["--quiet"])])
def test_data_prints_the_path_and_nothing_else(server, capfd, split, quiet):
    words = ["data", "lm1b", "--sentences", "20", "--split", split, "--url", server.url, *quiet]
    assert commands.main(words) == 0
    out, err = capfd.readouterr()
    lines = Path(out.rstrip("\n")).read_text(encoding="utf-8").splitlines()
    assert lines == [sentence(i, split) for i in range(20)]
    assert (err == "") if quiet else ("20" in err and "train --text" in err)


def test_mistakes_in_data(server, fails):
    server.plan = ["404"]
    assert fails("data", "lm1b", "--url", server.url, "--quiet").startswith("error: could not download")
    assert "sentences must be" in fails("data", "lm1b", "--sentences", 0, "--quiet")


# --- doctor and the bare machine ------------------------------------------------------------------

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


def test_debugging_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("LDDM_DEBUG", "1")
    with pytest.raises(ValueError, match="what to train on"):
        commands.main(["train", "--out", str(tmp_path / "a")])

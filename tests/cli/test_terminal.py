"""What is printed arrives: in any encoding, into closed pipes, full disks, no terminal, 20 columns."""

import os
import subprocess
import sys

import pytest

from lddm_lite._common import checkpoint
from tests.support import ROOT

QUICK = "--task binsaw --length 8 --system mdlm --width 16 --blocks 1 --heads 2 --steps 2 --batch 4".split()


def shell(line, tmp_path, **env):
    """Run a line of bash in which $L is the command line: (status, output, errors)."""
    base = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8", "COLUMNS")}
    env = {**base, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "L": f"{sys.executable} -m lddm_lite", **env}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, env=env, timeout=240)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_encoding(encoding, tmp_path):
    status, out, errors = shell(f"$L train {' '.join(QUICK)} --out a --quiet", tmp_path, PYTHONIOENCODING=encoding)
    assert status == 0 and b"Saved in a" in out and (encoding != "ascii" or b"+-" in out), errors
    assert checkpoint.read(tmp_path / "a")[1]["scores"]["frontier"]
    line = "$L infill newswire-mdlm 'the [MASK] \u00e9\u4eca .'"
    status, out, errors = shell(line, tmp_path, PYTHONIOENCODING=encoding)
    assert status == 2 and "Traceback" not in errors and errors.startswith("error: ")


def test_streams_that_are_closed_full_or_broken(tmp_path):
    train = f"$L train {' '.join(QUICK)}"
    cases = {
        "a": f"{train} --out a >&-", "b": f"{train} --out b >&- 2>&- <&-", "c": f"{train} --out c >/dev/full",
        "d": f"{train} --out d | true; exit ${{PIPESTATUS[0]}}", "e": f"{train} --out e 2>/dev/full >/dev/null",
    }  # fmt: skip
    for name, line in cases.items():
        status, _, errors = shell(line, tmp_path)
        assert status == 0 and "Traceback" not in errors, (line, errors)
        assert checkpoint.read(tmp_path / name)[1]["scores"], "the work was done, and kept"
    status, _, errors = shell("$L sample a >/dev/full", tmp_path)
    assert status == 2 and errors == "error: the output: No space left on device\n"
    for line in ("$L sample a >&-", "$L sample a | true; exit ${PIPESTATUS[0]}", "$L sample a 2>&-"):
        status, _, errors = shell(line, tmp_path)
        assert status == 0 and "Traceback" not in errors and "Exception" not in errors, (line, errors)


@pytest.mark.parametrize("columns", ["20", "x"])
def test_narrow_terminals(columns, tmp_path):
    for command in ("--help", "train --help", "sample --help"):
        status, out, errors = shell(f"$L {command}", tmp_path, COLUMNS=columns)
        assert status == 0 and b"usage" in out, errors


# every command that prints, on a model whose symbols no small encoding has, and on one of words
MODELS = """
import numpy as np, lddm_lite as ld
rows = np.array([[0, 1, 1, 0], [1, 1, 0, 0]] * 8)
data = ld.from_arrays(rows, labels=["é", "今"], classes=[0, 1] * 8, names=["é", "💥"])
ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1, heads=2).save("m")
task = ld.tasks.Binsaw(length=4)
ld.LatentDiffusion.preset("co-seq", task, encoder_blocks=1, width=16, blocks=1, heads=2).save("saw")
np.save("rows.npy", rows); np.save("classes.npy", [0, 1] * 8)
open("lines.txt", "w", encoding="utf-8").write("é今今é\\nx\\n")
"""
COMMANDS = [
    "sample m -n 2 --token-steps 1 --label 💥 --out s.jsonl", "infill m '今 _ 今 é é' -n 1 --token-steps 1",
    "score m rows.npy --classes classes.npy --draws 1", "score m rows.npy --classes classes.npy --out s.jsonl",
    "evaluate m --ids rows.npy --classes classes.npy -n 4 --token-steps 1", "sample saw -n 2 --trace t.json",
    "evaluate saw -n 4 --token-steps 1", "compare saw --out c -n 4 --nfe 2", "doctor python",
    "train --ids rows.npy --steps 2 --batch 4 --width 16 --blocks 1 --heads 2 --system mdlm --out r{k} --quiet",
    "train --ids rows.npy --steps 2 --batch 4 --width 16 --blocks 1 --heads 2 --system mdlm --dry-run",
]  # fmt: skip
REFUSED = ["score m lines.txt", "sample m --label ü", "infill m ü", "evaluate m", "data lm1b --url file:///é --cache c"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", MODELS], cwd=place, check=True, env=env)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_command_in_any_encoding_and_in_20_columns(encoding, models):
    for k, words in enumerate(COMMANDS):
        line = f"$L {words.format(k=f'{encoding}{k}')}"
        status, out, errors = shell(line, models, PYTHONIOENCODING=encoding, COLUMNS="20", TERM="dumb")
        assert status == 0 and "Traceback" not in errors, (line, errors)
        out.decode(encoding)
    for words in REFUSED:
        status, out, errors = shell(f"$L {words}", models, PYTHONIOENCODING=encoding, COLUMNS="20")
        assert status == 2 and errors.startswith("error: ") and "Traceback" not in errors, (words, errors)


@pytest.mark.slow
def test_every_command_with_streams_that_are_closed_full_or_broken(models):
    for k, words in enumerate(COMMANDS):
        hows = (">&-", ">&- 2>&- <&-", "2>/dev/full", "2>&-", "| true; exit ${PIPESTATUS[0]}", ">/dev/full")
        for n, how in enumerate(hows):
            name = f"b{k}x{n}"  # a run of its own each time
            status, _, errors = shell(f"$L {words.format(k=name)} {how}", models)
            full = how == ">/dev/full" and "--out r" not in words  # training goes on, whoever reads
            assert status in ((0, 2) if full else (0,)), (words, how, errors)
            assert "Traceback" not in errors and "Exception" not in errors, (words, how, errors)


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["1", "20", "0", "-3", "99999"])
def test_the_help_of_every_command(columns, tmp_path):
    for command in ("data", "train", "sample", "infill", "evaluate", "score", "compare", "doctor"):
        status, out, errors = shell(f"$L {command} --help", tmp_path, COLUMNS=columns, PYTHONIOENCODING="ascii")
        assert status == 0 and b"usage" in out and "Traceback" not in errors, (command, errors)

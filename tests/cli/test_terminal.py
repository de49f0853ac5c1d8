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

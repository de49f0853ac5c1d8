"""What pip installs from a wheel, or from the repository's address, finds the checkpoints that ship and
runs the first notebook's first cells."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile

import pytest

from lddm_lite.networks import shipped
from tests.support import ROOT

INCLUDED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "force-include"
]


def test_all_small_checkpoints_are_in_the_wheel():
    there = {p.parent.name for p in (ROOT / "data" / "checkpoints").glob("*/config.json")}
    small = there - set(shipped.ELSEWHERE)
    assert {f"data/checkpoints/{name}": f"lddm_lite/checkpoints/{name}" for name in small} == INCLUDED


def run(command, where, **env):
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
import matplotlib; matplotlib.use("Agg")
import lddm_lite as ld
assert {place!r} in ld.__file__, ld.__file__
names = ["binsaw-mdlm", "binsaw-co-joint", "binsaw-co-seq", "binsaw-di-joint", "binsaw-di-seq", "newswire-mdlm",
         "newswire-co", "newswire-di-seq"]
for name in names:
    print(name, ld.load(name).sample(1, 2).tokens.shape)
try:
    ld.load("lm1b-mdlm")
except ValueError as e:
    print(e)
cells = [c for c in json.load(open({notebook!r}))["cells"] if c["cell_type"] == "code"]
shell = InteractiveShell.instance()
for cell in cells[:{count}]:
    shell.run_cell("".join(cell["source"])).raise_error()
print("cells run")
"""


@pytest.mark.slow
def test_a_wheel_in_a_fresh_environment_runs_the_first_cells(tmp_path):
    """The environment has pip's own copy of the library, and the other packages of this one."""
    built = subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(ROOT)],
                           capture_output=True, text=True)  # fmt: skip
    if built.returncode and ("hatchling" in built.stderr or "No matching distribution" in built.stderr):
        pytest.skip("hatchling is not installed here, and no index to fetch it from")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as z:
        names = z.namelist()
    assert sum(name.endswith("config.json") for name in names) == len(INCLUDED)
    assert not [n for n in names if n.startswith(("tests", "notebooks", "data"))]
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], tmp_path)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).strip()
    with zipfile.ZipFile(wheel) as z:  # a pure wheel is installed by unpacking it
        z.extractall(site)
    with open(os.path.join(site, "others.pth"), "w") as f:
        f.write(sysconfig.get_path("purelib") + "\n")
    code = CELLS.format(place=str(tmp_path / "env"), notebook=str(ROOT / "notebooks" / "00_start_here.ipynb"), count=5)
    env = {"PYTHONPATH": "", "LDDM_FAST": "1", "OMP_NUM_THREADS": "1"}
    out = run([python, "-c", code], tmp_path, **env)
    assert "binsaw-co-seq (1, 128)" in out and "there is no address yet" in out and "cells run" in out
    assert json.dumps(out)  # text all through

"""One list of dependencies and one set of commands, told the same way everywhere; and a light
import."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lddm_lite as ld
from lddm_lite.course import selfcheck
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
# What `import lddm_lite` must do without. Pictures and widgets may import theirs; nothing may
# import those.
OPTIONAL = ("matplotlib", "seaborn", "transformers", "umap", "ipywidgets", "anywidget", "jupyterlab",
            "tokenizers", "accelerate", "IPython", "sklearn", "numba", "pandas")
MAY_IMPORT_OPTIONAL = r"lddm_lite\.(plots|widgets|__main__)\b"


def pins(name: str) -> dict[str, str]:
    """Canonical name → version, for a file of ``name==version`` lines and comments."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    pairs = [line.split("==") for line in lines if line]
    found = {canonicalize_name(package): version for package, version in pairs}
    assert len(found) == len(pairs), f"{name} names a package twice"
    return found


def python(code: str, **env: str) -> str:
    """What ``code`` prints in an interpreter of its own, started in the repository."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **env})
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the lists agree ------------------------------------------------------------------------------

@pytest.mark.parametrize("requirement", DIRECT, ids=lambda r: r.name)
def test_every_dependency_has_both_bounds_and_both_files_keep_them(requirement):
    operators = {s.operator: s.version for s in requirement.specifier}
    assert set(operators) == {">=", "<"}, "a lower bound that was tested, an upper one below the next major"
    name = canonicalize_name(requirement.name)
    assert requirement.specifier.contains(pins("constraints.txt")[name])
    assert pins("constraints-min.txt")[name] == operators[">="], "the lower bound is what is tested"


def test_constraints_fit_a_machine_without_a_gpu():
    for name in ("constraints.txt", "constraints-min.txt"):
        assert not [p for p in pins(name) if re.match(r"nvidia-|cuda-|triton", p)], name
        assert "+" not in pins(name)["torch"], "each machine takes the build that it needs"


def test_minimal_constraints_pin_direct_dependencies_only():
    assert set(pins("constraints-min.txt")) == {canonicalize_name(r.name) for r in DIRECT}


def test_environment_yml_leaves_the_list_to_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    assert environment["channels"] == ["conda-forge"]
    *conda, last = environment["dependencies"]
    interpreter, pip = map(Requirement, conda)
    assert (interpreter.name, pip.name) == ("python", "pip") and not pip.specifier
    assert interpreter.specifier == SpecifierSet(PROJECT["requires-python"])
    assert last == {"pip": ["-c constraints.txt", "-e .[dev]"]}


def test_the_version_is_told_once():
    assert python("import lddm_lite; print(lddm_lite.__version__)").strip() == PROJECT["version"]


# --- the commands exist ---------------------------------------------------------------------------

def make(*arguments: str) -> subprocess.CompletedProcess:
    # Without what an outer `make test` hands down, which would be obeyed here.
    outer = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "VENV", "CONSTRAINTS", "PYTHON", "TESTS")
    env = {k: v for k, v in os.environ.items() if k not in outer}
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=env)


def test_readme_names_only_commands_that_exist():
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, flags=re.M))
    assert {"lab", "test"} <= named <= set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))


def test_every_target_is_phony_and_help_lists_it():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.M))
    assert set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.M)[1].split()) == targets
    assert set(re.findall(r"^  make ([a-z0-9-]+) ", make().stdout, flags=re.M)) == targets - {"quick"}


def test_make_refuses_a_python_that_is_too_old(tmp_path):
    old = tmp_path / "python3.8"  # this interpreter, made to say that it is older
    lie = "import runpy, sys; sys.version_info = (3, 8, 0); runpy.run_module('lddm_lite', run_name='__main__')"
    # after -m lddm_lite
    old.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -c "{lie}" "$@"\n')
    old.chmod(0o755)
    done = make("install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0 and not (tmp_path / "venv").exists()
    assert "needs >=3.11,<3.15" in done.stderr and "PYTHON=python3.11" in done.stderr


def test_ci_runs_the_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test\b", script.read_text(), flags=re.M)


# --- the import is light --------------------------------------------------------------------------

def test_import_costs_at_most_half_a_second_beyond_torch():
    # CPU time, so that other work on the machine does not count.
    code = "import time, torch; t = time.process_time(); import lddm_lite; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(3)) <= 0.5


def test_import_leaves_the_optional_packages_alone():
    code = f"import json, sys, lddm_lite; print(json.dumps(sorted(set({OPTIONAL}) & set(sys.modules))))"
    assert json.loads(python(code)) == []


def test_modules_import_without_optional_packages_network_or_gpu():
    code = f"""
import importlib, pkgutil, re, socket, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL}:
            raise ImportError(name + " is blocked")

def refuse(*args, **kwargs):
    raise OSError("no network here")

sys.meta_path.insert(0, Blocked())
socket.socket.connect = socket.getaddrinfo = refuse
import lddm_lite
for module in pkgutil.walk_packages(lddm_lite.__path__, "lddm_lite.", onerror=lambda name: None):
    if not re.match(r"{MAY_IMPORT_OPTIONAL}", module.name):
        importlib.import_module(module.name)
        print(module.name)
"""
    imported = python(code, CUDA_VISIBLE_DEVICES="").split()
    assert "lddm_lite.cli.doctor" in imported


def test_no_name_of_the_front_is_hidden_by_a_module():
    """Importing a submodule binds it to its name in the package: a function so named would work
    only once."""
    assert ld.selfcheck is selfcheck and ld.selfcheck is selfcheck
    functions = set(ld._PLACE)
    assert not functions & {m.name for m in pkgutil.iter_modules(ld.__path__)}

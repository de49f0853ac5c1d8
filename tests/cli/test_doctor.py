"""The doctor finds what is missing, says what mends it, and is right about pyproject.toml."""

import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from lddm_lite.cli import doctor
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def find(name: str) -> doctor.Check:
    return next(check for check in doctor.report() if check.name == name)


@pytest.fixture
def versions(monkeypatch):
    """A dict that overrides what is installed: name → version, or None for 'not installed'."""
    pretended, real = {}, metadata.version

    def version(name):
        if pretended.get(name, "") is None:
            raise metadata.PackageNotFoundError(name)
        return pretended.get(name) or real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    return pretended


@pytest.fixture
def bounds(monkeypatch):
    """The bounds of pyproject.toml, whether or not the library is installed where the test runs."""
    wanted = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    monkeypatch.setattr(doctor, "_bounds", lambda: wanted)


def test_all_is_well_here(capsys):
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "All is well." in printed
    for name in ("python", "device", "cache", "notebooks", "checkpoints"):
        assert f" {name} " in printed


def test_missing_required_package_fails_and_says_what_mends_it(versions, bounds, capsys):
    versions["safetensors"] = None
    assert doctor.main() == 1
    printed = capsys.readouterr().out
    assert "MISSING  safetensors" in printed
    mend = printed.split("To mend:")[1].strip()
    assert "-m pip install -c" in mend
    assert "'safetensors<1,>=0.5'" in mend, "quoted, so that a shell does not take < and > for itself"


def test_missing_optional_package_is_no_failure(versions, bounds, capsys):
    versions["umap-learn"] = None
    assert doctor.main() == 0
    printed = capsys.readouterr().out
    assert "missing  umap-learn" in printed and "umap-learn<1" in printed.split("To mend:")[1]


def test_much_missing_is_mended_by_one_command(versions, bounds, capsys):
    versions["numpy"] = versions["umap-learn"] = None
    assert doctor.main() == 1
    mends = capsys.readouterr().out.split("To mend:")[1].strip().splitlines()
    assert len(mends) == 3 and mends[0].startswith("make install")


def test_missing_torch_leaves_the_rest_of_the_report(versions):
    versions["torch"] = None
    names = [check.name for check in doctor.report()]
    assert "device" not in names and names[-1] == "checkpoints"


@pytest.mark.parametrize(("name", "failed"), [("numpy", True), ("matplotlib", False)])
def test_version_out_of_bounds_is_wrong(versions, bounds, name, failed):
    versions[name] = "1.0"
    check = find(name)
    assert check.state == "wrong" and check.failed is failed and "1.0, but" in check.detail and check.mend


def test_local_version_of_torch_is_in_bounds(versions, bounds):
    versions["torch"] = "2.13.0+cpu"
    assert find("torch").state == "ok"


def test_old_python_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 1))
    assert find("python").failed and "PYTHON=" in find("python").mend


def test_torch_that_does_not_import_is_reported(monkeypatch):
    # what `import torch` then raises is an ImportError
    monkeypatch.setitem(sys.modules, "torch", None)
    assert find("device").failed


def test_cpu_build_beside_a_gpu_is_pointed_out(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert find("device").state == "note" and "CPU build" in find("device").detail


def test_outside_a_clone_the_folders_are_only_a_note(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    assert find("notebooks").state == find("checkpoints").state == "note"
    assert "-c" not in find("torch").mend


def test_the_cache_and_its_free_space_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "own"))
    detail = find("cache").detail
    assert str(tmp_path / "own") in detail and "GB free" in detail


def test_the_packages_are_those_of_pyproject():
    wanted = {Requirement(line).name for line in PROJECT["dependencies"]}
    dev = {Requirement(line).name for line in PROJECT["optional-dependencies"]["dev"]}
    asked = {name for name, _, _ in doctor.PACKAGES}
    assert wanted <= asked <= wanted | dev
    low, below = (".".join(map(str, version)) for version in (doctor.LOWEST, doctor.BELOW))
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={low},<{below}")


def test_only_torch_is_imported():
    heavy = {name.removesuffix("-learn") for name, required, _ in doctor.PACKAGES if not required}
    code = f"import sys; from lddm_lite.cli import doctor; doctor.report(); print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

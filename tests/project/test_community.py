"""What people and services look for at the top level: citation, contributing, Binder, workflows."""

import re
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def read(name):
    return (ROOT / name).read_text("utf-8")


def test_the_citation_is_of_this_version_and_of_the_paper():
    found = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    assert (found["version"], found["license"]) == (PROJECT["version"], PROJECT["license"])
    (paper,) = found["references"]
    assert paper["url"] == "https://arxiv.org/abs/2510.18114" and len(paper["authors"]) == 3


def test_the_workflow_tries_each_python_that_is_promised():
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    tried = jobs["quick"]["strategy"]["matrix"]
    promised = SpecifierSet(PROJECT["requires-python"])
    assert tried["python"] == [f"3.{k}" for k in range(8, 30) if promised.contains(f"3.{k}")]
    assert {name.split("-")[0] for name in tried["os"]} == {"ubuntu", "macos", "windows"}
    assert any(".ci/run" in step.get("run", "") for step in jobs["whole"]["steps"])


def test_the_site_is_published_as_make_builds_it():
    found = yaml.safe_load(read(".github/workflows/pages.yml"))
    build, deploy = found["jobs"]["build"], found["jobs"]["deploy"]
    (command,) = (step["run"] for step in build["steps"] if "run" in step)
    words = [word for word in command.split()[1:] if "=" not in word]
    assert words == ["slides", "site"] and all(f"\n{word}: " in read("Makefile") for word in words)
    (folder,) = (step["with"]["path"] for step in build["steps"] if "pages-artifact" in step.get("uses", ""))
    assert folder == "build/site" and deploy["needs"] == "build"
    assert found["permissions"] == {"contents": "read"}, "only the last job may write, and only pages"
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}


def test_binder_installs_what_the_project_pins():
    lines = read(".binder/requirements.txt").splitlines()
    (constraints,) = (line.split()[1] for line in lines if line.startswith("-c"))
    assert (ROOT / ".binder" / constraints).resolve() == ROOT / "constraints.txt" and "-e ." in lines
    python = read(".binder/runtime.txt").strip().removeprefix("python-")
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


def test_what_the_statement_on_accessibility_names_is_there():
    rows = [line for line in read("ACCESSIBILITY.md").splitlines() if "`tests/" in line]
    for row in rows:
        folder = re.search(r"`(tests/\w+/)", row)[1]
        for name in re.findall(r"`([\w/]+\.py)`", row):
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name
    assert len(rows) == 7 and "](ACCESSIBILITY.md)" in read("README.md")


def test_what_contributing_names_is_there():
    text, make = read("CONTRIBUTING.md"), read("Makefile")
    for line in text.splitlines():
        if line.startswith("make "):
            assert f"\n{line.split()[1]}: " in make, line
    for place in ("tests/project/test_extending.py", "notebooks/METHOD.md", ".ci/run", "data/results"):
        assert place in text and (ROOT / place).exists()

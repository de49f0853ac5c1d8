"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import lddm_lite

# what a module may need beyond the rest; then its examples are skipped
OPTIONAL = ("transformers", "umap", "sklearn")
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(lddm_lite.__path__, "lddm_lite.") if not m.name.endswith("__main__")
)


def load(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name.split(".")[0] in OPTIONAL:
            pytest.skip(f"{name} needs {e.name}")
        raise


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whatever an example writes
    options = torch._tensor_str.PRINT_OPTS
    before = vars(options).copy()
    torch.set_printoptions(profile="default")
    try:
        failed, _ = doctest.testmod(load(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    finally:
        vars(options).update(before)
    assert not failed, "the report is above"


def test_the_core_has_examples():
    core = ("diffusion.channels", "diffusion.paths", "networks.encoders", "model", "training.loop", "tasks.binsaw")
    for name in core:
        found = doctest.DocTestFinder(exclude_empty=True).find(load(f"lddm_lite.{name}"))
        assert any(test.examples for test in found), name

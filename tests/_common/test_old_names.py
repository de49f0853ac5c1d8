"""Old names lead to the new ones, and warn."""

import importlib
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import lddm_lite as ld
from lddm_lite import tasks
from lddm_lite._common import old_names

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def asked(get):
    """What `get()` returns, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = get()
    return value, [str(w.message) for w in caught if w.category is DeprecationWarning]


@pytest.mark.parametrize("old", sorted(old_names.MODULES))
def test_an_old_module_has_what_the_new_one_shows(old):
    moved = importlib.import_module(f"lddm_lite.{old}")
    new = importlib.import_module(f"lddm_lite.{old_names.MODULES[old].split()[0]}")
    for name in set(new.__all__) - {n.rpartition(".")[2] for n in old_names.NAMES.values()}:
        value, said = asked(lambda name=name: getattr(moved, name))
        assert value is getattr(new, name) and len(said) == 1 and new.__name__ in said[0]
    with pytest.raises(AttributeError, match=f"now {old_names.MODULES[old]}, has no attribute 'colour'"):
        moved.colour  # noqa: B018


@pytest.mark.parametrize(("old", "new"), sorted(old_names.NAMES.items()))
def test_a_name_that_is_another_word_now(old, new):
    module, _, name = old.rpartition(".")
    value, said = asked(lambda: getattr(importlib.import_module(f"lddm_lite.{module}"), name))
    place, _, word = new.rpartition(".")
    assert value is getattr(importlib.import_module(f"lddm_lite.{place}"), word)
    assert said == [f"lddm_lite.{old} is now lddm_lite.{new}; the old name goes with the next release"]


def test_names_of_the_package_itself():
    value, said = asked(lambda: ld.budget)
    assert value is ld.course.shrunk and "lddm_lite.budget is now lddm_lite.course.shrunk" in said[0]
    assert asked(lambda: ld.evaluate.frontier)[0] is ld.evaluation.frontier
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        ld.colour  # noqa: B018


def test_from_an_old_module():
    def get():
        from lddm_lite.channels import GaussianChannel

        return GaussianChannel

    value, said = asked(get)
    assert value is ld.GaussianChannel and "lddm_lite.diffusion.channels.GaussianChannel" in said[0]


def test_the_channels_of_a_model():
    model = ld.LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8))
    for old, new in (("tokens", "token_channel"), ("latents", "latent_channel")):
        value, said = asked(lambda old=old: getattr(model, old))
        assert value is getattr(model, new)
        assert said == [f"LatentDiffusion.{old} is now {new}; the old name goes with the next release"]


def test_the_warning_points_at_who_asked():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ld.budget  # noqa: B018
        importlib.import_module("lddm_lite.decode").walk  # noqa: B018
        ld.LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)).tokens  # noqa: B018
    assert {w.filename for w in caught} == {__file__}


def test_an_old_command_runs_the_new_one():
    words = [sys.executable, "-m", "lddm_lite.speed", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "--token-steps" in done.stdout and "is now lddm_lite.training.speed" in done.stderr


def test_other_modules_are_still_missing():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lddm_lite.nonsense")


def test_the_changelog_names_every_old_module():
    table = CHANGELOG.read_text("utf-8").partition("| old | new |")[2]
    words = set(re.findall(r"\w+", " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))))
    assert set(old_names.MODULES) - words == set()
    assert {name.partition(".")[2] for name in old_names.NAMES} - words == set()

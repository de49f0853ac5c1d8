"""The repository's address is told in one place, and README, citation and notebooks agree with it."""

import shutil

import nbformat
import pytest
import yaml

from tests.support import ROOT
from tests.support.notebooks import address, build

OURS, THEIRS = "https://github.com/somebody/lddm-lite", "https://github.com/else-1/x.y"


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "notebooks/solutions").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "CITATION.cff", "notebooks/00_start_here.ipynb",
                 "notebooks/solutions/00_start_here.ipynb"):  # fmt: skip
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def everything(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_here_they_agree():
    told = build.repository()
    for path, text in address.wanted(ROOT, told).items():
        assert path.read_text("utf-8") == text, f"make address: {path.name}"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(readme.count(mark) == 1 for mark in address.MARKS)
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = [c.source for c in nbformat.read(path, 4).cells if "colab" in build.tags(c)]
        assert cells == [build.colab(told)], f"make address: {path.name}"


def test_one_address_reaches_all(copy):
    address.told(copy, OURS)
    address.agree(copy)
    assert build.repository(copy) == OURS
    readme = (copy / "README.md").read_text("utf-8")
    assert "colab.research.google.com/github/somebody/lddm-lite/blob/main/notebooks/00_start_here.ipynb)" in readme
    assert "mybinder.org/v2/gh/somebody/lddm-lite/HEAD?labpath=notebooks/00_start_here.ipynb)" in readme
    assert yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))["repository-code"] == OURS
    for path in copy.rglob("*.ipynb"):
        (cell,) = (c.source for c in nbformat.read(path, 4).cells if "colab" in build.tags(c))
        assert f'os.environ.get("LDDM_REPOSITORY") or "{OURS}"' in cell and "input(" not in cell
    first = everything(copy)
    address.agree(copy)
    assert everything(copy) == first
    address.told(copy, THEIRS)
    address.agree(copy)
    assert not any(OURS.encode() in text for text in everything(copy).values())


def test_without_an_address_nothing_changes(copy):
    before = everything(copy)
    if not build.repository(copy):
        address.agree(copy)
        assert everything(copy) == before


@pytest.mark.parametrize("given", ["", "github.com/a/b", "http://github.com/a/b", "https://github.com/a",
                                   "https://github.com/a/b/", "https://github.com/a/b.git", "https://gitlab.com/a/b",
                                   "https://github.com/a/b\nx"])  # fmt: skip
def test_other_addresses_are_refused(copy, given):
    before = everything(copy)
    with pytest.raises(ValueError, match="REPOSITORY must be like https://github.com/OWNER/NAME"):
        address.told(copy, given)
    assert everything(copy) == before

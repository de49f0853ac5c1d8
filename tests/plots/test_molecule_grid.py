"""Molecules in a grid: structures drawn, strings that are none written out."""

import pytest

from lddm_lite import LatentDiffusion, plots
from lddm_lite.text import molecules


@pytest.fixture(autouse=True)
def chemistry():
    pytest.importorskip("rdkit", reason=f"needs {molecules.INSTALL}")


def test_molecules_are_drawn_and_others_written():
    ax = plots.molecules(["CCO", "C1CC", "c1ccccc1", ""], columns=3, title="four")
    assert len(ax.images) == 2 and [t.get_text() for t in ax.texts] == ["C1CC", "nothing"]
    assert len(ax.lines) == 4 and ax.get_xlim() == (0, 3) and ax.get_ylim() == (2, 0)
    assert float(ax.images[0].get_array().min()) < 0.5  # ink, not an empty picture


def test_a_trace_is_taken_as_it_is():
    data = molecules.from_smiles(["CCO", "CC"], length=4)
    trace = LatentDiffusion.preset("mdlm", data, width=16).sample(3, 2)
    ax = plots.molecules(trace)
    assert len(ax.images) + len(ax.texts) == 3


def test_markup_stays_text():
    assert plots.molecules(["$x_1$<b>"]).texts[0].get_text() == "$x_1$<b>"

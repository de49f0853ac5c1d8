"""Molecules in the widgets: outlines that hold nothing else, and what a page gets to know of them."""

import sys

import numpy as np
import pytest

from lddm_lite import LatentDiffusion
from lddm_lite.evaluation import molecule_scores
from lddm_lite.text import molecules
from lddm_lite.widgets import LatentDiagnosis, Scrubber
from lddm_lite.widgets.drawings import MOST, drawn, outlines
from lddm_lite.widgets.payload import unpack
from lddm_lite.widgets.scrubber_data import go_on

STRINGS = ["CCO", "C1CC1", "CC(=O)N", "CNCF", "C#N", "C1CC", "CC(C)(C)(C)C"]
DATA = molecules.from_smiles(STRINGS, length=12)


@pytest.fixture
def chemistry():
    pytest.importorskip("rdkit", reason=f"needs {molecules.INSTALL}")


@pytest.fixture
def trace():
    """Sequences that are known, as if a model had drawn them."""
    trace = LatentDiffusion.preset("mdlm", DATA, width=16).sample(len(STRINGS), token_steps=3, seed=0)
    trace.tokens[:] = DATA.rows
    return trace


def test_of_an_svg_only_the_places_of_its_paths_are_left():
    svg = """<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script>
    <path d="M 1,2&#10;L 3,4" onclick="x()" style="fill:none;stroke:#0000FF;stroke-width:2.5px"/>
    <path d="M 0,0 Z" fill="#FF0000"/><path d="javascript:alert(3)" fill="#FF0000"/>
    <path d="M 5,5 L 6,6" style="fill:none;stroke:url(#evil)"/><text>4</text></svg>"""
    assert outlines(svg) == [["M 1,2 L 3,4", "n", 2.5], ["M 0,0 Z", "o", 0], ["M 5,5 L 6,6", "c", 2]]
    with pytest.raises(ValueError, match="svg must be an SVG text"):
        outlines("<svg>")


def test_structures_of_molecules_and_reasons_of_what_is_none(chemistry):
    found = drawn([*STRINGS, "", "CCO", "C[MASK]", "C[UNK]"])
    assert list(found) == STRINGS
    assert found["CC(C)(C)(C)C"] == {"why": "atom 1, C, has more bonds than it can bear"}
    assert found["C1CC"] == {"why": "its rings, brackets or bonds do not match"}
    assert len(found["C1CC1"]["lines"]) == 6, "three bonds, three corners"
    assert {atom for _, atom, _ in found["CNCF"]["lines"]} == {"c", "n", "f"}
    assert sum("lines" in v for v in drawn(STRINGS, most=2).values()) == 2
    many = ["C" * n for n in range(1, 2 * MOST)]
    assert sum("lines" in v for v in drawn(many).values()) == MOST == 24


def test_without_rdkit_the_strings_are_left(monkeypatch, trace):
    molecule_scores._chem.cache_clear()
    monkeypatch.setitem(sys.modules, "rdkit", None)
    view = unpack(Scrubber(trace).data)["head"]["runs"][0]["view"]
    assert view["kind"] == "molecule" and view["drawings"] == {}


def test_a_run_of_molecules_brings_its_structures(chemistry, trace):
    head = unpack(Scrubber([trace, trace]).data)["head"]
    assert all(run["view"]["kind"] == "molecule" for run in head["runs"])
    drawings = head["runs"][0]["view"]["drawings"]
    assert list(drawings) == STRINGS and sum("lines" in v for v in drawings.values()) <= MOST // 2


def test_a_branch_is_drawn_by_the_kernel(chemistry):
    """Whatever an untrained model makes of the gap is drawn or has a reason."""
    model = LatentDiffusion.preset("mdlm", DATA, width=16)
    trace = model.sample(2, token_steps=2, seed=0)
    start = trace.tokens[0].tolist()
    start[0] = model.config.vocab
    free = 1
    plan = {"first": 0, "seed": 0, "start": [start], "free": [free], "rows": [0], "latents": None}
    reply = go_on(trace, model, plan)
    string = "".join(model.labels[v] for v in reply["tokens"][0] if v != model.config.pad_id)
    assert "[UNK]" in string and reply["drawings"] == {} or list(reply["drawings"]) == [string]


def test_a_diagnosis_of_molecules_draws_the_real_ones(chemistry):
    model = LatentDiffusion.preset("di-seq", DATA, width=16, slots=1, codes=4)
    view = unpack(LatentDiagnosis(model, DATA, n=4, examples=2).data)["head"]["view"]
    assert set(STRINGS[:5]) & set(view["drawings"]) and sum("lines" in v for v in view["drawings"].values()) <= MOST


def test_outlines_stay_inside_their_picture(chemistry):
    numbers = []
    for path, _, _ in drawn(["CC(=O)NC1CC1F"])["CC(=O)NC1CC1F"]["lines"]:
        numbers += [float(v) for v in path.replace(",", " ").split() if v.replace(".", "").replace("-", "").isdigit()]
    x, y = np.array(numbers).reshape(-1, 2).T
    assert 0 <= x.min() < x.max() <= 160 and 0 <= y.min() < y.max() <= 120

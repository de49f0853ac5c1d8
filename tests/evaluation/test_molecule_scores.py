"""What is said of molecules, against molecules that are known by heart."""

import sys

import pytest

from lddm_lite import LatentDiffusion
from lddm_lite.evaluation import few_steps, molecule_scores, search_schedule
from lddm_lite.text import molecules


def test_without_rdkit_the_command_is_named(monkeypatch):
    molecule_scores._chem.cache_clear()
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ImportError, match="judged by rdkit, not installed here:  make molecules"):
        molecule_scores.canonical(["C"])


@pytest.fixture(autouse=True)
def chemistry(request):
    if "without" not in request.node.name:
        pytest.importorskip("rdkit", reason=f"needs {molecules.INSTALL}")


def test_valid_unique_and_novel_count_molecules_not_strings():
    found = molecule_scores.molecule_scores(["CCO", "OCC", "C(C", "CC", "C=C=C=C(C)(C)(C)C", ""], known={"CC"})
    assert found == {"valid": 3 / 6, "unique": 2 / 3, "novel": 1 / 2}
    assert molecule_scores.molecule_scores(["C("]) == {"valid": 0.0, "unique": 0.0}


def test_properties_and_scaffolds():
    found = molecule_scores.properties(["O", "c1ccccc1", "C("])
    assert found["weight"] == pytest.approx([18.015, 78.114]) and found["rings"] == [0, 1]
    assert 0 < found["qed"][1] < 1 and found["log_p"][1] == pytest.approx(1.687, abs=1e-3)
    assert molecule_scores.scaffolds(["Cc1ccccc1", "CCc1ccccc1", "CCO"]) == {"c1ccccc1": 2, "": 1}


def test_a_drawing_holds_nothing_but_a_picture():
    svg = molecule_scores.drawing("CC(=O)Oc1ccccc1")
    assert svg.startswith("<svg") and svg.endswith("</svg>") and "script" not in svg and "#000000" not in svg
    assert molecule_scores.drawing("<script>alert(1)</script>") == molecule_scores.drawing("C(") == ""


def test_samples_are_scored_and_schedules_chosen_by_what_is_valid():
    data = molecules.from_smiles(["CCO", "CCC", "CC(C)O", "C1CC1O"] * 50, length=8)
    model = LatentDiffusion.preset("di-seq", data, slots=1, codes=4, width=16, encoder="mixture")
    assert few_steps.score_samples(data, data.rows[:4].long())["valid"] == 1.0
    assert search_schedule.best_schedule(model, data, 3, n=8).knots()[0].t_z == 1


@pytest.mark.parametrize(
    ("string", "why"),
    [("CCO", ""), ("C1CC", "do not match"), ("", "do not match"), ("FClC", "atom 1, Cl, has more bonds"),
     ("c1cccc1", "single and double bonds")],
)  # fmt: skip
def test_why_a_string_is_no_molecule(string, why):
    found = molecule_scores.problem(string)
    assert why in found and bool(why) == bool(found)

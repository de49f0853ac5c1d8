"""The grammar of molecules: what can be seen without chemistry."""

import importlib.util
import re

import pytest

from lddm_lite.text import molecules, smiles


def cut(string):
    return re.findall(molecules.SYMBOL, string)


@pytest.mark.parametrize(
    "string", ["C", "C1CC1", "CC(=O)O", "c1cc[nH]c1", "C%10CC%10", "N#CC1(C)CC12CC2", "COCC1=COC(C)1", "[O-]C.C"]
)
def test_a_good_string_has_no_faults(string):
    assert smiles.faults(cut(string)) == {}


@pytest.mark.parametrize(
    ("string", "wrong"),
    [
        ("C1CC", {1: "ring 1 is opened and not closed"}),
        ("C1CC1C1", {6: "ring 1 is opened and not closed"}),
        ("C(CC(C)", {1: "( is not closed"}),
        ("C11CC", {2: "ring 1 is closed where it begins"}),
        ("CC1C1", {4: "ring 1 is closed where a bond is"}),
        ("CN1C2CC1C1(O)C12", {14: "ring 1 is closed where a bond is"}),
        ("CC12CCC3CCC3C12", {14: "ring 2 is closed where a bond is"}),
        ("C2CC(=2)", {6: "2 cannot follow ="}),
        ("CC)C", {2: ") closes nothing"}),
        ("=C", {0: "= cannot follow the beginning"}),
        ("CC=", {3: "the end cannot follow ="}),
        ("C(1)C", {2: "1 cannot follow (", 3: None}),
        ("", {0: "the end cannot follow the beginning"}),
    ],
)
def test_a_fault_is_found_at_its_place(string, wrong):
    found = smiles.faults(cut(string))
    wrong = {at: text for at, text in wrong.items() if text}
    assert {at: found.get(at) for at in wrong} == wrong


def test_what_a_mask_may_yet_mend_is_no_fault():
    assert smiles.faults(["C", "1", "C", "[MASK]"]) == {}
    assert smiles.faults(["C", "=", "(", "[MASK]"]) == {2: "( cannot follow ="}


@pytest.mark.skipif(importlib.util.find_spec("rdkit") is None, reason=f"needs {molecules.INSTALL}")
def test_whatever_rdkit_reads_has_no_faults():
    """Random strings of a few symbols: nothing that is a molecule may be complained of."""
    import numpy as np

    from lddm_lite.evaluation.molecule_scores import canonical

    rng = np.random.default_rng(0)
    kinds, share = ["C", "(", ")", "1", "2", "=", "."], [0.55, 0.1, 0.1, 0.1, 0.04, 0.08, 0.03]
    strings = ["".join(rng.choice(kinds, p=share, size=rng.integers(5, 9))) for _ in range(6000)]
    good = [s for s, known in zip(strings, canonical(strings), strict=True) if known]
    assert len(good) > 200 and [s for s in good if smiles.faults(cut(s))] == []
    bad = [s for s, known in zip(strings, canonical(strings), strict=True) if not known]
    assert sum(bool(smiles.faults(cut(s))) for s in bad) > 0.9 * len(bad), "most faults are of grammar"

"""Metrics of generated molecules, by `rdkit`, which `make molecules` installs: validity,
uniqueness, novelty, properties and scaffolds.

The Fréchet distance of the field (FCD) is left out: its network comes as a pickle, which could run
any code.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from .._common import arguments, schemas
from ..text.molecules import COLLECTIONS, molecule
from ..text.molecules import chemistry as _chem
from ..text.molecules import strings as strings_of

__all__ = [
    "PROPERTIES", "canonical", "drawing", "known_molecules", "molecule_scores", "problem", "properties", "scaffolds",
]  # fmt: skip

PROPERTIES = ("weight", "log_p", "qed", "rings")


def canonical(strings: Sequence[str]) -> list[str | None]:
    """Canonical SMILES: the one spelling of each molecule, or None for a string that is none, or
    empty. ImportError without rdkit.

    >>> canonical(["OCC", "C1CC"])  # doctest: +SKIP
    ['CCO', None]
    """
    return [None if (m := molecule(s)) is None else _chem().MolToSmiles(m) for s in strings]


def molecule_scores(strings: Sequence[str], known: Collection[str] | None = None) -> dict[str, float]:
    """Scores of molecules: `valid`, the share of strings that are one; `unique`, the share of
    different ones among these; and, with the canonical strings `known` from training, `novel`, the
    share of the different ones that are not among them. ImportError without rdkit.

    >>> molecule_scores(["CCO", "OCC", "C(C", "CC"], known={"CC"})  # doctest: +SKIP
    {'valid': 0.75, 'unique': 0.6666666666666666, 'novel': 0.5}
    """
    strings = arguments.texts("strings", strings, blank=True)
    valid = [s for s in canonical(strings) if s is not None]
    different = set(valid)
    out = {"valid": len(valid) / len(strings), "unique": len(different) / max(1, len(valid))}
    if known is not None:
        out["novel"] = sum(s not in known for s in different) / max(1, len(different))
    return out


@schemas.checked(name=schemas.choice(*COLLECTIONS))
def known_molecules(name: str) -> frozenset[str]:
    """The canonical strings of a collection's training part, by which a molecule is novel or not;
    MOSES is written in these. ImportError where the collection or rdkit is not installed.

    >>> "CCO" in known_molecules("qm9")  # doctest: +SKIP
    True
    """
    return _known(name)


@functools.lru_cache(maxsize=2)
def _known(name: str) -> frozenset[str]:
    found = strings_of(name)[0]
    return frozenset(found if name == "moses" else (s for s in canonical(found) if s is not None))


def properties(strings: Sequence[str]) -> dict[str, list[float]]:
    """Properties of the valid ones among molecules, for histograms: `weight` in daltons; `log_p`,
    how much it prefers fat to water (Crippen); `qed`, likeness to drugs in 0..1; number of `rings`.

    >>> properties(["CCO"])["weight"]  # doctest: +SKIP
    [46.069]
    """
    _chem()
    from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors

    how: dict[str, Any] = dict(zip(PROPERTIES, (
        Descriptors.MolWt, Crippen.MolLogP, QED.qed, rdMolDescriptors.CalcNumRings), strict=True))  # fmt: skip
    found = [m for s in strings if (m := molecule(s)) is not None]
    return {name: [float(f(m)) for m in found] for name, f in how.items()}


def scaffolds(strings: Sequence[str]) -> Counter[str]:
    """Scaffold counts: how often each occurs among the valid molecules: rings and what links them
    (Bemis & Murcko 1996); "" where there is no ring.

    >>> scaffolds(["Cc1ccccc1", "CCO"])  # doctest: +SKIP
    Counter({'c1ccccc1': 1, '': 1})
    """
    _chem()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return Counter(MurckoScaffold.MurckoScaffoldSmiles(smiles=s) for s in canonical(strings) if s is not None)


def drawing(string: str, width: int = 160, height: int = 120) -> str:
    """A molecule as a picture, SVG text of that many pixels; of a string that is none, "". What it
    shows is drawn by rdkit from its own atoms, so that no part of the string gets into the page.

    >>> drawing("CCO").startswith("<svg")  # doctest: +SKIP
    True
    """
    _chem()
    from rdkit.Chem.Draw import rdMolDraw2D

    arguments.integer("width", width, minimum=16)
    arguments.integer("height", height, minimum=16)
    found = molecule(string)
    if found is None:
        return ""
    pen = rdMolDraw2D.MolDraw2DSVG(width, height)
    pen.drawOptions().clearBackground = False
    pen.drawOptions().fixedBondLength = 32  # pixels at most: small molecules are not drawn larger than others
    pen.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(found))
    pen.FinishDrawing()
    svg = pen.GetDrawingText()
    return svg[svg.index("<svg") :].replace("#000000", "currentColor").strip()  # dark pages show it, too


def problem(string: str) -> str:
    """Why a string is no molecule, in words; "" for one that is. ImportError without rdkit.

    >>> problem("CO(C)C"), problem("CCO")  # doctest: +SKIP
    ('atom 1, O, has more bonds than it can bear', '')
    """
    chem = _chem()
    written = chem.MolFromSmiles(string, sanitize=False) if string else None
    if written is None or not written.GetNumAtoms():
        return "its rings, brackets or bonds do not match"
    found = chem.DetectChemistryProblems(written)
    if not found:
        return ""
    if found[0].GetType() == "AtomValenceException":
        atom = written.GetAtomWithIdx(found[0].GetAtomIdx())
        return f"atom {atom.GetIdx()}, {atom.GetSymbol()}, has more bonds than it can bear"
    if "Kekulize" in found[0].GetType():
        return "its aromatic rings cannot be written with single and double bonds"
    return "its atoms do not fit together"

"""Molecules drawn for a page: what rdkit draws, taken apart into outlines, which can hold no script.

A page makes paths of them, each of a class that its style knows, so that nothing of an SVG text is
ever read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from .._common import arguments, schemas
from ..evaluation import molecule_scores

__all__ = ["MOST", "SIZE", "drawn", "outlines"]

MOST = 24  # structures that a widget holds, so that a notebook stays small
SIZE = (160, 120)  # pixels that they are drawn for
ATOMS = {"#0000FF": "n", "#FF0000": "o", "#33CCCC": "f", "#CCCC00": "s", "#00CC00": "cl"}  # rdkit's colours
ATOMS |= {"#7F4C19": "br", "#A01EEF": "i"}
PLACES = re.compile(r"[MLHVCSQTAZmlhvcsqtaz\d.,eE\s+-]*")


@schemas.checked(most=schemas.whole(0))
def drawn(strings: Iterable[str], most: int = MOST) -> dict[str, dict]:
    """Structures of molecules, by their strings: `lines`, as of `outlines`, of the first `most`
    different ones; and of a string that is none, `why`, in words. {} where rdkit is not installed.

    >>> drawn(["C(C)(C)(C)(C)C"])  # doctest: +SKIP
    {'C(C)(C)(C)(C)C': {'why': 'atom 1, C, has more bonds than it can bear'}}
    """
    out: dict[str, dict] = {}
    for string in arguments.texts("strings", list(strings), blank=True):
        if not string or string in out or "[UNK]" in string or "[MASK]" in string:
            continue
        try:
            why = molecule_scores.problem(string)
        except ImportError:
            return {}
        if why:
            out[string] = {"why": why}
        elif sum("lines" in v for v in out.values()) < most:
            out[string] = {"lines": outlines(molecule_scores.drawing(string, *SIZE))}
    return out


def outlines(svg: str) -> list[list]:
    """What an SVG text of rdkit shows, as [path, atom, width]: the places of a path; "c" or whose
    colour it has, n, o, f, s, cl, br, i; and pixels of a line, 0 for an area. All else in it is left
    out. ValueError for what is no SVG.

    >>> svg = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 1,2 L 3,4" style="stroke:#FF0000"/></svg>'
    >>> outlines(svg)
    [['M 1,2 L 3,4', 'o', 2.0]]
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as e:
        raise ValueError(f"svg must be an SVG text: {e}") from None
    out = []
    for found in root.iter("{http://www.w3.org/2000/svg}path"):
        written = (v.strip().split(":", 1) for v in found.get("style", "").split(";") if ":" in v)
        style = {"stroke": "", **found.attrib, **{name: value for name, value in written}}
        path = " ".join(found.get("d", "").split())
        if not PLACES.fullmatch(path):
            continue
        area = style.get("fill", "none") != "none"
        width = 0 if area else round(float(re.sub("[^0-9.]", "", style.get("stroke-width", "2")) or 2), 1)
        out.append([path, ATOMS.get(style["fill" if area else "stroke"].upper(), "c"), width])
    return out

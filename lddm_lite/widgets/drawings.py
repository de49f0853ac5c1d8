"""Molecules drawn for a page: what rdkit draws, taken apart into outlines, which can hold no script.

A page makes paths of them, each of a class that its style knows, so that nothing of an SVG text is
ever read as markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from xml.etree import ElementTree

from .._common import arguments, schemas
from ..evaluation import molecule_scores

__all__ = ["MOST", "SIZE", "MoleculeGrid", "drawn", "outlines"]

MOST = 24  # structures that a widget holds, so that a notebook stays small
SIZE = (160, 120)  # pixels that they are drawn for
ATOMS = {"#0000FF": "n", "#FF0000": "o", "#33CCCC": "f", "#CCCC00": "s", "#00CC00": "cl"}  # rdkit's colours
ATOMS |= {"#7F4C19": "br", "#A01EEF": "i"}
COLOURS = {"c": "currentColor", "n": "#3b7ddd", "o": "#d9483b", "f": "#2a8f5c", "cl": "#2a8f5c", "s": "#98801a"}
COLOURS |= {"br": "#a86a2e", "i": "#9a5fd0"}  # seen on light pages and on dark ones
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


class MoleculeGrid:
    """Molecules side by side, as HTML that needs no script: structures, and of strings that are none
    the string and the reason.

    - `strings`: of which the first `most` different ones are drawn, and all shown;
    - `columns`: in a row, where the page is wide enough;
    - `title`: above them.

    `valid`: how many of the strings are molecules. Raises ValueError for arguments that are not as
    above, ImportError, naming the command, without rdkit.

    >>> MoleculeGrid(["CCO", "C1CC"], title="two").valid  # doctest: +SKIP
    1
    """

    @schemas.checked(
        columns=schemas.whole(1, 12), most=schemas.whole(0, MOST), title=schemas.text(most=1000),
    )  # fmt: skip
    def __init__(self, strings: Iterable[str], columns: int = 6, most: int = MOST, title: str = ""):
        self.strings = arguments.texts("strings", list(strings), blank=True)
        self.columns, self.title = columns, title
        self.reasons = [molecule_scores.problem(s) for s in self.strings]
        self.drawings = drawn(self.strings, most)
        self.valid = sum(not why for why in self.reasons)

    def __repr__(self) -> str:
        return f"MoleculeGrid({self.valid} of {len(self.strings)} strings are molecules)"

    def _repr_html_(self) -> str:
        cells = []
        for string, why in zip(self.strings, self.reasons, strict=True):
            lines, name = self.drawings.get(string, {}).get("lines"), html.escape(string or "(empty)")
            picture = _svg(lines, name) if lines else f'<div style="opacity:0.75">{html.escape(why)}</div>'
            cells.append(f'<div style="min-width:0">{picture}<code style="overflow-wrap:anywhere">{name}</code></div>')
        wide = f"max(110px,100%/{self.columns} - 10px)"
        style = f"display:grid;grid-template-columns:repeat(auto-fill,minmax({wide},1fr));gap:8px;align-items:end"
        head = f"<p><b>{html.escape(self.title)}</b></p>" if self.title else ""
        return f'{head}<div style="{style};font-size:12px;line-height:1.35">{"".join(cells)}</div>'


def _svg(lines: list[list], name: str) -> str:
    """Outlines as an SVG element; `name`: escaped."""
    paths = []
    for path, atom, width in lines:
        colour = COLOURS[atom]
        look = f'fill="none" stroke="{colour}" stroke-width="{width}"' if width else f'fill="{colour}"'
        paths.append(f'<path d="{path}" {look}/>')
    look = f'viewBox="0 0 {SIZE[0]} {SIZE[1]}" style="display:block;width:100%;max-width:{SIZE[0]}px"'
    look += f' role="img" aria-label="structure of {name}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {look}>{"".join(paths)}</svg>'

"""Samples of molecules in a grid: each structure drawn, and of a string that is none, what is wrong."""

from __future__ import annotations

import io
import math
import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from .._common import arguments, schemas
from ..text.molecules import molecule
from .style import ACCENT, FAINT, axes, look

__all__ = ["molecules"]

PIXELS = (300, 225)  # of a structure
LONGEST = 14  # symbols of an invalid string on a line


@schemas.checked(columns=schemas.whole(1), title=schemas.text(most=1000))
def molecules(strings: Any, columns: int = 8, ax=None, title: str = ""):
    """Structures of molecules in a grid, drawn by `rdkit`; a string that is no molecule stands there as
    it is, framed.

    - `strings`: texts, or a `Trace` of a model of molecules;
    - `columns`: structures in a row;
    - `ax`, `title`: where to draw, and what to write above.

    Returns the Axes. ImportError, naming the command, without rdkit.

    >>> molecules(["CCO", "c1ccccc"]).get_title()  # doctest: +SKIP
    ''
    """
    found = strings.texts() if hasattr(strings, "reveal_step") else arguments.texts("strings", strings, blank=True)
    pictures = [_picture(s) for s in found]
    columns = min(columns, len(found))
    rows = math.ceil(len(found) / columns)
    with look():
        ax = axes(ax, (1.25 * columns, 0.95 * rows + 0.3))
        for k, (string, picture) in enumerate(zip(found, pictures, strict=True)):
            x, y = k % columns, k // columns
            box = (x + 0.03, x + 0.97, y + 0.97, y + 0.03)
            colour, width = (FAINT, 0.6) if picture is not None else (ACCENT, 1.4)
            if picture is None:
                lines = "\n".join(textwrap.wrap(string, LONGEST, break_on_hyphens=False)[:3]) or "nothing"
                ax.text(x + 0.5, y + 0.5, lines, ha="center", va="center", family="monospace", size=9, color=ACCENT,
                        parse_math=False)  # fmt: skip
            else:
                ax.imshow(picture, extent=box, interpolation="antialiased", aspect="auto")
            left, right, bottom, top = box
            ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], color=colour, lw=width)
        ax.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(title, parse_math=False)
        return ax


def _picture(string: str) -> np.ndarray | None:
    """A structure as pixels [H, W, 4]; None for a string that is no molecule."""
    found = molecule(string)
    if found is None:
        return None
    from rdkit.Chem.Draw import rdMolDraw2D

    pen = rdMolDraw2D.MolDraw2DCairo(*PIXELS)
    pen.drawOptions().bondLineWidth = 3
    rdMolDraw2D.PrepareAndDrawMolecule(pen, found)
    pen.FinishDrawing()
    return plt.imread(io.BytesIO(pen.GetDrawingText()))

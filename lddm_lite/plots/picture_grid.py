"""Image grids: samples that are pictures, such as digits of 8 x 8 tokens."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import ListedColormap

from .._common import data_contract, schemas
from .._common.arguments import integer, numbers_of
from .style import FAINT, FRESH, ON_MAP, axes, look

__all__ = ["pictures"]


@schemas.checked(title=schemas.text(most=1000), levels=schemas.maybe(schemas.whole(1, limit="vocab")))
def pictures(tokens, shape=None, first: int | None = None, given=None, columns: int = 8, levels: int | None = None,
             ax=None, title: str = ""):  # fmt: skip
    """A grid of sequences as pictures, dark for the highest id, blue where a token is masked.

    - `tokens`: a `Trace` of data that have a `shape`, or ids [n, L]; the mask is id `levels`;
    - `shape`: (rows, columns) of a picture; None for that of the Trace;
    - `first`: tokens in front of the picture, such as its class; None for those that the Trace notes,
      or what is left of L;
    - `given` [L] or [n, L]: bool, positions that were given, framed in orange where they end; None
      for those of the Trace, or none;
    - `columns`: pictures in a row;
    - `levels`: ids that are grey levels, others being shown as the last; None for those that the Trace
      notes, or the highest id of the picture and one more;
    - `ax`, `title`: where to draw, and what to write above.

    Returns the Axes. ValueError for sequences that are no pictures.

    >>> pictures(np.array([[0, 1, 1, 0], [1, 1, 0, 0]]), shape=(2, 2)).get_title()
    ''
    """
    mask = levels
    if hasattr(tokens, "reveal_step"):
        trace, tokens = tokens, tokens.tokens
        shape = trace.meta.get("shape") if shape is None else shape
        first = trace.meta.get("first", 0) if first is None else first
        given = (trace.reveal_step == 0) if given is None and (trace.reveal_step[:, first or 0 :] == 0).any() else given
        mask, levels = trace.mask_id, trace.meta.get("levels") if levels is None else levels
    ids = numbers_of("tokens", tokens, "iu")
    if ids.ndim != 2 or not ids.size:
        raise ValueError(f"tokens must have shape [n, L], got {ids.shape}")
    height, width = data_contract.picture("shape", shape, ids.shape[1])
    columns = integer("columns", columns, minimum=1)
    first = (
        ids.shape[1] - height * width if first is None else integer("first", first, 0, ids.shape[1] - height * width)
    )
    cut = slice(first, first + height * width)
    cells = ids[:, cut].reshape(-1, height, width)
    held = None if given is None else _given(given, ids.shape)[:, cut].reshape(cells.shape)
    hidden = cells == (-1 if mask is None else mask)
    top = max(1, (int(cells[~hidden].max()) if (~hidden).any() else 1) if levels is None else levels - 1)
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    colour = ListedColormap(np.linspace(1, 0.08, top + 1)[:, None].repeat(3, 1))
    with look():
        ax = axes(ax, (0.75 * columns * width / height + 0.2, 0.75 * rows + 0.2))
        for k, (picture, out) in enumerate(zip(cells, hidden, strict=True)):
            x, y = (k % columns) * (width + 1), (k // columns) * (height + 1)
            box = (x, x + width, y + height, y)
            ax.imshow(picture.clip(0, top), cmap=colour, vmin=0, vmax=top, extent=box, interpolation="nearest")
            if out.any():
                veil = np.ma.masked_where(~out, np.ones(out.shape))
                ax.imshow(veil, cmap=ListedColormap([VEIL]), extent=box, interpolation="nearest")
            ax.plot([x, x + width, x + width, x, x], [y, y, y + height, y + height, y], color=FAINT, lw=0.6)
            if held is not None and held[k].any() and not held[k].all():
                _edges(ax, held[k], x, y)
        ax.set(xlim=(-0.5, columns * (width + 1) - 0.5), ylim=(rows * (height + 1) - 0.5, -0.5), xticks=[], yticks=[])
        ax.set_aspect("equal")
        ax.spines[:].set_visible(False)
        ax.set_title(title, parse_math=False)
        return ax


VEIL, EDGE = ON_MAP["tokens"], FRESH


def _given(given, shape) -> np.ndarray:
    """Bool of `shape` from that or one row of it."""
    marks = numbers_of("given", given, "b")
    if marks.shape not in (shape, shape[1:]):
        raise ValueError(f"given must be bool of shape {list(shape)} or {list(shape[1:])}, got {list(marks.shape)}")
    return np.broadcast_to(marks, shape)


def _edges(ax, held: np.ndarray, x: int, y: int) -> None:
    """The border between what was given and what was not."""
    for i, j in np.argwhere(held[:, :-1] != held[:, 1:]):
        ax.plot([x + j + 1] * 2, [y + i, y + i + 1], color=EDGE, lw=1.4, solid_capstyle="butt")
    for i, j in np.argwhere(held[:-1] != held[1:]):
        ax.plot([x + j, x + j + 1], [y + i + 1] * 2, color=EDGE, lw=1.4, solid_capstyle="butt")

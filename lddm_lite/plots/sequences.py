"""Sequences as pictures, a row each: what the bits are, and which step revealed which position."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .._common import schemas
from .style import BIT_COLOURS, GIVEN, axes, look, plain, reveal_colour, reveal_range

__all__ = ["bits", "unmasking"]


@schemas.checked(title=schemas.text())
def bits(tokens, order=None, ax=None, title: str = ""):
    """Bit sequences [n, L] as rows of a picture; id 2 is the mask. `order` [n]: rows are sorted by
    it, e.g. by `task.find_shift(tokens)`, which turns Binsaw's shared structure into diagonal
    bands.

    Returns the Axes. Raises ValueError for other shapes and other ids.

    >>> bits(np.array([[0, 1], [1, 2]])).get_xlabel()
    'position'
    """
    tokens = plain(tokens, "tokens")
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(f"tokens must have shape [n, L], got {tokens.shape}")
    if tokens.min() < 0 or tokens.max() > 2:
        raise ValueError(f"tokens must hold 0, 1 or 2 (masked), got ids {tokens.min()} to {tokens.max()}")
    if order is not None:
        order = plain(order, "order")
        if order.shape != tokens.shape[:1]:
            raise ValueError(f"order must have shape ({len(tokens)},), one value per sequence, got {order.shape}")
        tokens = tokens[np.argsort(order, kind="stable")]
    with look():
        ax = axes(ax, (4.2, 3.2))
        norm = BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3)
        ax.imshow(tokens, cmap=ListedColormap(BIT_COLOURS), norm=norm, aspect="auto", interpolation="nearest")
        ax.set(xlabel="position", ylabel="sample", yticks=[])
        ax.set_title(title, parse_math=False)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return ax


@schemas.checked(trace=schemas.has("a Trace", "reveal_step", "knots", "tokens"), rows=schemas.whole(1))
def unmasking(trace, ax=None, rows: int = 40):
    """Heat map of the unmasking: which step revealed which position, of the first `rows` sequences
    of a Trace.

    Colours go from the first to the last step that reveals tokens (`reveal_range`). Positions that
    were given have a colour of their own, named in a legend; padding stays white. Returns the Axes.
    Raises ValueError for `rows` below 1.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> unmasking(LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(4, token_steps=3)).get_title()
    'exact, NFE 3'
    """
    when, tokens = trace.reveal_step[:rows], trace.tokens[:rows]
    padding = np.zeros(when.shape, bool) if trace.pad_id is None else tokens == trace.pad_id
    given = (when == 0) & ~padding
    first, last = reveal_range(trace)
    with look():
        ax = axes(ax, (6.4, 3.4))
        cmap = ListedColormap([reveal_colour(k, first, last) for k in range(first, last + 1)])
        norm = BoundaryNorm(np.arange(first, last + 2) - 0.5, cmap.N)
        shown = np.ma.masked_where(padding | given, when)
        picture = ax.imshow(shown, cmap=cmap, norm=norm, aspect="auto", interpolation="nearest")
        bar = ax.figure.colorbar(picture, ax=ax, label="revealed at step", pad=0.02)
        bar.set_ticks(range(first, last + 1, -(-cmap.N // 8)))
        bar.minorticks_off()
        bar.outline.set_visible(False)
        if given.any():
            ax.imshow(np.ma.masked_where(~given, np.ones(when.shape)), cmap=ListedColormap([GIVEN]), aspect="auto")
            ax.legend(handles=[Patch(color=GIVEN, label="given")], loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)
        ax.set(xlabel="position", ylabel="sample", yticks=[])
        ax.set_title(f"{trace.model}, NFE {trace.nfe}", parse_math=False)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        return ax

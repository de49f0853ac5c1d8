"""The panels of a still picture of a run (see `still`): each draws one view of one step into given
Axes."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

from .._common.words import plural
from .run_words import LINE, POINTS, Word
from .style import BIT_COLOURS, FAINT, FRESH, GIVEN, INK, MASKED, NOTE, NOW, SOFT, ink_on, reveal_colour, reveal_range

__all__ = ["bit_cells", "bit_shape", "codes", "latent_plane", "path_square", "raster", "reveal_key", "text"]


def bit_shape(length: int, width: float) -> tuple[int, int]:
    """(rows, columns) of the cells that show so many bits in `width` inches: rows of 32, or 16
    where there is little room, or of more where that made over 8 rows.

    >>> bit_shape(16, 4.0), bit_shape(128, 4.0), bit_shape(128, 2.0), bit_shape(1024, 4.0)
    ((1, 16), (4, 32), (8, 16), (8, 128))
    """
    columns = min(length, 32 if width > 2.5 else 16)
    while -(-length // columns) > 8:
        columns *= 2
    return -(-length // columns), columns


def bit_cells(ax, trace, i: int, step: int, columns: int, cell: float) -> None:
    """Bits of sequence i as cells; those that this step revealed, or that were given, have an edge
    in the colour of that.

    - `ax`: Axes of the panel;
    - `trace`, `i`, `step`: the run, which sequence of it, after how many steps (0 is the start);
    - `columns`: cells in a row;
    - `cell`: their width in points, by which edges and gaps are scaled.
    """
    row, when = trace.tokens_at(step)[i], trace.reveal_step[i]
    rows = -(-len(row) // columns)
    at = np.stack([np.arange(len(row)) % columns, np.arange(len(row)) // columns], 1)
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    faces = [BIT_COLOURS[2 if v == trace.mask_id else int(v)] for v in row]
    gap = min(0.9, 0.1 * cell)
    ax.add_collection(PolyCollection(at[:, None] + square, facecolors=faces, edgecolors="white", linewidths=gap))
    thick = min(1.6, 0.14 * cell)
    inset = (0.5 * thick + 0.5) / cell
    for shown, colour in ((when == 0, GIVEN), ((when == step) & (step > 0), FRESH)):
        if shown.any():
            cells = at[shown][:, None] + inset + square * (1 - 2 * inset)
            ax.add_collection(PolyCollection(cells, facecolors="none", edgecolors=colour, linewidths=thick))
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.axis("off")


def text(ax, trace, i: int, step: int, words: list[Word], left: int, room: float, lines: int) -> None:
    """Sequence i as running text: blocks in the colour of the step that revealed them, grey where
    masked; those that this step revealed are outlined. Coordinates are points.

    - `ax`: Axes of the panel;
    - `trace`, `i`, `step`: the run, which sequence of it, after how many steps (0 is the start);
    - `words`, `left`: from `set_words`: the blocks, and how many words found no room;
    - `room`: width of a line in points;
    - `lines`: how many there is room for.
    """
    now, when = trace.tokens_at(step)[i], trace.reveal_step[i]
    first, last = reveal_range(trace)
    boxes, faces, edges = [], [], []
    for w in words:
        masked = now[w.position] == trace.mask_id
        if masked:
            face = MASKED
        else:
            face = GIVEN if when[w.position] == 0 else reveal_colour(int(when[w.position]), first, last)
        top, bottom = w.line * LINE + 1, (w.line + 1) * LINE - 2
        boxes.append([(w.x, top), (w.x + w.width, top), (w.x + w.width, bottom), (w.x, bottom)])
        faces.append(face)
        edges.append(FRESH if step > 0 and when[w.position] == step else face)
        if not masked:
            middle = (w.x + w.width / 2, (w.line + 1) * LINE - 6)
            ax.text(*middle, w.text, fontsize=POINTS, color=ink_on(face), ha="center", va="baseline", parse_math=False)
    ax.add_collection(PolyCollection(boxes, facecolors=faces, edgecolors=edges, linewidths=1.6))
    if left:
        ax.text(0, lines * LINE + LINE - 6, f"… {left} more", fontsize=POINTS, color=NOTE, va="baseline")
    ax.set(xlim=(-1, room + 1), ylim=((lines + bool(left)) * LINE, 0))
    ax.axis("off")


def reveal_key(ax, trace, short: bool) -> None:
    """What the colours of running text say: a strip from the first to the last step that reveals
    tokens."""
    first, last = reveal_range(trace)
    steps = np.linspace(first, last, min(40, last - first + 1)).round().astype(int)
    colours = [[to_rgb(reveal_colour(int(k), first, last)) for k in steps]]
    ax.imshow(colours, aspect="auto", extent=(0, 1, 0, 1), interpolation="nearest")
    name = f"step {first} to {last}" if last > first else f"step {first}"
    name = name if short else f"revealed at {name}"
    ax.text(1.06, 0.5, name, fontsize=9, va="center", transform=ax.transAxes, color=NOTE)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def raster(ax, trace, i: int, step: int, order=None) -> None:
    """All bit sequences, a row each; a mark at the left edge shows where sequence i is.

    - `ax`: Axes of the panel;
    - `trace`, `i`, `step`: the run, which sequence of it, after how many steps (0 is the start);
    - `order` [n]: numbers by which the rows are sorted; None leaves them as they are.
    """
    rows = trace.tokens_at(step)
    at = np.arange(len(rows)) if order is None else np.argsort(order, kind="stable")
    palette = np.array([to_rgb(c) for c in BIT_COLOURS])
    ax.imshow(palette[np.clip(rows[at], 0, 2)], aspect="auto", interpolation="nearest")
    y = int(np.flatnonzero(at == i)[0])
    ax.plot([-0.012], [1 - (y + 0.5) / len(rows)], marker=">", ms=7, color=FRESH, clip_on=False, transform=ax.transAxes)
    ax.set(xticks=[], yticks=[], xlabel=f"all {len(rows)} samples" + ("" if order is None else ", sorted"))
    ax.spines[:].set_visible(False)


def latent_plane(ax, paths, dots, colours, i: int, step: int, two: bool) -> None:
    """The latent plane: data behind, where all samples are, and the trail of sample i. The window
    holds the data, the whole trail and 98 % of the others, at every step the same.

    - `ax`: Axes of the panel;
    - `paths` [S+1, n, 2]: where each sample is after each step;
    - `dots` [N, 2], `colours`: the data behind, and their colours (`hues`);
    - `i`, `step`: which sample, after how many steps;
    - `two`: the latents have no other coordinates than the plane's.
    """
    usual = np.quantile(paths.reshape(-1, 2), [0.01, 0.99], axis=0)  # few points are far out
    both = np.concatenate([usual, paths[:, i], dots])
    low, high = both.min(0), both.max(0)
    centre, half = (low + high) / 2, 0.55 * max((high - low).max(), 1e-6)
    ax.scatter(*dots.T, s=16, c=colours, lw=0)
    ax.scatter(*paths[step].T, s=4, color=NOW, lw=0)
    ax.plot(*paths[: step + 1, i].T, color=FRESH, lw=1.8)
    ax.plot(*paths[step, i], marker="o", ms=7.5, color=FRESH, mec="white")
    ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), xticks=[], yticks=[])
    ax.set_xlabel("latents" if two else "latents, main plane")
    ax.spines[:].set(visible=True, color=FAINT)


def codes(ax, trace, i: int, step: int, slots_in_row: int) -> None:
    """Discrete latents of sequence i: a slot each, filled in as they are revealed. The mask code is
    `meta["code_mask"]` of the trace, else its largest id, for all codes are masked at first.

    - `ax`: Axes of the panel;
    - `trace`, `i`, `step`: the run, which sequence of it, after how many steps (0 is the start);
    - `slots_in_row`: how many slots stand beside each other.
    """
    now, before = trace.latents[step, i], trace.latents[max(0, step - 1), i]
    mask = int(trace.meta.get("code_mask", trace.latents.max()))
    rows = -(-len(now) // slots_in_row)
    for k, code in enumerate(now):
        x, y = k % slots_in_row, k // slots_in_row
        masked, fresh = code == mask, code != before[k]
        corners = np.array([[0.05, 0.1], [0.95, 0.1], [0.95, 0.9], [0.05, 0.9]]) + [x, y]
        face, edge = MASKED if masked else "#ffffff", FRESH if fresh else SOFT
        wide = 1.8 if fresh else 0.8
        ax.add_collection(PolyCollection([corners], facecolors=[face], edgecolors=[edge], linewidths=wide))
        ax.text(x + 0.5, y + 0.5, "···" if masked else int(code), fontsize=9, ha="center", va="center", color=INK)
    ax.set(xlim=(0, slots_in_row), ylim=(rows, 0), xticks=[], yticks=[])
    ax.set_xlabel(plural(len(now), "latent code"), loc="left")
    ax.spines[:].set_visible(False)


def path_square(ax, knots, step: int, latents: bool) -> None:
    """The (t_x, t_z) square: the sampler's knots dashed, the way so far solid, and where it is now.
    Noise is at the top right, clean at the bottom left. Without latents there is but the line of
    t_x."""
    x, z = np.array(knots).T
    z = z if latents else 0 * z
    ax.plot(x, z, color=SOFT, lw=1.4, ls=(0, (2, 1.5)), marker=".", ms=4, clip_on=False)
    ax.plot(x[: step + 1], z[: step + 1], color=FRESH, lw=2.2, clip_on=False)
    ax.plot(x[step], z[step], marker="o", ms=7.5, color=FRESH, mec="white", clip_on=False, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1] if latents else [])
    ax.tick_params(labelsize=9, length=2, pad=2)
    ax.set_xlabel("$t_x$", fontsize=11, labelpad=-7)
    if latents:
        ax.set_ylabel("$t_z$", fontsize=11, labelpad=-4)
    ax.spines[:].set(visible=latents, color=FAINT)
    ax.spines["bottom"].set_visible(True)

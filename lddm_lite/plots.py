"""Static figures: one function, one figure, in one style; each returns its Axes.

Colours are from the colour-blind-safe palette of seaborn and differ in lightness too, so that print stays readable.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import BoundaryNorm, ListedColormap

__all__ = ["BIT_COLOURS", "COLOURS", "bits", "frontier", "latent_trajectories", "training", "unmasking"]

_P = sns.color_palette("colorblind")
COLOURS = {
    "exact": "#444444",
    "mdlm": _P[1],
    "co-seq": _P[0],
    "co-joint": _P[9],
    "di-seq": _P[2],
    "di-joint": _P[4],
}
MARKERS = {"exact": "s", "mdlm": "D", "co-seq": "o", "co-joint": "v", "di-seq": "^", "di-joint": "P"}
BIT_COLOURS = ["#f2e9d8", "#12355b", "#a9b4bf"]  # 0, 1, masked


def _axes(ax, size):
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def training(history, ax=None):
    """Loss terms of a `History` against steps, nats per sequence; a line where the encoder was frozen.

    >>> from lddm_lite import History
    >>> training(History([{"step": 1, "stage": 2, "tokens": 2.0}, {"step": 2, "stage": 2, "tokens": 1.0}])).get_xlabel()
    'training step'
    """
    ax = _axes(ax, (6.4, 3.2))
    steps = history.column("step")
    for k, term in enumerate(history.terms()):
        ax.plot(steps, history.column(term), label=term, color=_P[k], lw=1.6)
    stages = history.column("stage")
    if 1 in stages and 2 in stages:
        at = steps[stages.index(2)]
        ax.axvline(at, color="#777777", lw=1, ls=":")
        ax.annotate(
            "encoder frozen",
            (at, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=9,
            color="#555555",
        )
    ax.set(xlabel="training step", ylabel="loss (nats per sequence)")
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.legend(frameon=False)
    return ax


def frontier(rows, ax=None, key: str = "excess", x: str = "nfe"):
    """Quality against budget: `rows` as from `evaluate.frontier` (dicts with system, nfe, excess, excess_se, ...).

    The exact limit, the best any factorised sampler can do, is drawn dashed.

    >>> frontier([{"system": "mdlm", "nfe": 1, "excess": 44.0, "excess_se": 0.2}]).get_xscale()
    'log'
    """
    ax = _axes(ax, (6.4, 3.8))
    for system in dict.fromkeys(r["system"] for r in rows):
        own = sorted((r for r in rows if r["system"] == system), key=lambda r: r[x])
        error = [2 * r.get(f"{key}_se", 0.0) for r in own]
        label = "exact factorised limit" if system == "exact" else system
        ax.errorbar(
            [r[x] for r in own],
            [r[key] for r in own],
            error,
            label=label,
            color=COLOURS.get(system, "#888888"),
            marker=MARKERS.get(system, "x"),
            ls="--" if system == "exact" else "-",
            ms=6,
            lw=1.6,
            capsize=2,
        )
    ax.set_xscale("log", base=2)
    ticks = sorted({r[x] for r in rows})
    ax.set_xticks([t for t in (1, 2, 4, 8, 16, 32, 64, 128, 256) if ticks[0] <= t <= ticks[-1]] or ticks)
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    names = {"nfe": "network calls (NFE)", "token_steps": "token steps"}
    ax.set(xlabel=names.get(x, x), ylabel="excess (nats per sequence)" if key == "excess" else key)
    if key == "excess":
        ax.set_yscale("symlog", linthresh=1, linscale=0.8)
        ax.set_yticks([0, 1, 2, 5, 10, 20, 50])
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
        ax.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
    ax.legend(frameon=False)
    return ax


def bits(tokens, order=None, ax=None, title: str = ""):
    """Bit sequences [n, L] as rows of a picture; id 2 is the mask. `order` [n]: rows are sorted by it, e.g. by
    `task.find_shift(tokens)`, which turns Binsaw's shared structure into diagonal bands.

    >>> bits(np.array([[0, 1], [1, 2]])).get_xlabel()
    'position'
    """
    ax = _axes(ax, (4.2, 3.2))
    tokens = np.asarray(tokens)
    if order is not None:
        tokens = tokens[np.argsort(np.asarray(order), kind="stable")]
    norm = BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3)
    ax.imshow(tokens, cmap=ListedColormap(BIT_COLOURS), norm=norm, aspect="auto", interpolation="nearest")
    ax.set(xlabel="position", ylabel="sample", title=title)
    ax.set_yticks([])
    return ax


def unmasking(trace, ax=None, rows: int = 40):
    """Which step revealed which position: a heat map of the first `rows` sequences of a Trace."""
    ax = _axes(ax, (6.4, 3.2))
    shown = trace.reveal_step[:rows]
    picture = ax.imshow(shown, cmap="cividis", aspect="auto", interpolation="nearest", vmin=0, vmax=trace.steps)
    ax.figure.colorbar(picture, ax=ax, label="revealed at step")
    ax.set(xlabel="position", ylabel="sample", title=f"{trace.model}, NFE {trace.nfe}")
    ax.set_yticks([])
    return ax


def plane(latents: np.ndarray):
    """A 2-d view of latents [..., m, d]: a function that maps such arrays to [..., 2]. The first two coordinates
    when there are only two; else the principal plane of the given ones."""
    flat = latents.reshape(-1, np.prod(latents.shape[-2:])).astype(float)
    if flat.shape[1] == 2:
        return lambda z: z.reshape(*z.shape[:-2], 2)
    mean = flat.mean(0)
    axes = np.linalg.svd(flat - mean, full_matrices=False)[2][:2]
    return lambda z: (z.reshape(*z.shape[:-2], -1) - mean) @ axes.T


def latent_trajectories(trace, rows: int = 12, cloud=None, hue=None, ax=None):
    """Paths of the latents from noise to clean, in a plane. `cloud` [N, m, d]: encoded data to draw behind, coloured by
    `hue` [N] (a cyclic quantity in [0, 1)). Continuous latents only."""
    if trace.latent_kind != "continuous":
        raise ValueError(f"latent_trajectories needs continuous latents, this trace has {trace.latent_kind}")
    ax = _axes(ax, (4.6, 4.8))
    behind = trace.latents[-1] if cloud is None else np.asarray(cloud)
    to = plane(behind)
    dots = to(behind)
    colour = dict(color="#9fb3c8") if hue is None else dict(c=np.asarray(hue), cmap="twilight")
    ax.scatter(*dots.T, s=8, alpha=0.7, lw=0, **colour)
    lines = to(trace.latents[:, :rows])  # [S+1, rows, 2]
    for k in range(lines.shape[1]):
        ax.plot(*lines[:, k].T, color="#333333", lw=0.8, alpha=0.6)
    ax.scatter(*lines[0].T, marker="x", color="#333333", s=24, label="noise", zorder=3)
    ax.scatter(*lines[-1].T, marker="o", color=_P[1], edgecolor="white", s=36, label="resolved", zorder=4)
    ax.set(xlabel="latent plane, axis 1", ylabel="axis 2", aspect="equal")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2)
    return ax

"""Latents: their paths in a plane, their spread across inputs, the use of a codebook."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from .._common import schemas
from .._common.words import counted
from .latent_map import plane
from .style import COLOURS, FRESH, GROUPS, INK, NOTE, THEMES, axes, hues, look, plain

__all__ = ["codebook_use", "latent_spread", "latent_trajectories"]


@schemas.checked(trace=schemas.has("a Trace", "latents", "knots", "tokens"), rows=schemas.whole(1))
def latent_trajectories(trace, rows: int = 12, cloud=None, hue=None, ax=None):
    """Trajectories of the latents of a Trace from noise to clean, in a plane (see `plane`).

    - `trace`: of continuous latents;
    - `rows`: the first so many sequences;
    - `cloud` [N, m, d]: encoded data to draw behind;
    - `hue` [N]: colours it, a cyclic quantity in [0, 1], or integer classes;
    - `ax`: the Axes to draw into.

    Returns the Axes. Raises ValueError for a trace without continuous latents, or a cloud of
    another shape.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.exact(tasks.Binsaw(length=16), "shift")
    >>> ax = latent_trajectories(model.sample(4, token_steps=1, latent_steps=5), rows=3)
    >>> [len(line.get_xdata()) for line in ax.lines]
    [7, 7, 7]
    """
    if trace.latent_kind != "continuous":
        raise ValueError(f"latent_trajectories needs continuous latents, this trace has {trace.latent_kind}")
    behind = trace.latents[-1] if cloud is None else plain(cloud, "cloud")
    if behind.ndim != 3 or behind.shape[1:] != trace.latents.shape[2:]:
        m, d = trace.latents.shape[2:]
        raise ValueError(f"cloud must have shape [N, {m}, {d}], got {behind.shape}")
    if cloud is None and hue is not None:
        raise ValueError("hue colours the cloud; give cloud=... too")
    to = plane(behind)
    dots, lines = to(behind), to(trace.latents[:, :rows])  # [N, 2], [S+1, rows, 2]
    with look():
        ax = axes(ax, (4.6, 4.8))
        ax.scatter(*dots.T, s=9, alpha=0.75, lw=0, c=hues(hue, len(dots)))
        for k in range(lines.shape[1]):
            ax.plot(*lines[:, k].T, color=NOTE, lw=0.9, alpha=0.65)
        ax.scatter(*lines[0].T, marker="x", color=INK, s=28, label="noise", zorder=3)
        ax.scatter(*lines[-1].T, marker="o", color=FRESH, edgecolor="white", s=44, label="resolved", zorder=4)
        flat = np.prod(trace.latents.shape[2:]) == 2
        names = ("latent coordinate 1", "latent coordinate 2") if flat else ("principal axis 1", "principal axis 2")
        ax.set(xlabel=names[0], ylabel=names[1])
        ax.set_aspect("equal", adjustable="datalim")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderpad=0)
        return ax


def latent_spread(latents, ax=None):
    """Spread of encoded data across inputs: the standard deviation of each coordinate of each slot,
    as a bar.

    `latents` [N, m, d]: z_0 of N different inputs. The encoder puts each slot on the sphere of
    radius sqrt(d), so that 1 is the unit scale (METHOD 5); bars near 0 are a collapsed encoder,
    whose output does not depend on its input. Returns the Axes. Raises ValueError for codes, other
    shapes, or a single input.

    >>> ax = latent_spread(np.random.default_rng(0).normal(size=(500, 1, 4)))
    >>> len(ax.patches)
    4
    """
    latents = plain(latents, "latents")
    if latents.dtype.kind != "f" or latents.ndim != 3 or len(latents) < 2:
        hint = "; for codes there is codebook_use" if latents.dtype.kind in "iu" else ""
        raise ValueError(f"latents must be floats [N >= 2, m, d], got {latents.dtype} of shape {latents.shape}{hint}")
    spread = latents.astype(float).std(0)  # [m, d]
    m, d = spread.shape
    with look():
        ax = axes(ax, (6.4, 3.0))
        for k in range(m):
            shade = COLOURS["co-joint" if k % 2 else "co-seq"]
            ax.bar(k * d + np.arange(d), spread[k], width=0.9 if m * d > 8 else 0.5, color=shade, lw=0)
        ax.axhline(1, color=NOTE, ls="--", lw=1.2, label="unit scale")
        ax.set(xlim=(-0.8, m * d - 0.2), ylim=(0, 1.25 * max(1.0, spread.max())))
        ax.set(ylabel="std across inputs")
        every = -(-m // 12)  # names of at most 12 slots have room
        shown = list(range(0, m, every))
        if m == 1:
            ax.set_xlabel("coordinate")
            ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        else:
            ax.set_xticks([k * d + (d - 1) / 2 for k in shown], [str(k) for k in shown])
            ax.set_xlabel(f"slot ({counted(d, 'coordinate')} each)")
        ax.set_title(f"{len(latents)} inputs: std {spread.min():.3f} to {spread.max():.3f}")
        ax.legend(loc="upper right", borderaxespad=0.1)
        return ax


@schemas.checked(size=schemas.whole(1, limit="codes"))
def codebook_use(codes, size: int, ax=None):
    """Codebook usage: how often each of `size` entries is used, sorted; `codes` [N, m], a line for
    each of m slots.

    The title has the perplexity, exp of the entropy (nats) of the use, averaged over slots: the
    number of entries effectively in use (METHOD 6). Entries that no slot uses lie on a hatched
    ground. Returns the Axes. Raises ValueError for other shapes and for codes outside 0..size-1 (a
    mask code is none).

    >>> codebook_use(np.array([[0], [1], [0], [1]]), size=4).get_title()
    'perplexity 2.0 of 4 (entropy 0.69 nats)'
    """
    codes = plain(codes, "codes")
    if codes.ndim != 2 or not codes.size or codes.dtype.kind not in "iu":
        raise ValueError(f"codes must be integers [N, m], got {codes.dtype} of shape {codes.shape}")
    if codes.min() < 0 or codes.max() >= size:
        raise ValueError(f"codes must be in 0..{size - 1}, got {codes.min()} to {codes.max()}")
    share = np.stack([np.bincount(c, minlength=size) for c in codes.T]) / len(codes)  # [m, size]
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(1)
    used = int((share > 0).any(0).sum())
    with look():
        ax = axes(ax, (6.4, 3.2))
        for k, own in enumerate(-np.sort(-share)):
            label = f"slot {k}" if 1 < len(share) <= 8 else None
            line = dict(color=GROUPS[k % len(GROUPS)], label=label, lw=1.6 if len(share) <= 8 else 0.8)
            own = own[own > 0]
            ax.stairs(own, np.arange(len(own) + 1), baseline=0, fill=len(share) == 1, **line)
        ax.axhline(1 / size, color=NOTE, ls="--", lw=1.2, label=f"even use, 1/{size}")
        top = 1.3 * max(share.max(), 1.5 / size)
        ax.set(xlim=(0, size), ylim=(0, top), xlabel="codebook entries, most used first", ylabel="share of inputs")
        if used < size:
            light, label = THEMES["light"], f"never used: {size - used}"
            look_of = dict(facecolor=light["raised"], edgecolor=light["line"], hatch="//", lw=0, zorder=0)
            ax.axvspan(used, size, **look_of, label=label)
        ax.set_title(f"perplexity {np.exp(entropy).mean():.1f} of {size} (entropy {entropy.mean():.2f} nats)")
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.legend(loc="upper right", framealpha=1, frameon=True, edgecolor="none")
        return ax

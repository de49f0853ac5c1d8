"""Pictures that decks draw for themselves."""

from __future__ import annotations

import functools

import matplotlib.pyplot as plt
import numpy as np

import lddm_lite as ld
from lddm_lite.plots.style import axes, look

BLUE, ORANGE = ld.plots.COLOURS["co-seq"], ld.plots.COLOURS["mdlm"]


@functools.cache
def order_matters():
    """Samples of exact predictors in 2 token and 16 latent steps at three leads; the bound against the lead. Axes."""
    task, grid = ld.tasks.Binsaw(), ld.widgets.PathExplorer().grids[1]  # its 128 bits
    exact = ld.LatentDiffusion.exact(task, "shift")
    with look():
        figure, panels = plt.subplots(1, 4, figsize=(12.4, 4.6), layout="constrained", width_ratios=[1, 1, 1, 1.9])
        for ax, lead in zip(panels, (0.0, 0.25, 0.5), strict=False):
            drawn = exact.sample(200, 2, latent_steps=16, path=ld.Path(lead), seed=3).tokens
            ld.plots.bits(drawn, order=task.find_shift(drawn), ax=ax, title=f"lead {lead:g}")
            ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        leads = np.linspace(0, 0.5, 51)
        ax = axes(panels[3], None)
        ax.plot(leads, [grid.bound(ld.Path(v)).total for v in leads], color=BLUE, lw=2.6)
        few = [grid.bound(ld.Path(v)).total + grid.bound(ld.Path(v), 2, 16).excess_tokens for v in leads]
        ax.plot(leads, few, color=ORANGE, lw=2.6)
        ax.text(0.49, 69.3, "infinitely many steps", color=BLUE, ha="right", va="bottom", fontsize=13)
        ax.text(0.09, 73, "what 2 token steps add", color=ORANGE, fontsize=13)
        ax.set(xlim=(0, 0.5), ylim=(67.8, 76.2))
        ax.set_xlabel("lead of the latent (0 joint, 0.5 sequential)", fontsize=12)
        ax.set_ylabel("bound on $-\\log p(x)$ (nats)", fontsize=12)
    return panels

"""The path explorer as a still picture, for pages without scripts."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from ..diffusion.paths import Path
from ..diffusion.rate_grid import RateGrid
from .run_frame import png
from .style import ACCENT, INK, ON_MAP, OUTLINE, REVEAL, TERMS, look

__all__ = ["path_cost_figure", "path_cost_png"]


def path_cost_png(grid: RateGrid, lead: float, token_steps: int, latent_steps: int, rate: str = "tokens") -> bytes:
    """PNG of a path's cost.

    - `grid`, `lead`, `token_steps`, `latent_steps`: as for `path_cost_figure`;
    - `rate`: "tokens" or "latents", whose is shown over the square.
    """
    return png(path_cost_figure(grid, lead, token_steps, latent_steps, rate))


def path_cost_figure(grid: RateGrid, lead: float, token_steps: int, latent_steps: int, rate: str = "tokens"):
    """Cost of a path of noise times, as a Matplotlib figure: a rate over the square with the walk;
    both integrands along it, hatched what the steps add (M12); the bound in nats; and the excess of
    these steps against the lead, tokens on latents.

    - `grid`: measured rates;
    - `lead`: of the `Path`, in [0, 0.5];
    - `token_steps`, `latent_steps`: of the sampler;
    - `rate`: "tokens" or "latents": rho_x or rho_z over the square.
    """
    path = Path(lead)
    cost, knots = grid.bound(path, token_steps, latent_steps), path.knots(token_steps, latent_steps)
    with look():
        fig = Figure(figsize=(9.2, 5.4), layout="constrained")
        left, right = fig.subfigures(1, 2, squeeze=False, width_ratios=[1, 1.1])[0]
        ax = left.subplots()
        t = np.linspace(0, 1, 81)
        x, z = (v.ravel() for v in np.meshgrid(t, t))
        shown = grid.rho(x, z)[rate == "latents"].reshape(81, 81)
        norm = LogNorm() if rate == "latents" else None
        cmap = LinearSegmentedColormap.from_list("reveal", REVEAL, N=48)  # few colours make a small file
        heat = ax.imshow(shown, cmap=cmap, norm=norm, origin="lower", extent=(0, 1, 0, 1), interpolation="bilinear")
        name = r"latent rate $\rho_z$" if rate == "latents" else r"token rate $\rho_x$"
        label = f"{name} (nats per unit of time)"
        left.colorbar(heat, ax=ax, label=label, orientation="horizontal", shrink=0.8, aspect=30)
        at = np.array([(k.t_x, k.t_z) for k in knots])
        ax.plot(*at.T, color=OUTLINE, lw=4)
        ax.plot(*at.T, color="white", lw=2)
        moves = at[:-1] - at[1:] > 0
        for axis, mark, size in ((1, "D", 50), (0, "o", 34)):  # a step that moves both shows one mark in the other
            some = at[:-1][moves[:, axis]]
            colour = ON_MAP["latents" if axis else "tokens"]
            look_of = dict(marker=mark, s=size, color=colour, edgecolor=OUTLINE, lw=1, zorder=3, clip_on=False)
            ax.scatter(*some.T, label=("latents" if axis else "tokens") + " move", **look_of)
        ax.set(xlabel="token noise time $t_x$", ylabel="latent noise time $t_z$", xlim=(0, 1), ylim=(0, 1))
        ax.legend(loc="upper left", fontsize=9, framealpha=0.9, facecolor="white", frameon=True)
        rows = right.subplots(3, 1)
        for axis in (0, 1):
            _integrand(rows[axis], grid, knots, axis, TERMS["latents" if axis else "tokens"])
        steps = f"lead {lead:.2f}, {token_steps} token + {latent_steps} latent steps, NFE {cost.nfe}"
        bound = f"bound {cost.total - cost.excess:.2f} nats in infinitely many steps, {cost.total:.2f} in these"
        fig.suptitle(f"{grid.title}: {steps}\n{bound} (hatched: {cost.excess:.2f})", fontsize=11)
        leads = np.linspace(0, 0.5, 26)
        lost = [grid.bound(Path(v), token_steps, latent_steps) for v in leads]
        parts = [[c.excess_latents for c in lost], [c.excess_tokens for c in lost]]
        rows[2].stackplot(leads, parts, colors=[TERMS["latents"], TERMS["tokens"]], alpha=0.3, lw=0)
        rows[2].plot(leads, np.sum(parts, 0), color=INK, lw=1.8)
        rows[2].plot([lead], [cost.excess], "o", color=ACCENT, mec="white", clip_on=False)
        rows[2].set(xlabel="lead (0 joint, 0.5 sequential)", ylabel="excess (nats)", xlim=(0, 0.5))
        rows[2].set_ylim(bottom=0)
        return fig


def _integrand(ax, grid: RateGrid, knots, axis: int, colour: str) -> None:
    """One channel's rate along the walk, time from 1 to 0, and hatched what stale predictions add.
    """
    most = 0.0
    for a, b in zip(knots, knots[1:], strict=False):
        start, end = np.array([a.t_x, a.t_z]), np.array([b.t_x, b.t_z])
        if start[axis] == end[axis]:
            continue
        t_x, t_z = (start + (end - start) * np.linspace(0, 1, 24)[:, None]).T
        rate = grid.rho(t_x, t_z)[axis]
        stale = grid.stale(a, t_x, t_z)[axis]
        t = (t_x, t_z)[axis]
        ax.fill_between(t, 0, rate, color=colour, alpha=0.3, lw=0)
        ax.fill_between(t, rate, stale, facecolor="none", edgecolor=colour, hatch="////", lw=0)
        ax.plot(t, rate, color=INK, lw=1.6)
        ax.plot(t, stale, color=colour, lw=1.2)
        most = max(most, 4.6 * rate.max())
    name = "z" if axis else "x"
    ax.set(xlim=(1, 0), xlabel=f"$t_{name}$", ylabel=rf"$\rho_{name}$ (nats)")
    ax.set_ylim(0, min(most, ax.get_ylim()[1]))

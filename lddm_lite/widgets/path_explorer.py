"""The path explorer: where the nats of the bound arise, why every path costs the same, and what
finite steps lose."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources

from .._common import arguments, schemas
from .._common.arguments import shown
from ..diffusion.paths import Path
from ..diffusion.rate_grid import PathCost, RateGrid
from ..tasks import Binsaw
from .base import Kept, Widget

__all__ = ["PathExplorer", "stored_grids"]


@functools.cache
def stored_grids() -> tuple[RateGrid, ...]:
    """The measured grids that ship with the library: exact predictors on Binsaw of 32 and of 128
    bits. Made by `python -m lddm_lite.evaluation.measure_rate_grid --out
    lddm_lite/widgets/static/binsaw_rates.json`.

    >>> [g.data["length"] for g in stored_grids()]
    [32, 128]
    """
    text = resources.files(__package__).joinpath("static/binsaw_rates.json").read_text("utf-8")
    return tuple(RateGrid.from_dict(d) for d in json.loads(text)["grids"])


class PathExplorer(Widget):
    """Path explorer: drag the lead (M10) and the step budgets; it shows the path in the square of
    noise times and the knots of the sampler, both integrands of the bound (M9) along its walk, NFE,
    and the bound in nats. In continuous time it stays put (M11); what finite steps add moves (M12).
    All of it runs in the browser.

    The excess is that of the bound, which counts what the latents lose too; samples may be better
    than it says.

    - `grid`: a `RateGrid` or a list of them; None for the stored ones of Binsaw, exact predictors;
    - `task`: instead, a Binsaw, whose stored grid is taken, else measured now with 1,024 sequences
      (minutes);
    - `lead` in [0, 0.5], `token_steps`, `latent_steps` in 1..128: where to start.

    The last three are traits, as are `which` (the index of the grid) and `rate` ('tokens' or
    'latents': what the square shows); all follow the browser at most once a second and can be set.
    Raises ValueError for both `grid` and `task`, for another task, and for values out of range.

    >>> PathExplorer(lead=0.5, token_steps=2).cost().nfe
    18
    """

    _kind = "path-explorer"
    _state = ("lead", "token_steps", "latent_steps", "which", "rate")

    lead = Kept(0.25, schemas.number(0.0, 0.5)).tag(sync=True)
    token_steps = Kept(4, schemas.whole(1, 128)).tag(sync=True)
    latent_steps = Kept(16, schemas.whole(1, 128)).tag(sync=True)
    which = Kept(0, "_grid").tag(sync=True)
    rate = Kept("tokens", schemas.choice("tokens", "latents")).tag(sync=True)
    grids: Sequence[RateGrid] = ()

    def __init__(
        self,
        grid=None,
        task: Binsaw | None = None,
        *,
        lead: float = 0.25,
        token_steps: int = 4,
        latent_steps: int = 16,
    ):
        if grid is not None and task is not None:
            raise ValueError("give grid or task, not both")
        if task is not None:
            grid = _grid_of(task)
        grid = list(stored_grids()) if grid is None else [grid] if isinstance(grid, RateGrid) else grid
        self.grids = list(grid) if isinstance(grid, (list, tuple)) else []
        if not self.grids or not all(isinstance(g, RateGrid) for g in self.grids):
            raise ValueError(f"grid must be a RateGrid or a list of them, got {shown(grid)}")
        arguments.number("lead", lead, 0.0, 0.5)
        arguments.integer("token_steps", token_steps, 1, 128)
        arguments.integer("latent_steps", latent_steps, 1, 128)
        names = {g.title for g in self.grids}
        title = "What a path of noise times costs" + (f": {names.pop()}" if len(names) == 1 else "")
        arrays = {}
        for k, g in enumerate(self.grids):
            for name in ("tokens", "latents", "tokens_se", "latents_se"):
                if getattr(g, name) is not None:
                    arrays[f"{name}{k}"] = getattr(g, name)
        head = {"title": title, "grids": [_about(g) for g in self.grids]}
        super().__init__(head, arrays, lead=float(lead), token_steps=token_steps, latent_steps=latent_steps)

    def _grid(self, name: str, value) -> int:
        return arguments.integer(name, value, 0, max(0, len(self.grids) - 1))

    def cost(self, steps: bool = True) -> PathCost:
        """What is shown, as numbers: the cost of the chosen path in the chosen steps, or (False) in
        continuous time."""
        arguments.truth("steps", steps)
        budgets = (self.token_steps, self.latent_steps) if steps else ()
        return self.grids[self.which].bound(Path(self.lead), *budgets)

    def still(self) -> bytes:
        """PNG of the same content: square, integrands, numbers, excess against lead."""
        from ..plots.path_cost import path_cost_png

        return path_cost_png(self.grids[self.which], self.lead, self.token_steps, self.latent_steps, self.rate)


def _about(grid: RateGrid) -> dict:
    """What the browser needs of a grid beside its arrays."""
    whole = grid.to_dict()
    return {k: whole[k] for k in ("title", "log_snr", "prior", "entropy", "encoder", "bound_se", "excess_se")}


def _grid_of(task: Binsaw) -> RateGrid:
    """The stored grid of a Binsaw, or a fresh one."""
    if not isinstance(task, Binsaw):
        raise ValueError(f"task must be a Binsaw, got {shown(task)}; for others give grid=rate_grid(model, x)")
    for grid in stored_grids():
        if grid.data == task.spec():
            return grid
    from ..evaluation.measure_rate_grid import rate_grid
    from ..model import LatentDiffusion

    grid = rate_grid(LatentDiffusion.exact(task, "shift"), task.sample(1024, seed=1), progress=True)
    return replace(grid, title=f"Binsaw, {task.length} bits")

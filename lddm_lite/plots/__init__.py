"""Static figures: one function, one figure, in one style; each draws into `ax` where one is given
and returns its Axes.

| meaning | functions |
|---|---|
| `curves`: numbers against steps, NFE, noise times | `training`, `frontier`, `bound_rates` |
| `systems`: several systems at the same NFE budget | `comparison` |
| `sequences`: sequences as rows of a picture | `bits`, `unmasking` |
| `picture_grid`: sequences that are pictures | `pictures` |
| `molecule_grid`: molecules and strings that are none | `molecules` |
| `latents`: latents, codes | `latent_trajectories`, `latent_spread`, `codebook_use` |
| `latent_map`: latents in a plane | `plane`, `LatentMap` |
| `path_cost`: what a path of noise times costs | `path_cost_figure`, `path_cost_png` |
| `drawings`: the idea, for pages: saw wave, clocks, architecture, paths | `drawing` |
| `run_frame`: a whole run at one step | `frame`, `png` |
| `run_film`: a whole run as a film | `animate` |
| `style`: the look they share | `look`, `ink_on`, `reveal_colour`, `reveal_range`, palettes |
"""

from __future__ import annotations

from .curves import bound_rates, frontier, training
from .drawings import drawing
from .latent_map import LatentMap, plane
from .latents import codebook_use, latent_spread, latent_trajectories
from .molecule_grid import molecules
from .picture_grid import pictures
from .run_film import animate
from .run_frame import frame, png
from .sequences import bits, unmasking
from .style import (
    BIT_COLOURS,
    COLOURS,
    CYCLE,
    GIVEN,
    GROUPS,
    MARKERS,
    REVEAL,
    ink_on,
    look,
    reveal_colour,
    reveal_range,
)
from .systems import comparison

__all__ = [
    "BIT_COLOURS", "COLOURS", "CYCLE", "GIVEN", "GROUPS", "LatentMap", "MARKERS", "REVEAL", "animate", "bits",
    "bound_rates", "codebook_use", "comparison", "drawing", "frame", "frontier", "ink_on", "latent_spread",
    "latent_trajectories", "look", "molecules", "pictures", "plane", "png", "reveal_colour", "reveal_range", "training",
    "unmasking",
]  # fmt: skip

"""Static figures: one function, one figure, in one style; each draws into `ax` where one is given and returns its Axes.

| meaning | functions |
|---|---|
| `curves`: numbers against steps, budgets, noise times | `training`, `frontier`, `bound_rates` |
| `compared`: several systems at the same total budget | `comparison` |
| `grids`: sequences as pictures | `bits`, `unmasking` |
| `latent`: latents, codes | `latent_trajectories`, `latent_spread`, `codebook_use`, `plane` |
| `still`: a whole run at one step | `frame`, `png` |
| `motion`: a whole run as a film | `animate` |
| `style`: the look they share | `look`, `ink_on`, `reveal_colour`, `reveal_range`, palettes |
"""

from __future__ import annotations

from .compared import comparison
from .curves import bound_rates, frontier, training
from .grids import bits, unmasking
from .latent import codebook_use, latent_spread, latent_trajectories, plane
from .motion import animate
from .still import frame, png
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

__all__ = [
    "BIT_COLOURS",
    "COLOURS",
    "CYCLE",
    "GIVEN",
    "GROUPS",
    "MARKERS",
    "REVEAL",
    "animate",
    "bits",
    "bound_rates",
    "codebook_use",
    "comparison",
    "frame",
    "frontier",
    "ink_on",
    "latent_spread",
    "latent_trajectories",
    "look",
    "plane",
    "png",
    "reveal_colour",
    "reveal_range",
    "training",
    "unmasking",
]

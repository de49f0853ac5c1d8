"""What a path costs, as a still picture."""

import struct

import numpy as np
import pytest

from lddm_lite.diffusion.paths import Path
from lddm_lite.diffusion.rate_grid import RateGrid
from lddm_lite.plots.path_cost import path_cost_figure, path_cost_png
from lddm_lite.widgets.path_explorer import stored_grids


@pytest.mark.parametrize("rate", ["tokens", "latents"])
@pytest.mark.parametrize(
    ("grid", "walk"),
    [(stored_grids()[0], (0.1, 4, 16)), (RateGrid("flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0)), (0.25, 1, 1))],
    ids=["stored", "flat"],
)
def test_the_picture_fits_a_page(grid, walk, rate):
    png = path_cost_png(grid, *walk, rate)
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and len(png) < 60_000
    width, height = struct.unpack(">II", png[16:24])
    assert 800 <= width <= 1000 and height < 700


def test_the_numbers_are_those_of_the_grid():
    grid = stored_grids()[0]
    cost = grid.bound(Path(0.5), 2, 8)
    said = path_cost_figure(grid, 0.5, 2, 8)._suptitle.get_text()
    assert "lead 0.50, 2 token + 8 latent steps, NFE 10" in said
    assert f"{cost.total:.2f} in these" in said and f"hatched: {cost.excess:.2f}" in said


def test_the_chosen_rate_is_shown():
    grid = stored_grids()[0]
    for rate, name in (("tokens", "token rate"), ("latents", "latent rate")):
        labels = [ax.get_xlabel() for ax in path_cost_figure(grid, 0.25, 4, 16, rate).axes]
        assert sum(name in label for label in labels) == 1

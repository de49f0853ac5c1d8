"""The path explorer without a browser: what it is given, what it sends, the still picture, the
file."""

import re
import struct
from importlib import resources

import numpy as np
import pytest
import traitlets

from lddm_lite.diffusion.paths import Path
from lddm_lite.diffusion.rate_grid import RateGrid
from lddm_lite.tasks import Binsaw, MixtureOfProducts
from lddm_lite.widgets import payload
from lddm_lite.widgets.path_explorer import PathExplorer, stored_grids


@pytest.fixture(scope="module")
def flat():
    return RateGrid("</script><b>flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0))


def test_the_stored_grids_travel_whole_and_are_small():
    sent = payload.unpack(PathExplorer().data)
    for k, grid in enumerate(stored_grids()):
        for name in ("tokens", "latents", "tokens_se", "latents_se"):
            assert np.allclose(sent[f"{name}{k}"], getattr(grid, name), rtol=1e-6), name
        about = sent["head"]["grids"][k]
        assert about["log_snr"] == [6, -6] and about["entropy"][0] == pytest.approx(grid.entropy.value)
        assert 0 < about["bound_se"] < 0.03 and 0 < about["excess_se"] < 0.03
    file = resources.files("lddm_lite.widgets").joinpath("static/binsaw_rates.json")
    assert len(file.read_bytes()) < 60_000
    assert len(PathExplorer().data) < 40_000


def test_what_it_shows_as_numbers():
    p = PathExplorer(lead=0.5, token_steps=2, latent_steps=8)
    assert p.cost().nfe == 10 and p.cost(steps=False).nfe == 0
    assert p.cost().total == stored_grids()[0].bound(Path(0.5), 2, 8).total
    p.which = 1
    assert p.cost(steps=False).total > 3 * stored_grids()[0].bound(Path(0.5)).total


def test_a_task_takes_its_stored_grid():
    assert PathExplorer(task=Binsaw(length=128)).grids == [stored_grids()[1]]


def test_the_still_picture_is_that_of_the_choice(flat):
    for explorer in (PathExplorer(lead=0.1), PathExplorer(flat, token_steps=1, latent_steps=1)):
        png = explorer.still()
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and len(png) < 60_000
        width, height = struct.unpack(">II", png[16:24])
        assert 800 <= width <= 1000 and height < 700
        explorer.rate = "latents"
        assert explorer.still() != png


def test_the_file_holds_no_raw_text_and_fetches_nothing(tmp_path, flat):
    text = PathExplorer(flat, token_steps=1, latent_steps=1).to_html(tmp_path / "x.html").read_text()
    assert "<b>flat" not in text and "data:image/png" in text
    assert not re.search(r'(src|href)="https?:', text)
    assert str(tmp_path) not in text and len(text) < 300_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(lead=0.6), "lead"),
        (dict(token_steps=0), "token_steps"),
        (dict(latent_steps=129), "latent_steps"),
        (dict(grid=[]), "grid"),
        (dict(grid=3), "grid"),
        (dict(task=MixtureOfProducts()), "rate_grid"),
        (dict(task=Binsaw(8), grid=[]), "not both"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PathExplorer(**options)


def test_traits_keep_to_their_range(flat):
    p = PathExplorer(flat)
    for name, value in dict(lead=0.7, token_steps=0, latent_steps=200, which=1, rate="both").items():
        with pytest.raises(traitlets.TraitError):
            setattr(p, name, value)

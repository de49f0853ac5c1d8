"""Figures share one look, can be read, and leave the user's settings alone."""

import io
import json
import re
from importlib import resources

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from lddm_lite import plots
from lddm_lite.plots import style

from .drawing import CURVE, ROWS, TRAINED, contrast, hand_made, lightness, readable


def test_ink_has_the_contrast_of_wcag_on_any_colour():
    rng = np.random.default_rng(0)
    colours = [*plots.REVEAL, *plots.CYCLE, *plots.GROUPS, *plots.BIT_COLOURS, plots.GIVEN, "#777777", "#767676"]
    colours += [to_hex(c) for c in rng.random((500, 3))]
    for colour in colours:
        assert contrast(colour, plots.ink_on(colour)) >= 4.5, colour
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_palettes_differ_in_lightness():
    reveal = [lightness(c) for c in plots.REVEAL]
    assert 9 <= len(reveal) <= 11 and min(np.diff(reveal)) > 4 and reveal[-1] - reveal[0] > 75
    systems = sorted(map(lightness, plots.COLOURS.values()))
    assert min(np.diff(systems)) > 5, "systems can be told apart in grey print"
    bits = sorted(map(lightness, plots.BIT_COLOURS))
    assert min(np.diff(bits)) > 15
    assert plots.COLOURS.keys() == plots.MARKERS.keys() and len(set(plots.MARKERS.values())) == len(plots.MARKERS)


def test_the_browser_has_the_same_palettes():
    code = resources.files("lddm_lite").joinpath("widgets", "static", "colours.js").read_text("utf-8")
    for name in ("REVEAL", "CYCLE", "GROUPS"):
        assert json.loads(re.search(rf"const {name} = (\[.*?\]);", code)[1]) == getattr(plots, name)


def test_reveal_colours_run_over_the_steps_that_reveal(saws):
    assert plots.reveal_range(saws["continuous"]) == (5, 6)
    assert plots.reveal_range(saws["none"]) == (1, 4)
    assert [plots.reveal_colour(k, 1, 11) for k in range(1, 12)] == plots.REVEAL
    assert plots.reveal_colour(7, 7, 7) == plots.REVEAL[0]


def test_hues():
    assert style.hues(None, 2) == [style.DOTS] * 2
    assert style.hues(np.array([0, 10]), 2) == [plots.GROUPS[0], plots.GROUPS[1]]
    around = style.hues([0.0, 0.5, 1.0], 3)
    assert np.allclose(around[0], around[2]) and not np.allclose(around[0], around[1])
    with pytest.raises(ValueError, match=r"hue must have shape \(3,\)"):
        style.hues([0.1], 3)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 0 to 1.5"):
        style.hues([0.0, 1.5], 2)


def test_what_the_backend_sets_inside_the_look_stays():
    """The first figure of a notebook loads its backend while a figure is drawn, and that switches
    to interactive."""
    was = matplotlib.is_interactive()
    try:
        with plots.look():
            matplotlib.interactive(not was)
        assert matplotlib.is_interactive() is not was
    finally:
        matplotlib.interactive(was)


FIGURES = {
    "training": lambda s, ax: plots.training(TRAINED, ax=ax),
    "frontier": lambda s, ax: plots.frontier(ROWS, ax=ax),
    "frontier_steps": lambda s, ax: plots.frontier(ROWS, ax=ax, x="token_steps"),
    "bound_rates": lambda s, ax: plots.bound_rates(CURVE, ax=ax),
    "bits": lambda s, ax: plots.bits(s["none"].tokens, order=s["none"].tokens.sum(1), ax=ax, title="a $b$_{ title"),
    "unmasking": lambda s, ax: plots.unmasking(s["none"], ax=ax),
    "unmasking_given": lambda s, ax: plots.unmasking(hand_made(), ax=ax),
    "trajectories": lambda s, ax: plots.latent_trajectories(s["continuous"], cloud=s["cloud"], hue=s["hue"], ax=ax),
    "spread": lambda s, ax: plots.latent_spread(np.random.default_rng(0).normal(size=(90, 30, 4)), ax=ax),
    "codebook": lambda s, ax: plots.codebook_use(np.arange(120).reshape(40, 3) % 17, 32, ax=ax),
}
FRAMES = {
    "continuous": lambda s, n: plots.frame(s["continuous"], 5, 2, cloud=s["cloud"], hue=s["hue"]),
    "discrete": lambda s, n: plots.frame(s["discrete"], 2),
    "none": lambda s, n: plots.frame(s["none"], 1),
    "two": lambda s, n: plots.frame([s["continuous"], s["none"]], 5, cloud=s["cloud"]),
    "three": lambda s, n: plots.frame([s["continuous"], s["discrete"], s["none"]], 3),
    "four": lambda s, n: plots.frame([s["continuous"], s["none"], s["discrete"], s["none"]], 6),
    "words": lambda s, n: plots.frame(n, 3),
    "words_four": lambda s, n: plots.frame([n, n, n, n], 5, names=["a $ name", "b" * 60, "_{", "中文"]),
    "given": lambda s, n: plots.frame(hand_made(("word", "another")), 3),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("given", [False, True])
def test_figures_can_be_read_and_leave_the_settings_alone(name, given, saws):
    with plt.rc_context({"font.size": 5, "axes.labelsize": 4, "axes.titlesize": 4, "savefig.bbox": "tight"}):
        before = dict(matplotlib.rcParams)
        own = plt.subplots(figsize=(5, 3.4), layout="constrained")[1] if given else None
        ax = FIGURES[name](saws, own)
        assert isinstance(ax, plt.Axes) and (own is None or ax is own)
        assert dict(matplotlib.rcParams) == before
        readable(ax.figure)
    assert to_hex(ax.get_facecolor()) == "#ffffff"


@pytest.mark.parametrize("name", FRAMES)
def test_frames_can_be_read_and_are_small(name, saws, news):
    before = dict(matplotlib.rcParams)
    figure = FRAMES[name](saws, news)
    readable(figure)
    data = plots.png(figure)
    assert dict(matplotlib.rcParams) == before
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG" and picture.size[0] == 900 and 150 < picture.size[1] < 700
    assert len(data) < 60_000
    assert not plt.get_fignums(), "nothing that a notebook would show a second time"

"""The panels in the picture of a run: each shows what the trace holds at that step."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from lddm_lite import plots
from lddm_lite.plots import run_panels, style

from .drawing import by_kind, contrast


def test_frames_show_the_bits_of_the_step(saws):
    t = saws["none"]
    order = t.tokens.sum(1)
    for step in range(5):
        found = by_kind(plots.frame(t, step, sample=4, order=order))
        now = t.tokens_at(step)
        cells = found["cells"][0].collections
        palette = [to_hex(c) for c in plots.BIT_COLOURS]
        assert [palette.index(to_hex(c)) for c in cells[0].get_facecolors()] == now[4].tolist()
        fresh = int((t.reveal_step[4] == step).sum()) if step else 0
        assert (len(cells[1].get_paths()) if fresh else len(cells)) == (fresh or 1)
        (raster,) = found["raster"]
        truth = np.array([to_rgb(c) for c in plots.BIT_COLOURS])[now[np.argsort(order, kind="stable")]]
        assert np.allclose(raster.images[0].get_array(), truth)
        mark = raster.lines[0].get_ydata()[0]
        row = list(np.argsort(order, kind="stable")).index(4)
        assert mark == pytest.approx(1 - (row + 0.5) / 6)
        assert [ax.lines[2].get_xdata().tolist() for ax in found["path"]] == [[t.knots[step][0]]]


def test_frames_show_the_latents_of_the_step(saws):
    t = saws["continuous"]
    windows = set()
    for step in (0, 2, 6):
        (ax,) = by_kind(plots.frame(t, step, sample=1, cloud=saws["cloud"], hue=saws["hue"]))["plane"]
        dots, now = (c.get_offsets() for c in ax.collections)
        assert np.allclose(dots, saws["cloud"][:, 0]) and np.allclose(now, t.latents[step, :, 0])
        assert np.allclose(ax.lines[0].get_xydata(), t.latents[: step + 1, 1, 0])
        windows.add((*ax.get_xlim(), *ax.get_ylim()))
    assert len(windows) == 1, "the window does not move with the step"


def test_frames_take_coordinates_from_elsewhere(saws):
    t = saws["continuous"]
    rng = np.random.default_rng(0)
    paths, dots = rng.normal(size=(7, 6, 2)), rng.normal(size=(9, 2))
    figure = plots.frame([t, saws["none"]], 3, sample=2, planes=[(paths, dots), None], hue=np.arange(9))
    (ax,) = by_kind(figure)["plane"]
    assert np.allclose(ax.collections[0].get_offsets(), dots) and np.allclose(ax.lines[0].get_xydata(), paths[:4, 2])
    many = plots.frame([t, t], 3, cloud=[saws["cloud"], None])
    assert [len(a.collections[0].get_offsets()) for a in by_kind(many)["plane"]] == [50, 6]


def test_frames_fill_in_the_code_slots(saws):
    t = saws["discrete"]
    for step in (0, t.steps):
        ax = next(a for a in plots.frame(t, step, 5).axes if a.get_xlabel() == "latent codes")
        shown = [s.get_text() for s in ax.texts]
        assert shown == (["···"] * 3 if step == 0 else [str(v) for v in t.latents[-1, 5]])


def test_frames_set_words_and_hide_masked_ones(news):
    for step in (0, 3, 5):
        (ax,) = by_kind(plots.frame(news, step, sample=2))["cells"]
        now, when = news.tokens_at(step)[2], news.reveal_step[2]
        seen = [news.labels[v] for v in now if v != news.mask_id]
        assert [t.get_text() for t in ax.texts] == seen
        faces = [to_hex(c) for c in ax.collections[0].get_facecolors()]
        first, last = plots.reveal_range(news)
        want = [
            style.MASKED if v == news.mask_id else plots.reveal_colour(int(k), first, last)
            for v, k in zip(now, when, strict=True)
        ]
        assert faces == want
        for text, face in zip(ax.texts, [f for f, v in zip(faces, now, strict=True) if v != news.mask_id], strict=True):
            assert contrast(text.get_color(), face) >= 4.5
        rings = sum(to_hex(e) == style.FRESH for e in ax.collections[0].get_edgecolors())
        assert rings == (int((when == step).sum()) if step else 0)


def test_bits_fill_a_rectangle():
    assert math.prod(run_panels.bit_shape(1024, 4.0)) == 1024

"""A still of a run, and the running text in it."""

import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb

from lddm_lite import Trace, plots
from lddm_lite.plots import panels, style, words

from .drawing import contrast, hand_made, readable


def test_what_the_font_lacks_is_shown_as_a_box():
    assert words.printable("plain é $x_1$ \\frac שלום") == "plain é $x_1$ \\frac שלום"
    assert words.printable("中\n\u202eab\U0001f984\x00") == "□□□ab□□"


def test_widths_are_those_of_the_drawn_text():
    figure = plt.figure(dpi=100)
    for word in ("will", "pneumonoultramicroscopic", "$a_b$", "."):
        t = figure.text(0, 0, word, fontsize=9, family="DejaVu Sans", parse_math=False)
        drawn = t.get_window_extent(figure.canvas.get_renderer()).width * 72 / 100
        assert words.width(word) == pytest.approx(drawn, abs=0.8)


def test_words_are_set_in_lines_and_the_rest_is_counted():
    labels = [(k, w) for k, w in enumerate(["alpha", "##bet", "", "gamma", "x" * 200, "delta", "omega"])]
    placed, left = words.set_words(labels, room=120, lines=3)
    assert left == 0 and [w.position for w in placed] == [0, 1, 3, 4, 5, 6]
    assert placed[1].x == pytest.approx(placed[0].x + placed[0].width), "word pieces join"
    assert placed[2].x > placed[1].x + placed[1].width
    assert placed[3].text.endswith("…") and placed[3].width <= 120 and [w.line for w in placed] == [0, 0, 0, 1, 2, 2]
    assert all(w.x + w.width <= 120 for w in placed)
    placed, left = words.set_words(labels, room=120, lines=2)
    assert left == 2 and len(placed) == 4


def by_kind(figure):
    """The panels of a frame, those of each kind as a list of Axes; 'cells' are bits or words."""
    out = {"cells": [], "raster": [], "plane": [], "path": []}
    for ax in figure.axes:
        label = ax.get_xlabel()
        kind = "raster" if "samples" in label else "plane" if "latents" in label else "path" if "t_x" in label else None
        if kind is None and any(isinstance(c, PolyCollection) for c in ax.collections) and not ax.axison:
            kind = "cells"
        if kind:
            out[kind].append(ax)
    return out


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


def test_frames_say_where_each_run_is_and_shorter_ones_wait(saws):
    traces = [saws["continuous"], saws["none"]]  # 6 and 4 steps
    for step in range(7):
        figure = plots.frame(traces, step, sample=3)
        texts = [t.get_text() for t in figure.texts]
        assert sum("sample 3" == t for t in texts) == 2
        for t in traces:
            now = min(step, t.steps)
            masked = int((t.tokens_at(now)[3] == 2).sum())
            line = next(x for x in texts if f"NFE {now} of {t.nfe}" in x and f"{masked} masked" in x)
            assert f"$t_x$ {t.knots[now][0]:.2f}" in line
            assert ("$t_z$" in line) == (t.latents is not None)
        spots = [ax.lines[2].get_xydata().tolist() for ax in by_kind(figure)["path"]]
        assert spots == [[list(t.knots[min(step, t.steps)])] for t in traces]


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


def test_frames_keep_their_size_and_leave_padding_out():
    t = hand_made(("word", "another", "[PAD]"), pad=2)
    sizes = {plots.frame(t, k, sample=1).get_size_inches().tobytes() for k in range(4)}
    assert len(sizes) == 1
    texts = [s.get_text() for s in by_kind(plots.frame(t, 3, sample=1))["cells"][0].texts]
    assert texts == ["another", "word", "another"]
    assert any("Pink: given" in s.get_text() for s in plots.frame(t, 3, sample=1).texts)


def hostile(length=128):
    vocab = ["$a_{", "<b>", "\\frac", "中文", "\U0001f984", "שלום", "a\nb", "\u202eevil", "^", "x" * 300, "##ing", ""]
    rng = np.random.default_rng(0)
    tokens, when = rng.integers(0, len(vocab), (3, length)), rng.integers(1, 5, (3, length))
    knots = [(1 - k / 4, 0) for k in range(5)]
    return Trace(tokens, when, np.ones((3, length)), knots, vocab, len(vocab), model="$\\bad_{ <i>中")


@pytest.mark.filterwarnings("error")
def test_hostile_text_is_drawn_as_it_is(recwarn):
    t = hostile()
    for traces in (t, [t, t, t, t]):
        figure = plots.frame(traces, 3)
        texts = readable(figure)
        assert "□□" in texts and "$a_{" in texts and "a□b" in texts and "\\frac" in texts
        assert not [v for v in texts if "\n" in v]
    assert any("more" in v for v in texts), "a long text is cut, and says so"


def test_long_bit_sequences_have_a_bounded_height():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2, (2, 1024))
    t = Trace(tokens, np.ones_like(tokens), np.ones(tokens.shape), [(1, 0), (0, 0)], ["0", "1"], 2)
    assert plots.frame(t, 1).get_figheight() < 5
    assert math.prod(panels.bit_shape(1024, 4.0)) == 1024


def test_a_frame_is_quick(saws):
    traces = [saws["continuous"], saws["discrete"], saws["none"], saws["continuous"]]
    best = math.inf
    for _ in range(4):
        start = time.process_time()  # what else runs on the machine does not count
        plots.frame(traces, 3, cloud=saws["cloud"])
        best = min(best, time.process_time() - start)
    assert best < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(traces=[]), "1 to 4, got 0"),
        (dict(traces=["none"] * 5), "1 to 4, got 5"),
        (dict(traces=["cloud"]), "traces must hold Trace objects"),
        (dict(step=5), r"step must be an integer in \[0, 4\], got 5"),
        (dict(step=1.5), "step"),
        (dict(sample=6), r"sample must be an integer in \[0, 5\]"),
        (dict(order=[1, 2]), r"order must have shape \(6,\)"),
        (dict(names=["a", "b"]), "names must have one entry per trace, 1, got 2"),
        (dict(planes=[None, None]), "planes must have one entry per trace"),
        (dict(traces=["continuous"], planes=[(np.zeros((2, 6, 2)), np.zeros((3, 2)))]), r"planes\[0\]"),
        (dict(traces=["continuous"], cloud=np.zeros((3, 4, 5))), "cloud must have shape"),
        (dict(traces=["continuous"], hue=[0.5]), "give cloud"),
        (dict(traces=["continuous"], cloud=np.zeros((3, 1, 2)), hue=[0.5]), r"hue must have shape \(3,\)"),
    ],
)
def test_frames_name_a_wrong_argument(options, message, saws):
    options = {"traces": ["none"], "step": 0, **options}
    options["traces"] = [saws[k] for k in options["traces"]]
    with pytest.raises(ValueError, match=message):
        plots.frame(**options)


def test_runs_of_different_sizes_are_refused(saws, news):
    with pytest.raises(ValueError, match=r"as many sequences; got \[6, 4\]"):
        plots.frame([saws["none"], news], 0)

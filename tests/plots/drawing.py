"""What several tests draw, how colours are measured, and what can be read of a figure."""

import io
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from lddm_lite import History, Trace

ROWS = [
    {"system": s, "nfe": k + o, "token_steps": k, "excess": e / k, "excess_se": 0.2}
    for s, o, e in (("exact", 0, 40.0), ("mdlm", 0, 47.0), ("co-seq", 16, 0.4), ("di-seq", 1, -0.3), ("own", 0, 9.0))
    for k in (1, 2, 4, 8, 16)
]
TRAINED = History([{"step": 20 * k, "stage": 1 + (k > 30), "tokens": 90 / (1 + 0.1 * k)} for k in range(1, 90)])
for row in TRAINED.rows[30:]:
    row["latents"] = 2.0
CURVE = [
    {"t": t, "tokens": 60 + 20 * t, "latents": 6 * (1 - t), "tokens_se": 1.0, "latents_se": 0.1} for t in (0, 0.5, 1)
]


def hand_made(labels=("a", "b"), pad=None):
    """Two sequences: positions given, revealed at steps 1 and 3 of 3, and (with `pad`) padding."""
    tokens, when = [[0, 1, 1, 0], [1, 0, 1, 1]], [[0, 1, 3, 3], [1, 3, 0, 1]]
    if pad is not None:
        tokens[1][3], when[1][3] = pad, 0
    knots = [(1, 0), (0.6, 0), (0.3, 0), (0, 0)]
    return Trace(tokens, when, np.ones((2, 4)), knots, list(labels), len(labels), pad_id=pad, model="hand")


def luminance(colour):
    """Relative luminance, WCAG 2.1."""
    c = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def lightness(colour):
    """CIE L*, 0 to 100."""
    y = luminance(colour)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def readable(figure):
    """Draw, and assert: every text has at least 9 points, lies within the figure, and touches no
    other."""
    drawn, plain_draw = [], Text.draw

    def draw(self, renderer):
        drawn.append(self)
        return plain_draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        with plt.rc_context({"savefig.bbox": None}):
            figure.savefig(io.BytesIO(), dpi=100)
    shown = [t for t in dict.fromkeys(drawn) if t.get_visible() and t.get_text().strip()]
    assert shown
    box = figure.bbox
    boxes = [(t, t.get_window_extent()) for t in shown]
    for t, b in boxes:
        assert t.get_fontsize() >= 9, t
        assert b.x0 >= -1 and b.y0 >= -1 and b.x1 <= box.width + 1 and b.y1 <= box.height + 1, f"{t} is cut off"
    for (t, a), (u, b) in itertools.combinations(boxes, 2):
        over = min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        assert not over, f"{t} and {u} overlap"
    return [t.get_text() for t in shown]


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

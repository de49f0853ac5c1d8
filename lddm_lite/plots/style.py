"""Style of all figures: palettes, sizes, and the context in which every figure is drawn.

All palettes are safe for colour-blind readers and differ in lightness, so that grey print stays
readable. Figures have a white background of their own, also inside a dark notebook. Nothing here
changes the user's global settings.
"""

from __future__ import annotations

import contextlib

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from .._common import arguments, schemas

__all__ = [
    "ACCENT", "ATOMS", "BIT_COLOURS", "BRIGHT", "COLOURS", "CYCLE", "DOTS", "FAINT", "FRESH", "GIVEN", "GREYS",
    "GROUPS", "INK", "MARKERS", "MASKED", "NOTE", "NOW", "ON_MAP", "OTHERS", "OUTLINE", "REVEAL", "SOFT",
    "TERMS", "THEMES", "axes", "hues", "in_legend", "ink_on", "look", "plain", "reveal_colour", "reveal_range",
]  # fmt: skip

# systems, from dark to light: L* = 13, 33, 47, 56, 68, 75
COLOURS = {
    "exact": "#222222",
    "co-seq": "#004f8c",
    "di-seq": "#0b7f5f",
    "mdlm": "#d9650a",
    "co-joint": "#5aaee6",
    "di-joint": "#dea6dc",
}
OTHERS = ["#cc79a7", "#7a5c00", "#e69f00", "#8a8a8a"]  # systems of one's own
MARKERS = {"exact": "s", "mdlm": "D", "co-seq": "o", "co-joint": "v", "di-seq": "^", "di-joint": "P"}
TERMS = {"tokens": "#004f8c", "latents": "#d9650a", "commit": "#0b7f5f", "prior": "#9a9a9a"}  # of the bound, of a loss
BIT_COLOURS = ["#f2e9d8", "#12355b", "#a9b4bf"]  # 0, 1, masked
# step of the reveal, early to late (cividis); the browser code has the same list
REVEAL = ["#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78"]
REVEAL += ["#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838"]
# a quantity that comes round again, such as an angle (twilight without its whitest part)
CYCLE = ["#7ba1c2", "#6276ba", "#5e43a5", "#4e186f", "#2f1436", "#581647"]
CYCLE += ["#8e2c50", "#b25652", "#c68a6d", "#c9b3a2", "#a9b7be"]
GROUPS = [  # unordered classes, the last one for what is left over
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#4b2e83", "#8a8a8a",
]  # fmt: skip
FRESH = "#d55e00"  # what this step revealed, and where the point is now
MASKED = "#dfe4e8"
GIVEN = "#cc79a7"  # positions that were given, not revealed
DOTS = "#9fb3c8"  # data behind
NOW = "#12355b"
ACCENT = "#b34700"  # what a figure is about; as in the browser
ON_MAP = {"tokens": "#7cc4ff", "latents": "#ff8a3c"}  # marks on a coloured map; as in the browser
INK, NOTE, SOFT, FAINT = "#222222", "#444444", "#777777", "#b5b5b5"  # curves, words and lines beside them, frames
OUTLINE = "#10151b"  # around marks on a coloured map
THEMES = {  # of drawings, widgets, site and decks: every colour of text has a contrast of 4.5:1 on the paper
    "light": {"paper": "#ffffff", "raised": "#f4f6f8", "ink": "#1c2127", "soft": "#565f69", "line": "#c3c9cf",
              "mask": "#d9dee3", "mask-ink": "#4f5963", "control": "#7a838c",
              "tokens": "#0b5cad", "latents": "#b34700"},
    "dark": {"paper": "#15191e", "raised": "#20262d", "ink": "#eef1f4", "soft": "#aab4be", "line": "#4a545e",
             "mask": "#38424c", "mask-ink": "#b9c3cc", "control": "#8b959f",
             "tokens": "#6cb6ff", "latents": "#ff9d4d"},
}  # fmt: skip
BRIGHT = {"co-seq": "#2f7fc1", "di-joint": "#c06cb4", "1": "#4f83bd"}  # systems, and bits, where paper may be dark
GREYS = ["#f4f1ea", "#14181d"]  # of pictures, from white to black
ATOMS = {  # of structures, as chemists colour them, apart from carbon
    "light": {"n": "#1d4fd0", "o": "#c22a1e", "f": "#0f7a4a", "s": "#7d6400", "br": "#8a4b14", "i": "#8a2fc4"},
    "dark": {"n": "#8fb4ff", "o": "#ff8a7a", "f": "#6fd6a2", "s": "#e0c760", "br": "#e0a36a", "i": "#cf9cf5"},
}

_LOOK = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that figures are the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.titlelocation": "center",
    "text.usetex": False,
    "axes.unicode_minus": True,
}


@contextlib.contextmanager
def look(**changes):
    """Style context in which figures are drawn: `with look(): ...`. The settings that it makes, and
    no others, are undone at its end: the first figure of a notebook loads its backend in here, and
    what that sets must stay (which `matplotlib.rc_context` would undo). `changes`: further
    settings, with "_" for ".".

    >>> before = matplotlib.rcParams["axes.titlesize"]
    >>> with look():
    ...     inside = matplotlib.rcParams["axes.titlesize"]
    >>> inside, matplotlib.rcParams["axes.titlesize"] == before
    (11.0, True)
    """
    settings = {**_LOOK, **{k.replace("_", "."): v for k, v in changes.items()}}
    before = {k: matplotlib.rcParams[k] for k in settings}
    matplotlib.rcParams.update(settings)
    try:
        yield
    finally:
        matplotlib.rcParams.update(before)


def axes(ax, size: tuple[float, float]):
    """`ax` in our look; None makes a figure of `size` inches for it. To be called inside `look()`.

    >>> axes(None, (4, 3)).spines["top"].get_visible()
    False
    """
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be an Axes of matplotlib, or None, got {arguments.shown(ax)}")
    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9)
    for text, points in ((ax.xaxis.label, 10), (ax.yaxis.label, 10), (ax.title, 11)):
        text.set_fontsize(points)
    return ax


def plain(values, name: str = "values") -> np.ndarray:
    """Numbers of any origin as a numpy array: lists, arrays, tensors on any device, with or without
    a gradient.

    >>> plain([1, 2]).tolist()
    [1, 2]
    """
    return arguments.numbers_of(name, values, "iufbUO")


def ink_on(colour) -> str:
    """Text colour, black or white, whichever reads better on `colour`: a contrast of at least
    4.58:1 on any colour (WCAG 2 asks for 4.5:1 and defines it as (Y1 + 0.05) / (Y2 + 0.05), Y the
    relative luminance).

    >>> ink_on("#00224e"), ink_on("#fee838")
    ('#ffffff', '#000000')
    """
    try:
        c = np.array(to_rgb(colour))
    except (ValueError, TypeError, RuntimeError):
        raise ValueError(f"colour must be one of matplotlib's, got {arguments.shown(colour)}") from None
    y = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    return "#000000" if (y + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def in_legend(name: str, most: int = 28) -> str:
    """A name as matplotlib draws it in a legend: its end kept, where folders differ, and no "$"
    taken for a formula.

    >>> in_legend("_a$b")
    'a\\\\$b'
    """
    return ("…" + name[1 - most :] if len(name) > most else name).replace("$", r"\$").lstrip("_")


@schemas.checked(trace=schemas.has("a Trace", "reveal_step"))
def reveal_range(trace) -> tuple[int, int]:
    """The first and the last step of a Trace that can reveal tokens: steps at which t_x falls.

    >>> from lddm_lite import Trace
    >>> reveal_range(Trace([[0]], [[3]], [[1]], [(1, 1), (1, 0.5), (1, 0), (0, 0)], ["a"], 1))
    (3, 3)
    """
    t_x = np.array([k[0] for k in trace.knots])
    moving = np.flatnonzero(np.diff(t_x) < 0) + 1
    return (int(moving[0]), int(moving[-1])) if len(moving) else (1, max(1, trace.steps))


@schemas.checked(step=schemas.whole(0), first=schemas.whole(0), last=schemas.whole(0))
def reveal_colour(step: int, first: int, last: int) -> str:
    """The colour of what was revealed at `step`, on `REVEAL` stretched from step `first` to step
    `last`.

    >>> reveal_colour(1, 1, 8) == REVEAL[0], reveal_colour(8, 1, 8) == REVEAL[-1]
    (True, True)
    """
    share = (step - first) / (last - first) if last > first else 0.0
    return to_hex(_RAMP(min(1.0, max(0.0, share))))

_RAMP = LinearSegmentedColormap.from_list("reveal", REVEAL, N=1001)
_ROUND = LinearSegmentedColormap.from_list("cycle", [*CYCLE, CYCLE[0]], N=1001)


def hues(hue, n: int) -> list | np.ndarray:
    """Colours for n points: one grey for None; floats in [0, 1] are a cyclic quantity (`CYCLE`),
    integers are classes (`GROUPS`). Raises ValueError for another length or range.

    >>> hues([0, 1], 2)
    ['#0072b2', '#d55e00']
    """
    if hue is None:
        return [DOTS] * n
    hue = plain(hue, "hue")
    if hue.shape != (n,):
        raise ValueError(f"hue must have shape ({n},), one value per point of the cloud, got {hue.shape}")
    if hue.dtype.kind in "iub":
        return [GROUPS[int(k) % len(GROUPS)] for k in hue]
    hue = hue.astype(float)
    if not ((hue >= 0) & (hue <= 1)).all():
        raise ValueError(f"hue must hold integers, or numbers in [0, 1], got {np.nanmin(hue):g} to {np.nanmax(hue):g}")
    return _ROUND(hue)

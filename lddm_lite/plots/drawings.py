"""Drawings of the idea, made by code: the saw wave, the two clocks, the architecture, the sampler's
paths. Each has a light and a dark theme and a text for those who do not see it; all are legible at
a width of 400 pixels. `write` makes the files that pages show.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle, Wedge

from .._common import files, schemas
from ..diffusion.paths import Path
from ..tasks import Binsaw
from .style import THEMES, look

__all__ = ["DRAWINGS", "Drawing", "architecture", "drawing", "sampler_paths", "saw_wave", "two_clocks", "write"]

WIDTH = 5.6  # inches: a point of type is a pixel where the page is 400 wide
HEAD, TEXT = 12, 10.5  # points

_theme = schemas.choice(*THEMES)


class Drawing(Figure):
    """A Figure with a text for those who do not see it, `alt`. A notebook shows its PNG, twice as
    fine as a screen."""

    def __init__(self, alt: str, height: float, theme: str):
        with look():
            super().__init__(figsize=(WIDTH, height), facecolor=THEMES[theme]["paper"])
        self.alt, self.ink = alt, THEMES[theme]
        self.page = self.add_axes((0, 0, 1, 1))  # in inches
        self.page.set(xlim=(0, WIDTH), ylim=(0, height))
        self.page.set_axis_off()

    def word(self, x: float, y: float, text: str, colour: str = "ink", size: float = TEXT, **style):
        """Text, centred if nothing else is said.

        - `x`, `y`: its place, in inches;
        - `text`: may hold formulas;
        - `colour`: a key of the theme;
        - `size`: in points.
        """
        style = {"ha": "center", "va": "center", **style}
        return self.page.text(x, y, text, color=self.ink[colour], fontsize=size, family="DejaVu Sans", **style)

    def arrow(self, start, end, colour: str = "soft", ax: Axes | None = None, **style) -> None:
        """An arrow from a place to another, in inches, or in the units of `ax`."""
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "lw": 1.5, "shrinkA": 0, "shrinkB": 0, **style}
        (ax or self.page).add_patch(FancyArrowPatch(start, end, color=self.ink[colour], **style))

    def box(self, x: float, y: float, width: float, height: float, colour: str = "soft", **style) -> None:
        """A box with round corners.

        - `x`, `y`: its lower left corner, in inches;
        - `width`, `height`: in inches;
        - `colour`: of its edge, a key of the theme.
        """
        style = {"facecolor": self.ink["raised"], "lw": 1.3, **style}
        shape = "round,pad=0,rounding_size=0.07"
        self.page.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, edgecolor=self.ink[colour], **style))

    def cells(self, x: float, y: float, size: float, bits) -> None:
        """Bits as a row of squares; None is a masked one."""
        for k, bit in enumerate(bits):
            fill = self.ink["mask" if bit is None else "tokens" if bit else "paper"]
            square = Rectangle((x + k * size, y), size, size, facecolor=fill, edgecolor=self.ink["soft"], lw=0.8)
            self.page.add_patch(square)
            if bit is None:
                self.word(x + (k + 0.5) * size, y + size / 2, "?", "soft", 9)

    def bytes(self, kind: str = "svg") -> bytes:
        """As the bytes of an SVG, the same from the same versions, or of a PNG."""
        out = io.BytesIO()
        settings = {"svg_hashsalt": "lddm-lite", "svg_fonttype": "path", "savefig_bbox": None}
        with look(**settings):
            extra = {"metadata": {"Date": None, "Title": self.alt}} if kind == "svg" else {"dpi": 200}
            self.savefig(out, format=kind, **extra)
        return out.getvalue()

    def _repr_png_(self):
        return self.bytes("png"), {"alt": self.alt, "width": int(100 * WIDTH)}


@schemas.checked(theme=_theme)
def saw_wave(theme: str = "light") -> Drawing:
    """Binsaw: the wave for three shifts, a sequence that each gives, and many, sorted by shift."""
    d = Drawing(
        "Three copies of a wave of two saws, each displaced by a hidden shift. Below each curve a row of 32 bits that "
        "were drawn from it, mostly ones where the wave is high. Below them 64 such rows sorted by their shift: the "
        "ones lie in slanted bands.",
        4.4,
        theme,
    )
    task, shifts = Binsaw(length=32), (0.0, 0.15, 0.3)
    at = np.linspace(0, 1, 257)
    wave = task.eps + (1 - 2 * task.eps) * (1 - np.abs(2 * ((2 * (at + np.array(shifts)[:, None])) % 1) - 1))
    bits = torch.bernoulli(task.bit_probs(torch.tensor(shifts)), generator=torch.Generator().manual_seed(3)).long()
    left, width, cell = 0.72, 4.68, 4.68 / 32
    d.word(left, 4.2, "A hidden shift $s$ displaces the wave;", size=HEAD, ha="left", weight="bold")
    d.word(left, 3.97, "each bit is drawn from it on its own", size=HEAD, ha="left", weight="bold")
    for k, shift in enumerate(shifts):
        low = 3.24 - 0.74 * k
        d.page.plot(left + width * at, low + 0.42 * wave[k], color=d.ink["latents"], lw=2, clip_on=False)
        d.page.plot([left, left + width], [low, low], color=d.ink["line"], lw=0.8)
        d.word(0.08, low + 0.2, f"$s$={shift:g}" if shift else "$s$=0", "latents", 9.5, ha="left")
        d.cells(left, low - 0.2, cell, bits[k].tolist())
    rows = task.sample(64, seed=0)
    rows = rows[task.find_shift(rows).argsort()]
    many = d.add_axes((left / WIDTH, 0.32 / 4.4, width / WIDTH, 1.02 / 4.4))
    colours = ListedColormap([d.ink["paper"], d.ink["tokens"]])
    many.imshow(np.asarray(rows), cmap=colours, aspect="auto", interpolation="nearest")
    many.set(xticks=[], yticks=[])
    for spine in many.spines.values():
        spine.set_color(d.ink["soft"])
    d.word(left + width / 2, 0.13, "64 sequences, sorted by their shift", "soft")
    return d


@schemas.checked(theme=_theme)
def two_clocks(theme: str = "light") -> Drawing:
    """The two noise times along a path on which the latents are ahead, and what they look like."""
    path = Path(0.25)
    d = Drawing(
        "Five moments of a run, from pure noise to data. The clock of the latent runs ahead: it stands at 1, 0.67, "
        "0.33, 0 and 0, and a cloud of possible latents on a ring shrinks to a point. The clock of the tokens stands "
        "at 1, 1, 0.67, 0.33 and 0, and of six masked tokens none, none, two, four and at last all are revealed.",
        3.3,
        theme,
    )
    truth = (0, 1, 1, 0, 0, 1)
    order = (2, 5, 0, 3, 1, 4)
    g = np.random.default_rng(4)
    d.word(WIDTH / 2, 3.12, "Two clocks: the latent's runs ahead", size=HEAD, weight="bold")
    d.arrow((1.3, 2.8), (4.82, 2.8))
    d.word(1.22, 2.8, "noise", "soft", ha="right")
    d.word(4.9, 2.8, "data", "soft", ha="left")
    for row, (name, colour) in enumerate((("latent", "latents"), ("tokens", "tokens"))):
        d.word(0.08, 2.33 - 1.42 * row, name, colour, 11, ha="left", weight="bold")
    for k, u in enumerate((1.0, 0.75, 0.5, 0.25, 0.0)):
        t_x, t_z = (float(v) for v in path.at(torch.tensor(u, dtype=torch.float64)))
        x = 1.28 + 0.95 * k
        for y, t, colour, name in ((2.33, t_z, "latents", "z"), (0.91, t_x, "tokens", "x")):
            d.page.add_patch(Circle((x, y), 0.24, facecolor=d.ink["raised"], edgecolor=d.ink[colour], lw=1.6))
            if t > 0:
                d.page.add_patch(Wedge((x, y), 0.24, 90 - 360 * t, 90, facecolor=d.ink[colour], lw=0, alpha=0.85))
            d.word(x, y - 0.38, f"$t_{name}$={t:.2g}", colour, 10)
        angle = 0.7 + (math.pi * (t_z if t_z > 0 else 0.0)) * g.uniform(-1, 1, 40)
        far = 0.2 * (1 + 0.9 * t_z * g.normal(size=40).clip(-1.2, 1.2) * 0.5)
        centre = np.array([[x], [1.54]])
        ring = Circle((x, 1.54), 0.2, facecolor="none", edgecolor=d.ink["line"], lw=1)
        d.page.add_patch(ring)
        n = 40 if t_z > 0 else 1
        at = centre + far[:n] * np.array([np.cos(angle[:n]), np.sin(angle[:n])])
        d.page.scatter(at[0], at[1], s=9 if t_z > 0 else 42, color=d.ink["latents"], lw=0, zorder=3)
        known = set(order[: round(6 * (1 - t_x))])
        d.cells(x - 0.39, 0.2, 0.13, [truth[i] if i in known else None for i in range(6)])
    return d


@schemas.checked(theme=_theme)
def architecture(theme: str = "light") -> Drawing:
    """The denoiser: a token stream and a latent stream that meet in joint attention."""
    d = Drawing(
        "The network from below: partly masked tokens enter a token stream, the noised latent and its noise time "
        "enter a latent stream. In each of several blocks both streams attend jointly to all positions of both, "
        "and then each passes its own small network. On top leave a probability for every masked token, and a guess "
        "of the clean latent.",
        4.5,
        theme,
    )
    token, latent, wide = 1.62, 4.25, 1.9
    d.word(WIDTH / 2, 4.3, "One network, two streams", size=HEAD, weight="bold")
    for x, colour in ((token, "tokens"), (latent, "latents")):
        for low, high in ((0.93, 1.37), (1.92, 2.2), (2.68, 3.12)):
            d.arrow((x, low), (x, high), colour, lw=2)
        d.box(x - wide / 2, 2.2, wide, 0.48, colour)
        d.word(x, 2.44, "its own MLP", colour)
    d.box(0.3, 1.2, 5.0, 1.64, "line", facecolor="none", lw=1.2, ls=(0, (4, 3)))
    d.word(WIDTH / 2, 2.44, "× N", "soft", HEAD)
    d.box(token - wide / 2, 1.37, latent - token + wide, 0.55, "ink")
    d.word((token + latent) / 2, 1.645, "joint attention:\nall positions of both streams see each other", size=9.5)
    d.cells(token - 0.72, 0.56, 0.24, (1, None, 0, None, None, 1))
    d.word(token, 0.33, "masked tokens $x_t$", "tokens", 11)
    cloud = np.random.default_rng(2).normal(size=(2, 60))
    d.page.scatter(
        latent - 0.42 + 0.13 * cloud[0], 0.68 + 0.07 * cloud[1], s=5, color=d.ink["latents"], alpha=0.8, lw=0
    )
    d.page.add_patch(Circle((latent + 0.45, 0.68), 0.17, facecolor=d.ink["raised"], edgecolor=d.ink["latents"], lw=1.4))
    d.page.add_patch(Wedge((latent + 0.45, 0.68), 0.17, -90, 90, facecolor=d.ink["latents"], lw=0, alpha=0.85))
    d.word(latent, 0.33, "noised latent $z_t$, its time $t_z$", "latents", 11)
    for k, share in enumerate((None, 0.8, None, 0.25, 0.6, None)):
        x = token - 0.72 + 0.24 * k
        if share is not None:
            for one, value in enumerate((1 - share, share)):
                bar = Rectangle((x + 0.02 + 0.1 * one, 3.2), 0.09, 0.42 * value, facecolor=d.ink["tokens"], lw=0)
                d.page.add_patch(bar)
        d.page.plot([x + 0.01, x + 0.23], [3.2, 3.2], color=d.ink["soft"], lw=1)
    d.word(token, 3.85, "$p(x_0^i\\mid x_t,z_t)$\nof masked tokens", "tokens", 10.5)
    d.page.add_patch(Circle((latent, 3.4), 0.2, facecolor="none", edgecolor=d.ink["line"], lw=1))
    d.page.scatter([latent + 0.153], [3.529], s=46, color=d.ink["latents"], lw=0, zorder=3)
    d.word(latent, 3.85, "$\\hat z$: the clean latent,\nor $p$ of each code", "latents", 10.5)
    return d


@schemas.checked(theme=_theme)
def sampler_paths(theme: str = "light") -> Drawing:
    """Three paths through the square of noise times, four token and four latent steps each."""
    d = Drawing(
        "Three squares of noise times, the tokens' to the right and the latent's upwards. From pure noise at the upper "
        "right to data at the lower left go four token and four latent steps: joint along the diagonal, both in each "
        "call; with half a lead, the latent two steps ahead; sequential, first down, all latent steps, then left, all "
        "token steps.",
        2.75,
        theme,
    )
    d.word(WIDTH / 2, 2.58, "Same steps, three orders", size=HEAD, weight="bold")
    side = 1.42
    for k, (lead, name) in enumerate(((0.0, "joint"), (0.25, "half a lead"), (0.5, "sequential"))):
        x0, y0 = 0.42 + 1.76 * k, 0.72
        path = Path(lead)
        d.page.add_patch(Rectangle((x0, y0), side, side, facecolor=d.ink["raised"], edgecolor=d.ink["line"], lw=1))
        knots = [(x0 + side * q.t_x, y0 + side * q.t_z) for q in path.knots(4, 4)]
        for a, b in zip(knots, knots[1:], strict=False):
            moves = (a[0] - b[0] > 1e-9, a[1] - b[1] > 1e-9)
            colour = "ink" if all(moves) else "tokens" if moves[0] else "latents"
            d.arrow(a, b, colour, lw=2.1, mutation_scale=9)
        at = np.array(knots)
        d.page.scatter(at[:, 0], at[:, 1], s=15, color=d.ink["ink"], zorder=3, lw=0)
        d.word(x0 + side / 2, y0 + side + 0.16, name, size=11)
        d.word(x0 + side / 2, y0 - 0.15, f"{path.nfe(4, 4)} calls", "soft", 10)
        if k == 0:
            d.word(x0 - 0.14, y0 + side / 2, "latent noise $t_z$", "latents", 10, rotation=90)
            d.word(x0 + side - 0.05, y0 + side - 0.66, "noise", "soft", 9.5, ha="right")
            d.word(x0 + 0.3, y0 + 0.12, "data", "soft", 9.5, ha="left")
    d.word(0.42 + side / 2, 0.36, "token noise $t_x$", "tokens", 10)
    for x, colour, text in (
        (0.42, "latents", "latent step"),
        (2.18, "tokens", "token step"),
        (3.94, "ink", "both at once"),
    ):
        d.arrow((x + 0.3, 0.13), (x, 0.13), colour, lw=2.1, mutation_scale=9)
        d.word(x + 0.38, 0.13, text, colour, 10, ha="left")
    return d


DRAWINGS = {f.__name__: f for f in (saw_wave, two_clocks, architecture, sampler_paths)}


@schemas.checked(name=schemas.choice(*DRAWINGS), theme=_theme)
def drawing(name: str, theme: str = "light") -> Drawing:
    """One of the drawings by name, for a notebook to show.

    >>> drawing("two_clocks").alt[:12]
    'Five moments'
    """
    return DRAWINGS[name](theme)


def write(folder) -> list:
    """Write all drawings in both themes as `folder/NAME-THEME.svg`; returns the paths."""
    where, made = files.user_path("folder", folder), []
    for name, draw in DRAWINGS.items():
        for theme in THEMES:
            made.append(where / f"{name.replace('_', '-')}-{theme}.svg")
            files.write(made[-1], draw(theme).bytes())
    return made

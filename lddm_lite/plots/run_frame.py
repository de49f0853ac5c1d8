"""Still frames of a denoising run, a whole run at one step: what the Scrubber shows, for pages
without scripts and for films."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .._common import arguments, schemas
from .._common.arguments import integer
from ..diffusion.trace import Trace
from . import run_panels
from .latent_map import plane
from .run_words import LINE, clip, printable, set_words
from .style import NOTE, hues, look, plain

__all__ = ["Still", "frame", "png", "side_by_side"]

WIDTH = 9.0  # inches; all lengths of the layout are inches
EDGE, GUTTER, HEAD, FOOT, SLOT = 0.12, 0.24, 0.54, 0.3, 0.45
MOST_LINES, MOST_DOTS = 14, 1000


class Still(Figure):
    """A Figure that notebooks show as its `png`, once, whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        return png(self)


@schemas.checked(figure=schemas.has("a figure", "savefig"))
def png(figure) -> bytes:
    """A figure as the bytes of a PNG at 100 dots per inch, in at most 256 colours, which keeps it
    small.

    >>> png(Figure(figsize=(1, 1)))[1:4]
    b'PNG'
    """
    raw, out = io.BytesIO(), io.BytesIO()
    with look(savefig_bbox=None):
        figure.savefig(raw, format="png", dpi=100, facecolor="white", pil_kwargs={"compress_level": 0})
    picture = Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(out, format="png")
    return out.getvalue()


@schemas.checked(step=schemas.whole(0), sample=schemas.whole(0))
def frame(traces, step: int, sample: int = 0, order=None, planes=None, cloud=None, hue=None, names=None) -> Still:
    """One to four runs after `step` steps, side by side, 900 pixels wide: a still of
    `widgets.Scrubber`.

    A column per Trace, in step by NFE (a shorter run stays at its end): its name, NFE, noise times;
    the tokens of sequence `sample`; for bits all sequences, a row each; the latent plane with the
    data behind, all samples and the trail of the chosen one, or the code slots; and the point on
    the path of noise times (METHOD 4). Words have the colour of the step that revealed them
    (`REVEAL`), masked ones are grey blocks, and what this step revealed is outlined. Characters
    that the font lacks appear as boxes.

    - `traces`: a Trace, or a list of up to four with as many sequences each;
    - `step`, `sample`: which step, and which sequence;
    - `order` [n], or a list of such, one per trace: by what the rows of all samples are sorted;
    - `planes`: coordinates computed elsewhere, for each trace (paths [S+1, n, 2], data [N, 2]) or
      None;
    - `cloud` [N, m, d], or a list of such or None, one per trace: encoded data behind the latents;
    - `hue` [N]: colours it, a cyclic quantity in [0, 1], or integer classes;
    - `names`: headings, one per trace; default: the names of the models.

    Returns a Figure; `png` makes bytes of it. Raises ValueError for none or more than four traces,
    traces of different sizes, a step or a sample out of range, and arrays that do not fit.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> figure = frame(LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(4, token_steps=3), step=2)
    >>> float(figure.get_figwidth()), "NFE 2 of 3" in " ".join(text.get_text() for text in figure.texts)
    (9.0, True)
    """
    scene = Scene(traces, order, planes, cloud, hue, names)
    return scene.draw(Still(), scene.check_step(step), scene.check_sample(sample))


def side_by_side(traces) -> list[Trace]:
    """Runs that can be shown together, as a list: one to four, of as many sequences each.
    ValueError for others.

    >>> side_by_side([])
    Traceback (most recent call last):
    ValueError: traces must be one Trace or a list of 1 to 4, got 0
    """
    out = list(traces) if isinstance(traces, (list, tuple)) else [traces]
    if not 1 <= len(out) <= 4:
        raise ValueError(f"traces must be one Trace or a list of 1 to 4, got {len(out)}")
    for t in out:
        if not isinstance(t, Trace):
            raise ValueError(f"traces must hold Trace objects, got {type(t).__name__}")
    if len({len(t) for t in out}) > 1:
        raise ValueError(f"all traces must hold as many sequences; got {[len(t) for t in out]}")
    return out


class Scene:
    """The runs of a still or a film with all that does not depend on the step; `draw` puts one step
    into a figure."""

    @schemas.checked(names=schemas.maybe(schemas.items(schemas.maybe(schemas.text()))), planes=schemas.maybe(
        schemas.items(schemas.maybe(schemas.items(schemas.anything, 2, 2)))))  # fmt: skip
    def __init__(self, traces, order=None, planes=None, cloud=None, hue=None, names=None):
        self.traces = side_by_side(traces)
        n, self.size, self.last = len(self.traces), len(self.traces[0]), max(t.steps for t in self.traces)
        self.names = [t.model or "run" for t in self.traces] if names is None else [str(v) for v in names]
        if len(self.names) != n:
            raise ValueError(f"names must have one entry per trace, {n}, got {len(self.names)}")
        self.orders = self._each("order", order, 1)
        for v in self.orders:
            if v is not None and v.shape != (self.size,):
                raise ValueError(f"order must have shape ({self.size},), one value per sequence, got {v.shape}")
        self.planes = self._planes(planes, cloud, hue)

    def check_step(self, step) -> int:
        return integer("step", step, 0, self.last)

    def check_sample(self, sample) -> int:
        return integer("sample", sample, 0, self.size - 1)

    def _each(self, name: str, value, dims: int) -> list:
        """One array per trace, or None, from one for all of `dims` dimensions or a list of them."""
        n = len(self.traces)
        if isinstance(value, (list, tuple)) and len(value) == n:
            each = [None if v is None else arguments.numbers_of(name, v) for v in value]
            if all(v is None or v.ndim == dims for v in each):
                return each
        return [None if value is None else arguments.numbers_of(name, value)] * n

    def _planes(self, planes, cloud, hue) -> list:
        """For each trace (paths [S+1, n, 2], data [N, 2], colours, is it the latents' own plane?)
        or None."""
        if planes is not None and len(planes) != len(self.traces):
            raise ValueError(f"planes must have one entry per trace, {len(self.traces)}, got {len(planes)}")
        clouds = self._each("cloud", cloud, 3)
        if hue is not None and cloud is None and planes is None:
            raise ValueError("hue colours the cloud; give cloud=... too")
        self.behind = "where they end" if cloud is None and planes is None else "data"
        out: list[tuple | None] = []
        shapes: list[tuple[int, ...]] = []
        fits = False
        for k, t in enumerate(self.traces):
            if planes is not None and planes[k] is not None:
                paths, dots = (plain(v, "planes").astype(float) for v in planes[k])
                if paths.shape != (t.steps + 1, self.size, 2) or dots.ndim != 2 or dots.shape[1] != 2:
                    raise ValueError(
                        f"planes[{k}] must be (paths [{t.steps + 1}, {self.size}, 2], data [N, 2]), "
                        f"got shapes {paths.shape} and {dots.shape}"
                    )
                out.append((paths, dots[:MOST_DOTS], hues(hue, len(dots))[:MOST_DOTS], False))
            elif t.latents is None or t.latent_kind != "continuous":
                out.append(None)
            else:
                inner = t.latents.shape[2:]
                own = clouds[k] is None or clouds[k].shape[1:] != inner
                fits, shapes = fits or not own, [*shapes, inner]
                behind = t.latents[-1] if own else clouds[k]
                to = plane(behind)
                colours = hues(None if own else hue, len(behind))
                out.append((to(t.latents), to(behind)[:MOST_DOTS], colours[:MOST_DOTS], np.prod(inner) == 2))
        if cloud is not None and shapes and not fits:
            got = [None if v is None else v.shape for v in clouds]
            raise ValueError(f"cloud must have shape [N, m, d] with (m, d) one of {shapes}, got {got}")
        return out

    # -- layout -------------------------------------------------------------------------------------------------
    def draw(self, figure, step: int, sample: int):
        """Draw into `figure` (cleared first, and resized) what `frame` describes. Returns it."""
        n = len(self.traces)
        column = (WIDTH - 2 * EDGE - (n - 1) * GUTTER) / n
        beside = n == 1 and self.traces[0].latents is not None  # a single run has its latents beside its tokens
        main = 5.2 if beside else column
        room = column - main - GUTTER if beside else column
        parts = [self._tokens(t, sample, main) for t in self.traces]
        tokens = max(p["height"] for p in parts)
        raster = 1.8 if any(p["words"] is None for p in parts) else 0.0
        views = [self._view(k, 0.52 * room) for k in range(n)]  # size of the plane, or of the codes
        left = max(v[0] for v in views)
        times = min(1.3, room - left - 0.45) if left else min(2.0, room - 0.3)  # side of the square of times
        low = max(*(v[1] for v in views), times if left else 0.1) + 0.3
        head = HEAD if column > 3.6 else HEAD + 0.18
        height = head + (max(tokens + raster, low) if beside else tokens + raster + 0.06 + low) + FOOT
        figure.clear()
        figure.set_dpi(100)
        figure.set_size_inches(WIDTH, height)
        figure.set_facecolor("white")

        def panel(x, top, width, tall):  # a panel whose upper left corner is so far from that of the figure
            return figure.add_axes((x / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height))

        with look():
            for k, (t, part) in enumerate(zip(self.traces, parts, strict=True)):
                x, now = EDGE + k * (column + GUTTER), min(step, t.steps)
                self._head(figure, k, now, sample, x, column, height)
                self._draw_tokens(panel, t, now, sample, part, x, head, main)
                if part["words"] is None:
                    ax = panel(x + 0.1, head + tokens, main - 0.1, raster - 0.3)
                    run_panels.raster(ax, t, sample, now, self.orders[k])
                x, top = (x + main + GUTTER, head) if beside else (x, head + tokens + raster + 0.06)
                self._draw_latents(panel, k, now, sample, x, top, views[k], left, times, low - 0.3)
            note = "Orange: revealed at this step."
            if any(self.planes):
                note = f"Orange: revealed at this step; in the latent plane, the way of sample {sample} so far."
                note += f"  Small dots: all samples; large dots: {self.behind}."
            given = any((t.reveal_step[sample] == 0)[t.tokens[sample] != t.pad_id].any() for t in self.traces)
            note += "  Pink: given." if given else ""
            figure.text(EDGE / WIDTH, 0.1 / height, note, fontsize=9, color=NOTE, va="baseline")
        return figure

    def _tokens(self, t, sample: int, width: float) -> dict:
        """How tall the tokens are, and the words where they are not bits. The same at every step.
        """
        if len(t.labels) == 2 and all(len(v) == 1 for v in t.labels):
            rows, columns = run_panels.bit_shape(t.tokens.shape[1], width)
            cell = min(0.19, width / columns)
            return dict(words=None, height=rows * cell + 0.12, cell=cell, columns=columns)
        labels = [(p, t.labels[v]) for p, v in enumerate(t.tokens[sample]) if v not in (t.pad_id, t.mask_id)]
        words, left = set_words(labels, width * 72 - 2, MOST_LINES)
        lines = 1 + max((w.line for w in words), default=0)
        tall = (lines + bool(left)) * LINE / 72
        return dict(words=words, left=left, lines=lines, tall=tall, height=tall + 0.32)

    def _head(self, figure, k, step, sample, x, width, height) -> None:
        t = self.traces[k]

        def line(text, row, at=x, **style):
            figure.text(at / WIDTH, 1 - (0.21 + 0.18 * row) / height, text, va="baseline", **style)

        name = clip(printable(self.names[k]), (width - 0.85) * 66, 11)
        line(name, 0, fontsize=11, weight="bold", parse_math=False)
        line(f"sample {sample}", 0, x + width, ha="right", fontsize=9, color=NOTE)
        t_x, t_z = t.knots[step]
        masked = int((t.tokens_at(step)[sample] == t.mask_id).sum())
        calls, times = f"NFE {step} of {t.nfe}", f"$t_x$ {t_x:.2f}"
        times += f"   $t_z$ {t_z:.2f}" if t.latents is not None else ""
        if width > 3.6:
            line(f"{calls}     {times}     {masked} masked", 1, fontsize=9.5, color="#222222")
        else:
            line(f"{calls},  {masked} masked", 1, fontsize=9.5, color="#222222")
            line(times, 2, fontsize=9.5, color="#222222")

    @staticmethod
    def _draw_tokens(panel, t, step, sample, part, x, top, width) -> None:
        if part["words"] is None:
            cells = part["cell"] * part["columns"]
            run_panels.bit_cells(
                panel(x, top, cells, part["height"] - 0.12), t, sample, step, part["columns"], 72 * part["cell"]
            )
            return
        room, lines = width * 72 - 2, part["lines"]
        run_panels.text(panel(x, top, width, part["tall"]), t, sample, step, part["words"], part["left"], room, lines)
        run_panels.reveal_key(panel(x, top + part["tall"] + 0.05, min(0.8, width / 4), 0.13), t, width < 2.5)

    def _view(self, k, room: float) -> tuple[float, float]:
        """Width and height of the latent plane or of the code slots of run k; (0, 0) without
        latents."""
        t = self.traces[k]
        if self.planes[k] is not None:
            return min(2.0, room), min(2.0, room)
        if t.latent_kind == "discrete":
            across = max(1, min(t.latents.shape[2], int(room / SLOT)))
            return max(across * SLOT, 0.9), -(-t.latents.shape[2] // across) * 0.3 + 0.3
        return 0.0, 0.0

    def _draw_latents(self, panel, k, step, sample, x, top, view, left, times, tall) -> None:
        """The latents of run k and its square of times, their feet `tall` below `top`."""
        t = self.traces[k]
        if self.planes[k] is not None:
            paths, dots, colours, two = self.planes[k]
            run_panels.latent_plane(panel(x, top + tall - view[0], *view), paths, dots, colours, sample, step, two)
        elif t.latent_kind == "discrete":
            across = max(1, min(t.latents.shape[2], int(view[0] / SLOT)))
            deep = view[1] - 0.3
            ax = panel(x, top + tall - max(times, deep), across * SLOT, deep)
            run_panels.codes(ax, t, sample, step, across)
        if t.latents is None:
            run_panels.path_square(panel(x + 0.1, top + tall - 0.1, times, 0.1), t.knots, step, False)
        else:
            run_panels.path_square(panel(x + left + 0.4, top + tall - times, times, times), t.knots, step, True)

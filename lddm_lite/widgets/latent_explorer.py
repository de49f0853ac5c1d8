"""Latent space explorer: a map of encoded sequences, and interpolations between them, decoded."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from matplotlib.figure import Figure

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.quantised import KINDS
from .._common.randomness import generator
from ..diffusion.given_latents import decode
from ..diffusion.interpolation import interpolate
from ..model import LatentDiffusion
from ..plots.latent_map import LatentMap
from ..plots.run_frame import png
from ..plots.style import ACCENT, FAINT, GROUPS, hues, in_legend, plain
from . import payload
from .base import Kept, Widget
from .scrubber_data import encoded, exported, view_of

__all__ = ["LatentExplorer"]

ANCHORS = 6  # sequences between any two of which the walk is stored
SHAPES = 27  # categories told apart by colour and shape; the rest are "other"
MARKS = ("o", "s", "^", "D")
NOTES = {
    "plane": "The latents are two numbers: this is their own plane.",
    "pca": "PCA: the two directions of largest variance.",
    "umap": "UMAP: neighbours stay neighbours; distances across the map mean little.",
}


class LatentExplorer(Widget):
    """Latent space explorer: sequences at the places of their latents. Hover or use the arrow keys
    to read them, pick two to walk between.

    - `model`: one with latents, whose encoder places the sequences;
    - `x`: token ids [N, L], at least 2 of them;
    - `hue` [N]: their colours, numbers in [0, 1) on a circle, or whole numbers or strings, which
      are categories;
    - `map`: a `LatentMap` on which to place them; None fits one here (fit it yourself to keep it in
      a file);
    - `walk_steps`: points of a walk (`interpolation.interpolate`), each decoded in one token step
      (`given_latents.decode`);
    - `title`: above it;
    - `weights`: take the model along, one of `_common.quantised.KINDS`, so that walks are decoded
      in the page; it lies once there, for all widgets (see `Playground`).

    Any two sequences can be picked as long as the kernel runs or the model came along; without
    either, those that are ringed.
    `picked`: the two between which it walks, [i, j]. Raises ValueError for a model without latents,
    and for arguments that do not fit it.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> LatentExplorer(LatentDiffusion.preset("co-seq", task, dim=2, width=16), task.sample(5))
    LatentExplorer(co-seq: 5 sequences at the places of their latents)
    """

    _kind = "latent-explorer"
    _state = ("picked",)
    picked = Kept((), "_pair").tag(sync=True)
    x = torch.empty(0, 0)

    @schemas.checked("model", "title", weights=schemas.maybe(schemas.choice(*KINDS)))
    def __init__(
        self, model: LatentDiffusion, x, hue=None, map=None, walk_steps: int = 9, title: str | None = None,
        weights: str | None = None,
    ):  # fmt: skip
        if model.latent_channel is None:
            raise ValueError(f"model {model.name!r} has no latents; take one of co-seq, co-joint, di-seq, di-joint")
        self.walk_steps = arguments.integer("walk_steps", walk_steps, 2, 64)
        self.model, self.x = model, model.check_tokens("x", x)
        n = len(self.x)
        if n < 2:
            raise ValueError("x must hold at least 2 sequences, got 1")
        kind, colour, names = _hue(hue, n)
        self.z = encoded(model, self.x)
        book = None if self.z.is_floating_point() else model.encoder.codebook
        self.map = LatentMap.fit(self.z, codebook=book, progress=True) if map is None else map
        if not isinstance(self.map, LatentMap):
            raise ValueError(f"map must be a LatentMap or None, got {type(map).__name__}")
        self._among = None if book is None else self.z.unique()
        self.coords, self._colour = self.map.place(self.z), (kind, colour, names)
        flat = (self.z if book is None else book.detach().cpu()[self.z]).flatten(1).double().numpy()  # [N, m d]
        self.anchors = _anchors(flat, colour if kind == "groups" else None)
        pairs = list(itertools.combinations(self.anchors, 2))
        walks = [self._latents_between(i, j) for i, j in pairs]
        z, lengths = zip(*walks, strict=True)
        tokens = decode(model, torch.cat(z), lengths=None if lengths[0] is None else torch.cat(lengths))
        labels = model.labels
        head = {
            "title": title or f"{model.name}: {n:,} sequences at the places of their latents",
            "labels": labels,
            "pad": model.config.pad_id,
            "view": view_of(model.data, model.config.length, model.config.vocab),
            "hue": kind,
            "names": names,
            "note": NOTES[self.map.kind] + (f" ({self.map.method[5:]}.)" if ": " in self.map.method else ""),
            "circle": model.config.dim**0.5 if self.map.kind == "plane" and self.z.is_floating_point() else 0,
        }
        arrays = {
            "tokens": self.x.cpu().numpy(),
            "coords": self.coords,
            "colour": colour,
            "anchors": np.array(self.anchors),
            "walk_pairs": np.array(pairs),
            "walk_start": np.cumsum([0, *(len(z) for z, _ in walks)]),
            "walk_tokens": tokens.numpy(),
            "walk_coords": np.concatenate([self.map.place(z) for z, _ in walks]),
        }
        if weights is not None:
            head["walk"] = self._take_along(weights)
            arrays["z"] = self.z.flatten(1).numpy()
            if book is not None and self._among is not None:
                arrays |= {"used": self._among.numpy(), "book": book.detach().cpu()[self._among].numpy()}
        self._first = (arrays["walk_coords"][: len(walks[0][0])], tokens[: len(walks[0][0])])
        super().__init__(head, arrays, picked=list(pairs[0]))

    def _pair(self, name: str, value) -> list[int]:
        try:
            return schemas.items(schemas.whole(0, len(self.x) - 1), most=2)(name, value)
        except ValueError:
            most = len(self.x) - 1
            raise ValueError(f"{name} must be up to two sequences in 0..{most}, got {shown(value)}") from None

    def _take_along(self, weights: str) -> dict:
        """Pack the model; what the page must know to walk with it (live_latent_explorer.js)."""
        c, web = self.model.config, exported(self.model, weights, encoder=False)
        self._packed, self._kind = {web.key: payload.pack(web.head, web.arrays)}, "live-latent-explorer"
        map = {"kind": self.map.kind}
        if self.map.kind == "pca":
            map |= {"mean": self.map.mean.tolist(), "axes": self.map.axes.tolist()}
        about = {"key": web.key, "name": self.model.name, "mask": c.vocab, "map": map, "steps": self.walk_steps}
        about |= {"slots": c.slots, "dim": c.dim, "order": torch.randperm(c.slots, generator=generator(0)).tolist()}
        if c.latent == "continuous":
            about["a0"] = float(self.model.latent_channel.coefficients(torch.tensor(0.0))[0])
        return about

    def walk(self, i: int, j: int) -> torch.Tensor:
        """The decoded walk from sequence i to sequence j: token ids [K, L]."""
        last = len(self.x) - 1
        i, j = arguments.integer("i", i, 0, last), arguments.integer("j", j, 0, last)
        z, lengths = self._latents_between(i, j)
        return decode(self.model, z, lengths=lengths)

    def answer(self, message: dict) -> dict:
        """`{"walk": [i, j]}` -> its points, token ids and places on the map; else as
        `Widget.answer`."""
        if "walk" not in schemas.mapping(schemas.anything)("message", message):
            return super().answer(message)
        one = schemas.whole(0, len(self.x) - 1)
        i, j = schemas.record({"walk": schemas.pair(one, one)}, others=schemas.anything)("message", message)["walk"]
        z, lengths = self._latents_between(i, j)
        tokens = decode(self.model, z, lengths=lengths)
        return {"tokens": tokens.tolist(), "coords": self.map.place(z).tolist()}

    def _latents_between(self, i: int, j: int):
        """(latents [K, ...] from sequence i to j, lengths [K] or None)."""
        z = interpolate(self.model, self.z[i], self.z[j], self.walk_steps, among=self._among)
        if self.model.config.pad_id is None:
            return z, None
        a, b = self.model.valid(self.x[[i, j]]).sum(1).tolist()
        return z, torch.linspace(a, b, len(z)).round().long().clamp_min(1)

    def still(self) -> bytes:
        """The map with the first stored walk, as PNG."""
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        ax = figure.add_subplot()
        kind, colour, names = self._colour
        x, y = _spread(self.coords).T
        if kind == "groups":
            for k, name in enumerate(names):
                here, shade, mark = colour == k, GROUPS[k % 8 if k < SHAPES else 8], MARKS[k % 4]
                ax.scatter(x[here], y[here], s=7, lw=0, alpha=0.8, c=shade, marker=mark, label=in_legend(name))
            if len(names) <= 12:
                ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4)
        else:
            ax.scatter(x, y, s=7, lw=0, alpha=0.8, c=hues(colour if kind == "circle" else None, len(x)))
        way = self._first[0]
        ax.plot(*way.T, "o-", color=ACCENT, lw=1.5, ms=4)
        for name, at, box in (("A", way[0], "circle"), ("B", way[-1], "square")):
            look = dict(boxstyle=box, fc="white", ec="black")
            ax.annotate(name, at, ha="center", va="center", weight="bold", fontsize=9, bbox=look)
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_color(FAINT)
        return png(figure)


def _spread(coords: np.ndarray) -> np.ndarray:
    """Sequences at one place in a spiral around it, as the map in the browser draws them."""
    _, at = np.unique(coords, axis=0, return_inverse=True)
    at, seen = at.reshape(-1), np.zeros(len(coords), dtype=int)
    k = np.empty(len(coords))
    for i, place in enumerate(at):
        k[i], seen[place] = seen[place], seen[place] + 1
    step = np.ptp(coords, axis=0).max() * (0.05 / len(coords)) ** 0.5
    return coords + step * np.sqrt(k)[:, None] * np.stack([np.cos(2.399963 * k), np.sin(2.399963 * k)], 1)


def _hue(hue, n: int):
    """(kind, array [N], names) of the argument `hue`: kind `none`, `circle` (numbers in [0, 1)) or
    `groups` (the index of a name in `names`)."""
    if hue is None:
        return "none", np.zeros(n, dtype="u1"), []
    value = plain(hue, "hue")
    if value.shape != (n,):
        raise ValueError(f"hue must have shape ({n},), one entry for each sequence, got {value.shape}")
    if value.dtype.kind == "f":
        if not ((value >= 0) & (value <= 1)).all():
            raise ValueError(f"hue must be numbers in [0, 1), got {value.min()}..{value.max()}")
        return "circle", value.astype("f4"), []
    if value.dtype.kind not in "iubUO":
        raise ValueError(f"hue must be numbers in [0, 1), whole numbers, or strings; got {value.dtype}")
    if value.dtype.kind == "O":
        value = np.array([str(v) for v in value])
    names, at, counts = np.unique(value, return_inverse=True, return_counts=True)
    at = at.reshape(-1)
    shown = [str(v) for v in names]
    if len(names) > SHAPES:  # the largest ones keep their own look
        kept = np.sort(np.argsort(-counts, kind="stable")[:SHAPES])
        to = np.full(len(names), SHAPES)
        to[kept] = np.arange(SHAPES)
        at, shown = to[at], [shown[k] for k in kept] + [f"{len(names) - SHAPES} others"]
    return "groups", at, shown


def _anchors(flat: np.ndarray, groups: np.ndarray | None) -> list[int]:
    """Up to `ANCHORS` sequences that stand for the modes: the most central one of each of the
    largest groups; with too few groups, those that lie farthest from the ones before. `flat`
    [N, D]."""
    out: list[int] = []
    if groups is not None:
        for k in np.argsort(-np.bincount(groups), kind="stable")[:ANCHORS]:
            member = np.flatnonzero(groups == k)
            if len(member):
                out.append(int(member[((flat[member] - flat[member].mean(0)) ** 2).sum(1).argmin()]))
    if not out:
        out = [int(((flat - flat.mean(0)) ** 2).sum(1).argmin())]
    far = np.min([((flat - flat[i]) ** 2).sum(1) for i in out], axis=0)
    far[out] = -1
    while len(out) < min(ANCHORS, len(flat)):
        out.append(int(far.argmax()))
        far = np.minimum(far, ((flat - flat[out[-1]]) ** 2).sum(1))
        far[out[-1]] = -1
    return out

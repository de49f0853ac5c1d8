"""Sampling traces: a run of a sampler as plain numpy arrays; saved as one versioned JSON file."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields, replace

import numpy as np

from .._common import arguments, documents, files, schemas
from .._common.words import joined

__all__ = ["Trace"]

VERSION = 2  # 1 knew neither events, nor calls, nor parents
_DTYPES = {
    "tokens": "<i4",
    "reveal_step": "<i4",
    "confidence": "<f4",
    "alternatives": "<i4",
    "alternative_probs": "<f4",
    "events": "<i4",
}

_TIME = schemas.number(0.0, 1.0)
_THREE = schemas.items(schemas.items(schemas.whole(0, 2**31 - 1), 3, 3))


def _edits(name: str, value) -> list[tuple[int, ...]]:
    """Edits of a branch: (sequence, position, token) each."""
    return [tuple(e) for e in _THREE(name, value)]


_PLAIN: dict[str, schemas.Domain] = {  # the fields that are no arrays
    "knots": schemas.items(schemas.pair(_TIME, _TIME), least=1),
    "labels": schemas.items(schemas.text(), least=1),
    "mask_id": schemas.whole(0),
    "pad_id": schemas.maybe(schemas.whole(0)),
    "lead": schemas.number(0.0, 0.5),
    "seed": schemas.whole(-1),
    "model": schemas.text(most=1000),
    "order": schemas.text(most=1000),
    "meta": schemas.mapping(schemas.anything),
    "calls": schemas.maybe(schemas.whole(0)),
    "parent": schemas.maybe(schemas.record({"step": schemas.whole(0), "edits": _edits}, others=schemas.anything)),
}
_FORM: dict[str, schemas.Domain] = {
    "format": schemas.constant("lddm-lite trace"),
    "tokens": schemas.array("iu", [2]),
    "reveal_step": schemas.array("iu", [2]),
    "confidence": schemas.array("f", [2]),
    **{name: _PLAIN[name] for name in ("knots", "labels", "mask_id")},
}
_MORE: dict[str, schemas.Domain] = {
    "latents": schemas.maybe(schemas.array("iuf", [3, 4])),
    "alternatives": schemas.maybe(schemas.array("iu", [3])),
    "alternative_probs": schemas.maybe(schemas.array("f", [3])),
    **{name: of for name, of in _PLAIN.items() if name not in _FORM},
}
# version -> what a file of it holds; a new version is one more entry, and unknown fields are left aside
SCHEMAS: dict[int, schemas.Domain] = {
    1: schemas.record({**_FORM, "version": schemas.constant(1)}, _MORE, others=schemas.anything),
    2: schemas.record(
        {**_FORM, "version": schemas.constant(2)},
        {**_MORE, "events": schemas.maybe(schemas.array("iu", [2]))},
        others=schemas.anything,
    ),
}


def _array(name: str, value, dtype: str) -> np.ndarray:
    """`value` as an array of `dtype`. ValueError for what is none, or does not fit."""
    x = arguments.numbers_of(name, value)
    if np.dtype(dtype).kind == "i":
        if x.dtype.kind not in "iu" or (x.size and not -(2**31) <= int(x.min()) <= int(x.max()) < 2**31):
            raise ValueError(f"{name} must hold integers of 32 bits, got {arguments.shown(value)}")
    elif not np.isfinite(x).all():
        raise ValueError(f"{name} holds nan or infinite values")
    return np.asarray(x, dtype=dtype)


@dataclass
class Trace:
    """Trace of a denoising run of n sequences over S steps; step 0 is the start, step S the end.

    Masked diffusion never changes a visible token, so the final `tokens` and the `reveal_step` of
    each position hold the tokens of every step: `tokens_at(k)` returns them. Where tokens were
    changed or masked again on the way, `events` hold them.

    >>> t = Trace(tokens=[[1, 0]], reveal_step=[[1, 2]], confidence=[[1, 1]], knots=[(1, 0), (0.5, 0), (0, 0)],
    ...           labels=["a", "b"], mask_id=2)
    >>> t.tokens_at(1).tolist(), t.nfe, t.text(0)
    ([[1, 2]], 2, 'ba')
    """

    tokens: np.ndarray  # [n, L] final token ids
    reveal_step: np.ndarray  # [n, L] step in 1..S at which a position became visible; 0: given
    confidence: np.ndarray  # [n, L] probability of the drawn token when it was drawn; 1 where given
    knots: list  # S+1 pairs (t_x, t_z)
    labels: list  # the word shown for each token id
    mask_id: int
    latents: np.ndarray | None = None  # [S+1, n, m, d] float, or [S+1, n, m] codes (the mask code is the largest id)
    alternatives: np.ndarray | None = None  # [n, L, top] most probable ids at the reveal, best first
    alternative_probs: np.ndarray | None = None  # [n, L, top]
    pad_id: int | None = None
    lead: float = 0.5
    seed: int = 0
    model: str = ""
    order: str = "ancestral"  # in which positions were revealed; see `unmasking_order`
    meta: dict = field(default_factory=dict)
    events: np.ndarray | None = None  # [E, 4] (sequence, step, position, token), in order; None: one a revealed token
    calls: int | None = None  # network calls really made, a sequence each; fewer than n S where nothing was to be done
    parent: dict | None = None  # of a branch: {"step", "edits": [(sequence, position, token)], and what else names it}

    def __post_init__(self):
        for name, dtype in _DTYPES.items():
            value = getattr(self, name)
            if value is not None or name in ("tokens", "reveal_step", "confidence"):
                setattr(self, name, _array(name, value, dtype))
        if self.latents is not None:
            z = arguments.numbers_of("latents", self.latents)
            self.latents = _array("latents", z, "<i4" if z.dtype.kind in "iu" else "<f4")
        for name, of in _PLAIN.items():
            setattr(self, name, of(name, getattr(self, name)))
        self.knots = [tuple(k) for k in self.knots]
        self._check()

    def _check(self) -> None:
        """ValueError for fields that do not go together."""
        if self.tokens.ndim != 2 or not self.tokens.size:
            raise ValueError(f"tokens must have shape [n, L], got {self.tokens.shape}")
        n, length = self.tokens.shape
        for name in ("reveal_step", "confidence"):
            if getattr(self, name).shape != (n, length):
                raise ValueError(f"{name} must have shape {(n, length)}, got {getattr(self, name).shape}")
        self._check_events()
        best, likely = self.alternatives, self.alternative_probs
        if (best is None) != (likely is None):
            raise ValueError("alternatives and alternative_probs must be given both, or neither")
        if best is not None and likely is not None:
            if best.ndim != 3 or best.shape[:2] != (n, length) or not best.size:
                raise ValueError(f"alternatives must have shape [{n}, {length}, top], got {best.shape}")
            if best.shape != likely.shape:
                raise ValueError(f"alternative_probs must have shape {best.shape}, got {likely.shape}")
        if self.latents is not None and (
            self.latents.shape[:2] != (len(self.knots), n)
            or self.latents.ndim != (3 if self.latents.dtype.kind == "i" else 4)
            or not self.latents.size
        ):
            raise ValueError(f"latents must be [{len(self.knots)}, {n}, ...], got {self.latents.shape}")
        known = len(self.labels)
        for name in ("tokens", "alternatives"):
            ids = getattr(self, name)
            if ids is not None and not bool((((ids >= 0) & (ids < known)) | (ids == self.mask_id)).all()):
                raise ValueError(
                    f"{name} holds ids {ids.min()}..{ids.max()}; allowed are 0..{known - 1}, which have labels, and "
                    f"mask_id={self.mask_id}"
                )
        if not -1 <= self.reveal_step.min() <= self.reveal_step.max() <= self.steps:
            low, high = self.reveal_step.min(), self.reveal_step.max()
            raise ValueError(f"reveal_step must be in 0..{self.steps}, got {low}..{high}")
        for name in ("confidence", "alternative_probs"):
            p = getattr(self, name)
            if p is not None and not bool(((p >= 0) & (p <= 1.001)).all()):
                raise ValueError(f"{name} must hold probabilities, got {p.min()}..{p.max()}")
        z = self.latents
        if z is not None and z.dtype.kind == "i" and z.min() < 0:
            raise ValueError(f"latents must be codes >= 0, got {z.min()}")
        if any(b[0] > a[0] or b[1] > a[1] for a, b in zip(self.knots, self.knots[1:], strict=False)):
            raise ValueError("knots must fall: no noise time may grow from one to the next")

    def _check_events(self) -> None:
        if self.events is None:
            return
        e, (n, length) = self.events, self.tokens.shape
        if e.ndim != 2 or e.shape[1] != 4:
            raise ValueError(f"events must be [E, 4] (sequence, step, position, token), got {e.shape}")
        for at, name, most in ((0, "sequence", n - 1), (1, "step", self.steps), (2, "position", length - 1)):
            if e.size and not 0 <= e[:, at].min() <= e[:, at].max() <= most:
                raise ValueError(f"events: {name} must be in 0..{most}, got {e[:, at].min()}..{e[:, at].max()}")
        if not bool((((e[:, 3] >= 0) & (e[:, 3] < len(self.labels))) | (e[:, 3] == self.mask_id)).all()):
            raise ValueError(f"events: token must be in 0..{len(self.labels) - 1} or mask_id={self.mask_id}")

    @property
    def nfe(self) -> int:
        """Network calls of the run: one per step."""
        return len(self.knots) - 1

    @property
    def variable_calls(self) -> int:
        """Network calls of the run whose answer is not the same in each run: all but the first of
        one in which nothing is given, and no latent is a number drawn. The field's NFE counts that,
        too."""
        own = self.tokens != (-1 if self.pad_id is None else self.pad_id)
        blank = bool((self.reveal_step[own] > 0).all())
        masked = self.latents is None or (self.latent_kind == "discrete" and self.knots[0][1] == 1)
        return self.nfe - int(blank and masked)

    @property
    def steps(self) -> int:
        """The number of steps S."""
        return self.nfe

    @property
    def latent_kind(self) -> str:
        """none, continuous or discrete."""
        if self.latents is None:
            return "none"
        return "discrete" if self.latents.dtype.kind == "i" else "continuous"

    def __len__(self) -> int:
        return len(self.tokens)

    def tokens_at(self, step: int) -> np.ndarray:
        """Token ids after `step` steps [n, L], the mask id where still masked. ValueError outside
        0..S."""
        arguments.integer("step", step, 0, self.steps)
        if self.events is None:
            return np.where(self.reveal_step <= step, self.tokens, self.mask_id)
        out = np.where(self.tokens == self.pad_id, self.tokens, self.mask_id)
        for i, _, j, token in self.events[self.events[:, 1] <= step]:
            out[i, j] = token
        return out

    def history(self) -> np.ndarray:
        """What happened to tokens, [E, 4] (sequence, step, position, token) in the order of steps:
        step 0 for what was given, the mask id where a token was masked again.

        >>> Trace([[1, 0]], [[2, 1]], [[1, 1]], [(1, 0), (0.5, 0), (0, 0)], ["a", "b"], 2).history().tolist()
        [[0, 1, 1, 0], [0, 2, 0, 1]]
        """
        if self.events is not None:
            return self.events
        i, j = np.nonzero(self.reveal_step >= 0)
        found = np.stack([i, self.reveal_step[i, j], j, self.tokens[i, j]], 1)
        return found[np.argsort(found[:, 1], kind="stable")]

    def branch(self, later: Trace, step: int, edits) -> Trace:
        """Trace of a branch: this run up to `step`, then `edits` (sequence, position, token; the
        mask id to mask again), then what `later`, a run of the same knots, revealed after `step`.
        ValueError for other shapes or knots, and steps outside 0..S.

        >>> t = Trace([[1, 0]], [[1, 2]], [[1, 1]], [(1, 0), (0.5, 0), (0, 0)], ["a", "b"], 2)
        >>> other = Trace([[0, 1]], [[2, 2]], [[1, 1]], t.knots, t.labels, 2)
        >>> [t.branch(other, 1, [(0, 0, 2)]).tokens_at(k).tolist() for k in (0, 1, 2)]
        [[[2, 2]], [[2, 2]], [[0, 1]]]
        """
        if not isinstance(later, Trace):
            raise ValueError(f"later must be a Trace, got {arguments.shown(later)}")
        if later.tokens.shape != self.tokens.shape or later.knots != self.knots:
            raise ValueError("later must be a run of as many sequences on the same knots")
        before, after = self.history(), later.history()
        arguments.integer("step", step, 0, self.steps)
        edits = _edits("edits", edits.tolist() if isinstance(edits, np.ndarray) else edits)
        n, length = self.tokens.shape
        if any(i >= n or j >= length or not (t < len(self.labels) or t == self.mask_id) for i, j, t in edits):
            raise ValueError(
                f"edits must be (sequence below {n}, position below {length}, token with a label or the mask id "
                f"{self.mask_id}), got {arguments.shown(edits)}"
            )
        changed = np.array([(i, step, j, token) for i, j, token in edits], dtype=int).reshape(-1, 4)
        events = np.concatenate([before[before[:, 1] <= step], changed, after[after[:, 1] > step]])
        latents = self.latents
        if latents is not None and later.latents is not None:
            latents = np.concatenate([latents[:step], later.latents[step:]])
        calls = None if later.calls is None else later.calls + (self.calls or 0)
        parent = {"step": step, "edits": edits, "seed": self.seed, "model": self.model}
        return replace(later, events=events, latents=latents, calls=calls, parent=parent)

    def words(self, i: int, step: int | None = None) -> list[str]:
        """The labels of sequence i after `step` steps (default: the end), '[MASK]' where masked,
        padding left out."""
        arguments.integer("i", i, -len(self), len(self) - 1)
        row = self.tokens_at(self.steps if step is None else step)[i]
        return ["[MASK]" if v == self.mask_id else self.labels[v] for v in row if v != self.pad_id]

    @schemas.checked(step=schemas.maybe(schemas.whole(0)))
    def text(self, i: int, step: int | None = None) -> str:
        """Sequence i as text: symbols run together, words spaced, word pieces ('##') joined, as
        `meta` says; without the filler at its end, where `meta` names one."""
        words = [w for w in self.words(i, step) if w]
        while words and words[-1] == self.meta.get("filler"):
            words.pop()
        if self.meta.get("spaced", True) and all(len(w) <= 1 for w in self.labels):
            gap = "[MASK]" if "_" in self.labels else "_"
            return "".join(gap if w == "[MASK]" else w for w in words)
        text = joined(words, self.meta.get("spaced", True))
        return text.strip(" ") if self.meta.get("trimmed") else text

    @schemas.checked(step=schemas.maybe(schemas.whole(0)))
    def texts(self, step: int | None = None) -> list[str]:
        """All sequences as texts, after `step` steps (default: the end)."""
        return [self.text(i, step) for i in range(len(self))]

    def __repr__(self) -> str:
        latents = "no" if self.latents is None else f"lead {self.lead:g}, {self.latent_kind}"
        return (
            f"Trace({self.model or 'model'}: {len(self)} x {self.tokens.shape[1]} tokens, NFE {self.nfe}, "
            f"{latents} latents, seed {self.seed})"
        )

    # -- files ----------------------------------------------------------------------------------------------
    def to_json(self) -> str:
        """One JSON text: plain fields as they are, arrays as {dtype, shape, base64}."""
        out: dict = {"format": "lddm-lite trace", "version": VERSION}
        for f in fields(self):
            v = getattr(self, f.name)
            if isinstance(v, np.ndarray):
                data = base64.b64encode(np.ascontiguousarray(v).tobytes()).decode()
                v = {"dtype": v.dtype.str, "shape": list(v.shape), "base64": data}
            out[f.name] = v
        return json.dumps(out)

    @classmethod
    def from_json(cls, text: str | bytes) -> Trace:
        """The inverse of `to_json`. ValueError for another format, another version, or damaged
        content, naming what is wrong."""
        if not isinstance(text, str | bytes):
            raise ValueError(f"text must be the JSON of a trace, got {arguments.shown(text)}")
        try:
            raw = documents.parse(text, "its JSON")
        except ValueError as e:
            raise ValueError(f"not a trace: {e}") from None
        if not isinstance(raw, dict) or raw.get("format") != "lddm-lite trace":
            raise ValueError("not a trace: the 'format' field is missing")
        schema = SCHEMAS.get(raw["version"]) if isinstance(raw.get("version"), int) else None
        if schema is None:
            version = arguments.shown(raw.get("version"))
            raise ValueError(f"trace version {version}; this library reads version {', '.join(map(str, SCHEMAS))}")
        try:
            kept = schema("", raw)
            return cls(**{f.name: kept[f.name] for f in fields(cls) if f.name in kept})
        except ValueError as e:
            raise ValueError(f"not a trace: its content is damaged ({e})") from None

    def save(self, path) -> None:
        """Write the trace to `path`, whole or not at all."""
        files.write(path, self.to_json())

    @classmethod
    def load(cls, path) -> Trace:
        """Read a trace written by `save`. Raises as `from_json`, naming the file, or OSError."""
        path = files.user_path("path", path)
        content = documents.read_bytes(path)
        try:
            return cls.from_json(content)
        except ValueError as e:
            raise ValueError(f"{path}: {e}") from None

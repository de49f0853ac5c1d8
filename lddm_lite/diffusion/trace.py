"""Sampling traces: a run of a sampler as plain numpy arrays; saved as one versioned JSON file."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path as File

import numpy as np

from .._common import files
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
            if value is not None:
                setattr(self, name, np.asarray(value, dtype=dtype))
        if self.latents is not None:
            z = np.asarray(self.latents)
            self.latents = z.astype("<i4" if z.dtype.kind in "iu" else "<f4")
        self.knots = [tuple(map(float, k)) for k in self.knots]
        n, length = self.tokens.shape
        for name in ("reveal_step", "confidence"):
            if getattr(self, name).shape != (n, length):
                raise ValueError(f"{name} must have shape {(n, length)}, got {getattr(self, name).shape}")
        if self.events is not None and (self.events.ndim != 2 or self.events.shape[1] != 4):
            raise ValueError(f"events must be [E, 4] (sequence, step, position, token), got {self.events.shape}")
        if self.latents is not None and self.latents.shape[:2] != (len(self.knots), n):
            raise ValueError(f"latents must be [{len(self.knots)}, {n}, ...], got {self.latents.shape}")

    @property
    def nfe(self) -> int:
        """Network calls of the run: one per step."""
        return len(self.knots) - 1

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
        if not 0 <= step <= self.steps:
            raise ValueError(f"step must be in 0..{self.steps}, got {step!r}")
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
        if later.tokens.shape != self.tokens.shape or later.knots != self.knots:
            raise ValueError("later must be a run of as many sequences on the same knots")
        before, after = self.history(), later.history()
        if not 0 <= step <= self.steps:
            raise ValueError(f"step must be in 0..{self.steps}, got {step!r}")
        edits = [tuple(map(int, e)) for e in edits]
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
        row = self.tokens_at(self.steps if step is None else step)[i]
        return ["[MASK]" if v == self.mask_id else self.labels[v] for v in row if v != self.pad_id]

    def text(self, i: int, step: int | None = None) -> str:
        """Sequence i as text: symbols run together, words spaced, word pieces ('##') joined;
        without the filler at its end, where `meta` names one."""
        words = [w for w in self.words(i, step) if w]
        while words and words[-1] == self.meta.get("filler"):
            words.pop()
        if all(len(w) <= 1 for w in self.labels):
            return "".join("_" if w == "[MASK]" else w for w in words)
        return joined(words)

    def texts(self, step: int | None = None) -> list[str]:
        """All sequences as texts, after `step` steps (default: the end)."""
        return [self.text(i, step) for i in range(len(self))]

    def __repr__(self) -> str:
        return (
            f"Trace({self.model or 'model'}: {len(self)} x {self.tokens.shape[1]} tokens, NFE {self.nfe}, "
            f"{'no' if self.latents is None else f'lead {self.lead:g}, {self.latent_kind}'} latents, seed {self.seed})"
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
    def from_json(cls, text: str) -> Trace:
        """The inverse of `to_json`. ValueError for another format, another version, or damaged
        content."""
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as e:
            raise ValueError(f"not a trace: the JSON is damaged or cut off ({e})") from None
        if not isinstance(raw, dict) or raw.get("format") != "lddm-lite trace":
            raise ValueError("not a trace: the 'format' field is missing")
        if raw.get("version") not in range(1, VERSION + 1):
            raise ValueError(f"trace version {raw.get('version')!r}; this library reads versions up to {VERSION}")
        kept = {}
        try:
            for f in (f for f in fields(cls) if f.name in raw):
                v = raw[f.name]
                if isinstance(v, dict) and "base64" in v:
                    v = np.frombuffer(base64.b64decode(v["base64"]), dtype=v["dtype"]).reshape(v["shape"]).copy()
                kept[f.name] = v
            return cls(**kept)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise ValueError(f"not a trace: its content is damaged ({type(e).__name__}: {e})") from None

    def save(self, path) -> None:
        """Write the trace to `path`, whole or not at all."""
        files.write(path, self.to_json())

    @classmethod
    def load(cls, path) -> Trace:
        """Read a trace written by `save`."""
        return cls.from_json(File(path).read_text(encoding="utf-8"))

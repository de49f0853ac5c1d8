"""Sampling traces: a run of a sampler as plain numpy arrays; saved as one versioned JSON file."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields
from pathlib import Path as File

import numpy as np

from .._common import files
from .._common.words import joined

__all__ = ["Trace"]

VERSION = 1
_DTYPES = {
    "tokens": "<i4",
    "reveal_step": "<i4",
    "confidence": "<f4",
    "alternatives": "<i4",
    "alternative_probs": "<f4",
}


@dataclass
class Trace:
    """Trace of a denoising run of n sequences over S steps; step 0 is the start, step S the end.

    Masked diffusion never changes a visible token, so the final `tokens` and the `reveal_step` of
    each position hold the tokens of every step: `tokens_at(k)` returns them.

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
        return np.where(self.reveal_step <= step, self.tokens, self.mask_id)

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
        if raw.get("version") != VERSION:
            raise ValueError(f"trace version {raw.get('version')!r}; this library reads version {VERSION}")
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

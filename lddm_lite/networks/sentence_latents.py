"""Frozen latents: z_0 of a sentence by a pretrained text encoder, computed once and cached on disk.
METHOD 5.

Token states are pooled over m contiguous stretches of the sentence, centred, projected on the d
main axes of the corpus, scaled to unit variance there, and put on the sphere of radius sqrt(d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .._common import arguments, checkpoint, hub, randomness, schemas
from .._common.arguments import shown
from .._common.progress import bar as progress_bar
from .latent_cache import cached, key_of
from .pretrained import TextEncoder

__all__ = ["SentenceLatents", "Statistics", "pool"]

FIT = 8192  # sentences that the statistics are taken from
CHUNK = 4096  # sentences sorted by length, so that a batch holds little padding
KIND = "frozen text encoder"


def pool(states: torch.Tensor, lengths: torch.Tensor, slots: int, last: bool = False) -> torch.Tensor:
    """Pooling of token states [B, T, H] of sentences with `lengths` [B] tokens: unit vectors
    [B, m, H].

    Slot j stands for tokens floor(j n/m) to floor((j+1) n/m), at least one: neighbours share one
    where n < m. It holds their mean or, for `last`, the state of the last of them, which in a
    causal model has seen all before it.

    >>> pool(torch.tensor([[[2.0, 0.0], [0.0, 2.0], [9.0, 9.0]]]), torch.tensor([2]), slots=2)
    tensor([[[1., 0.],
             [0., 1.]]])
    """
    n, j = lengths.unsqueeze(1), torch.arange(slots, device=lengths.device)
    start = j * n // slots  # [B, m]
    stop = torch.maximum(start + 1, (j + 1) * n // slots)
    if last:
        out = states.gather(1, (stop - 1).unsqueeze(-1).expand(-1, -1, states.shape[-1]))
    else:
        at = torch.arange(states.shape[1], device=lengths.device)
        inside = (at >= start.unsqueeze(-1)) & (at < stop.unsqueeze(-1))  # [B, m, T]
        states = states.masked_fill((at >= n).unsqueeze(-1), 0.0)  # what pads may be anything, even nan
        out = inside.to(states) @ states
    return F.normalize(out, dim=-1)


@dataclass(frozen=True)
class Statistics:
    """Whitening statistics of an encoder's vectors over a corpus: `mean` [m, H] of each slot, the d
    main axes of what is left, orthonormal columns `axes` [H, d], and `scale` [d], the standard
    deviation along each; `fingerprint` of the encoder.

    >>> s = Statistics(torch.zeros(1, 3), torch.eye(3)[:, :2], torch.ones(2), "00" * 32)
    >>> s.latents(torch.tensor([[[3.0, 4.0, 5.0]]])).pow(2).sum()  # d
    tensor(2.)
    """

    mean: torch.Tensor
    axes: torch.Tensor
    scale: torch.Tensor
    fingerprint: str = ""

    def latents(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled vectors [B, m, H] -> z_0 [B, m, d]: centred, projected, scaled, norm sqrt(d) per
        slot."""
        mean, axes, scale = (v.to(features.device) for v in (self.mean, self.axes, self.scale))
        return math.sqrt(len(scale)) * F.normalize((features - mean) @ axes / scale, dim=-1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything as tensors, for safetensors."""
        mark = torch.frombuffer(bytearray(bytes.fromhex(self.fingerprint)) or bytearray(1), dtype=torch.uint8)
        return {"mean": self.mean, "axes": self.axes, "scale": self.scale, "fingerprint": mark}

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor]) -> Statistics:
        """The inverse of `tensors`."""
        mark = bytes(tensors["fingerprint"].cpu().tolist()).hex()
        own = {k: tensors[k].detach().cpu().float() for k in ("mean", "axes", "scale")}
        return cls(**own, fingerprint=mark if len(mark) == 64 else "")


class SentenceLatents:
    """Sentence embeddings as latents [N, m, d] on the sphere of radius sqrt(d), by a text encoder
    that is not trained.

    - `source`: 'minilm' (a package, offline); a folder or a hub name for transformers, such as
      'Qwen/Qwen3-Embedding-0.6B', the paper's choice; or a function from sentences to (token states
      [B, T, H], token counts [B]), cached only if it has a `fingerprint`;
    - `slots`, `dim`: m, and d <= H (the paper: 4, 32 or 128 slots of 32);
    - `pooling`: 'mean' or 'last' token of each slot's stretch (see `pool`); 'auto' takes the last
      one for causal models, Qwen's among them, else the mean: with m = 1 the sentence vector that
      both were trained for;
    - `max_tokens`: a text is cut after so many;
    - `device`: None for the GPU if there is one.

    The model is loaded when first needed: statistics and a full cache do without.

    ImportError naming the command for a missing package, OSError for a hub out of reach, ValueError
    else.

    >>> letters = lambda texts: (torch.tensor([[[ord(t[0]) % 2, ord(t[0]) % 3]] for t in texts]).float(),
    ...                          torch.ones(len(texts), dtype=torch.long))
    >>> encoder = SentenceLatents(letters, slots=1, dim=2)
    >>> encoder.fit_statistics(list("abcdef"), progress=False).encode(["a", "b"], progress=False).shape
    torch.Size([2, 1, 2])
    """

    def __init__(self, source="minilm", slots: int = 1, dim: int = 32, pooling: str = "auto",
                 max_tokens: int = 256, device=None):
        if pooling not in ("auto", "mean", "last"):
            raise ValueError(f"pooling must be auto, mean or last, got {shown(pooling)}")
        self.source, self.pooling, self.device = source, pooling, device
        self.slots = arguments.integer("slots", slots, minimum=1)
        self.dim = arguments.integer("dim", dim, minimum=2)
        self.max_tokens = arguments.integer("max_tokens", max_tokens, minimum=2)
        self.statistics: Statistics | None = None
        self.trusted = True  # False: a file named the source, and nobody else
        if device is not None:
            schemas.one_of(schemas.text("[a-z]+(:[0-9]+)?"), schemas.is_a(torch.device))("device", device)
        if isinstance(source, str):
            arguments.word("source", source)
        self._embed = None if isinstance(source, str) else source
        if not isinstance(source, str) and not callable(source):
            raise ValueError(f"source must be a name, a folder or a function, got {shown(source)}")

    @property
    def embed(self):
        """The function from sentences to token states, loaded when first asked for. ValueError if
        the statistics were fitted with another model, and for a name that stands in a file alone.
        """
        if self._embed is None:
            if not self.trusted:
                raise ValueError(
                    f"the file names the encoder {self.source!r}, which is no known package, and it is not loaded on "
                    f"a file's word: load(folder, encoder={self.source!r}), on the command line --encoder, gives yours"
                )
            self._embed = TextEncoder(self.source, self.max_tokens, self.device)
        mark, fitted = getattr(self._embed, "fingerprint", ""), self.statistics and self.statistics.fingerprint
        if fitted and mark and mark != fitted:
            raise ValueError(
                f"{self.source!r} is another model than the statistics were fitted with "
                f"({mark[:12]}, not {fitted[:12]}): fit_statistics again, or find the other one"
            )
        return self._embed

    @schemas.checked("progress")
    def fit_statistics(self, sentences, limit: int = FIT, seed: int = 0, progress: bool = True) -> SentenceLatents:
        """Take mean, axes and scale from the corpus, or from `limit` of its sentences drawn with
        `seed`; once, for they are cached and saved. Returns itself. ValueError when there are too
        few different sentences for d axes."""
        sentences = arguments.texts("sentences", sentences)
        arguments.seed("seed", seed)
        if arguments.integer("limit", limit, minimum=2) < len(sentences):
            keep = torch.randperm(len(sentences), generator=randomness.generator(seed))[:limit]
            sentences = [sentences[i] for i in keep.sort().values.tolist()]
        self.statistics = None
        mark = getattr(self.embed, "fingerprint", "")
        key = key_of(self._options(), mark, sentences) if mark else None
        form = statistics_form(self.slots, self.dim, getattr(self.embed, "width", None))
        found = cached(key, lambda: self._fit(sentences, progress, mark).tensors(), form)
        self.statistics = Statistics.of(found)
        return self

    def _fit(self, sentences: list[str], progress: bool, mark: str) -> Statistics:
        n = len(sentences)
        total = outer = torch.zeros((), dtype=torch.float64)
        for _, f in self._features(sentences, progress, "statistics"):
            f = f.double()
            total, outer = total + f.sum(0), outer + torch.einsum("bmh,bmk->hk", f, f)
        mean, d = total / n, self.dim  # [m, H]
        if d > mean.shape[1]:
            raise ValueError(f"dim must be at most the encoder's width {mean.shape[1]}, got {d}")
        # within slots: where a slot is in the sentence must not be what the axes show
        values, vectors = torch.linalg.eigh((outer / n - mean.T @ mean) / self.slots)
        values, vectors = values.flip(0)[:d], vectors.flip(1)[:, :d]
        varied = int((values > 1e-9).sum())  # the vectors have norm 1; below lies float32 rounding
        if varied < d:
            raise ValueError(f"these {n} sentences vary along {varied} axes only, fewer than dim={d}; give more")
        vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()  # eigh leaves signs open
        return Statistics(mean.float().cpu(), vectors.float().cpu(), values.sqrt().float().cpu(), mark)

    @schemas.checked("progress", cache=schemas.boolean)
    def encode(self, sentences, progress: bool = True, cache: bool = True) -> torch.Tensor:
        """z_0 of the sentences, float32 [N, m, d] on the CPU. `cache`: look them up in, or add them
        to, the folder `frozen` of the cache (`files.cache_folder`). ValueError before
        `fit_statistics`, and for empty texts."""
        sentences = arguments.texts("sentences", sentences)
        statistics = self.statistics
        if statistics is None:
            raise ValueError("there are no statistics yet: call fit_statistics(corpus) first, or load saved ones")
        mark = statistics.fingerprint
        key = key_of(self._options(), statistics.tensors(), sentences) if mark and cache else None

        def compute():
            out = torch.empty(len(sentences), self.slots, self.dim)
            for rows, f in self._features(sentences, progress, "latents"):
                out[rows] = statistics.latents(f).cpu()
            return {"latents": out}

        form: checkpoint.Form = {"latents": ((len(sentences), self.slots, self.dim), torch.float32)}
        return cached(key, compute, form)["latents"]

    def _features(self, sentences: list[str], progress: bool, what: str):
        """Batches (row numbers [B], pooled vectors [B, m, H]), each of sentences of about one
        length."""
        embed = self.embed
        last = self.pooling == "last" or (self.pooling == "auto" and getattr(embed, "causal", False))
        size = getattr(embed, "batch", 64)
        with progress_bar(total=len(sentences), show=progress, desc=what, unit="sentence") as bar:
            for first in range(0, len(sentences), CHUNK):
                part = range(first, min(first + CHUNK, len(sentences)))
                order = sorted(part, key=lambda i: len(sentences[i]))
                for rows in (order[i : i + size] for i in range(0, len(order), size)):
                    states, lengths = embed([sentences[i] for i in rows])
                    yield torch.tensor(rows), pool(states, lengths, self.slots, last)
                    bar.update(len(rows))

    def _options(self) -> dict:
        return {"slots": self.slots, "dim": self.dim, "pooling": self.pooling, "max_tokens": self.max_tokens}

    # -- files -------------------------------------------------------------------------------------------------------
    def save(self, folder, overwrite: bool = False) -> Path:
        """Write options and statistics to `folder`, not the model (safetensors + JSON). ValueError
        for a function, and for a folder that holds something, unless `overwrite`."""
        if not isinstance(self.source, str) or self.statistics is None:
            raise ValueError("only an encoder that was named, and has statistics, can be saved")
        checkpoint.check_free(folder, overwrite)
        about = {"kind": KIND, "source": self.source, "options": self._options()}
        return checkpoint.write(folder, self.statistics.tensors(), about)

    @classmethod
    def load(cls, folder, device=None, encoder: str | None = None) -> SentenceLatents:
        """The encoder saved in `folder`; the model itself is loaded when needed, if it is a known
        package or you name it as `encoder`, too. CheckpointError for a broken one."""
        tensors, meta = checkpoint.read(folder, fits=lambda meta, found: _fits(folder, meta, found))
        made = cls(meta["source"], **meta["options"], device=device)
        made.statistics = Statistics.of(tensors)
        return made.told(encoder)

    @schemas.checked(encoder=schemas.maybe(arguments.word))
    def told(self, encoder: str | None) -> SentenceLatents:
        """For one that a file names: trust it if it is a known package or the caller's own
        `encoder`. Returns itself.

        >>> SentenceLatents("somewhere/else").told(None).trusted
        False
        """
        self.source = encoder or self.source
        self.trusted = encoder is not None or self.source in hub.PACKAGES
        return self


_META = schemas.record(
    {"kind": schemas.constant(KIND), "source": arguments.word,
     "options": schemas.record({"slots": schemas.whole(1, limit="slots"), "dim": schemas.whole(2, limit="dim"),
                                "pooling": schemas.choice("auto", "mean", "last"), "max_tokens": schemas.whole(2)})},
    others=schemas.anything)  # fmt: skip


def _fits(folder, meta: dict, found: checkpoint.Form) -> None:
    if meta.get("kind") != KIND:
        kind = shown(meta.get("kind", "a model"))
        raise checkpoint.CheckpointError(f"{folder} holds no frozen encoder but {kind}")
    about = _META("config.json", meta)["options"]
    check_statistics(about["slots"], about["dim"], found)


def statistics_form(slots: int, dim: int, width: int | None) -> checkpoint.Form | None:
    """The tensors of `Statistics` for m slots of d numbers of an encoder so wide; None for an
    unknown one.

    >>> statistics_form(1, 2, 3)["axes"]
    ((3, 2), torch.float32)
    """
    if width is None:
        return None
    form = {"mean": (slots, width), "axes": (width, dim), "scale": (dim,)}
    return {**{name: (shape, torch.float32) for name, shape in form.items()}, "fingerprint": ((32,), torch.uint8)}


def check_statistics(
    slots: int, dim: int, found: checkpoint.Form, prefix: str = "", more: checkpoint.Form | None = None
) -> None:
    """ValueError unless the tensors in a file are `Statistics`.

    - `slots`, `dim`: m and d;
    - `found`: what the file has;
    - `prefix`: what their names begin with;
    - `more`: further ones that there are to be, under their whole names; None for none.

    >>> check_statistics(1, 2, statistics_form(1, 2, 3))
    """
    own = {name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)}
    mean, mark = (own.get(name, ((), None))[0] for name in ("mean", "fingerprint"))
    form = statistics_form(slots, dim, mean[-1] if len(mean) == 2 else 0) or {}
    form["fingerprint"] = (mark if mark in ((1,), (32,)) else (32,)), torch.uint8
    form |= {name.removeprefix(prefix): v for name, v in (more or {}).items()}
    checkpoint.compare(own, form)

"""Two-dimensional embeddings of latents (UMAP, PCA), stored, so that the same map comes back."""

from __future__ import annotations

import base64
import functools
import importlib.util
import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .._common import arguments, checkpoint, documents, files, progress, schemas
from .._common.arguments import shown
from .style import plain

__all__ = ["LatentMap", "METHODS", "plane"]

METHODS = ("auto", "umap", "pca", "plane")
FORMAT, VERSION = "lddm-lite latent map", 2
FEW = 50  # different latents below which `auto` takes PCA: UMAP looks at some 15 neighbours of each
NEIGHBOURS = 5  # stored points that place a new one on a UMAP map
SAME = 1e-6  # squared distance, in units of the mean squared norm, below which two latents are the same


@dataclass
class LatentMap:
    """A two-dimensional embedding of N latents, and where others would lie in it. Make one with
    `fit` or `load`.

    `method` begins with the kind of map, and may go on with a reason (`pca: umap-learn is not
    installed`): `plane`, the latents are two numbers and their own map; `pca`, the two directions
    of largest variance; `umap`, neighbours stay neighbours (McInnes et al. 2018, arXiv 1802.03426),
    while distances across the map mean little.

    >>> m = LatentMap.fit(np.eye(4).reshape(4, 1, 4), method="pca")
    >>> m.coords.shape, m.kind
    ((4, 2), 'pca')
    """

    coords: np.ndarray  # [N, 2] float32
    method: str
    seed: int = 0
    # arrays, like `coords`; None where the kind of map does without
    points: Any = None  # umap: [N, D] the latents behind `coords`
    mean: Any = None  # pca: [D]
    axes: Any = None  # pca: [2, D], orthonormal rows
    codebook: np.ndarray | None = None  # discrete latents: [K, d], the vector of each code

    def __post_init__(self):
        for name, dims in (("coords", 2), ("points", 2), ("mean", 1), ("axes", 2), ("codebook", 2)):
            value = getattr(self, name)
            if value is not None:
                value = np.ascontiguousarray(value, dtype="<f4")
                setattr(self, name, value)
                if value.ndim != dims or not np.isfinite(value).all():
                    raise ValueError(f"{name} must be {dims}-dimensional and finite, got shape {value.shape}")
        needs = {"plane": (), "pca": ("mean", "axes"), "umap": ("points",)}
        if self.kind not in needs:
            raise ValueError(f"method must begin with one of {', '.join(needs)}; got {shown(self.method)}")
        missing = [name for name in needs[self.kind] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a {self.kind} map needs {' and '.join(missing)}")
        if self.coords.shape[1] != 2:
            raise ValueError(f"coords must have shape [N, 2], got {self.coords.shape}")
        if self.kind == "umap" and len(self.points) != len(self.coords):
            raise ValueError(f"points and coords must be equally many, got {len(self.points)} and {len(self.coords)}")
        if self.kind == "pca" and self.axes.shape != (2, len(self.mean)):
            raise ValueError(f"axes must have shape {(2, len(self.mean))}, got {self.axes.shape}")
        self.seed = arguments.integer("seed", self.seed, minimum=0)

    @property
    def kind(self) -> str:
        """`method` without its reason."""
        return str(self.method).split(":")[0]

    def __len__(self) -> int:
        return len(self.coords)

    def __repr__(self) -> str:
        return f"LatentMap({len(self)} points, {self.method}, seed {self.seed})"

    @classmethod
    @schemas.checked("progress", seed=arguments.seed)
    def fit(cls, latents, method: str = "auto", seed: int = 0, codebook=None, progress: bool = False) -> LatentMap:
        """Embed latents.

        - `latents`: [N, m, d] numbers, or [N, m] codes;
        - `method`: `plane` (m = 1, d = 2 only), `pca`, `umap`, or `auto`: the first of plane and
          umap that fits, else pca with the reason why;
        - `seed`: of UMAP, which runs on one thread and takes half a minute; it sees equal latents
          once;
        - `codebook` [K, d]: of the encoder; codes need it;
        - `progress`: gives notice on stderr of what UMAP does.

        ValueError for a method or latents that do not fit; ImportError for `umap` without
        umap-learn.

        >>> LatentMap.fit(np.zeros((3, 2, 4))).method
        'pca: 1 different latents are too few for UMAP'
        """
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {shown(method)}")
        book = None if codebook is None else _numbers("codebook", codebook, "[K, d]", 2)
        flat = _flat("latents", latents, book)
        different, at = np.unique(flat, axis=0, return_inverse=True)
        at = at.reshape(-1)
        if method == "plane" and flat.shape[1] != 2:
            raise ValueError(f"method 'plane' needs latents of two numbers (m=1, d=2), got {flat.shape[1]}")
        if method == "auto":
            if flat.shape[1] == 2:
                method = "plane"
            elif len(different) < FEW:
                method = f"pca: {len(different)} different latents are too few for UMAP"
            elif importlib.util.find_spec("umap") is None:
                method = "pca: umap-learn is not installed"
            else:
                method = "umap"
        if method == "plane":
            return cls(flat, method, seed, codebook=book)
        if method == "umap":
            if len(different) < 5:
                raise ValueError(f"method 'umap' needs at least 5 different latents, got {len(different)}; take 'pca'")
            return cls(_umap(different, seed, progress)[at], method, seed, points=flat, codebook=book)
        mean, axes = _principal(flat)
        return cls((flat - mean) @ axes.T, method, seed, mean=mean, axes=axes, codebook=book)

    def place(self, latents) -> np.ndarray:
        """Out-of-sample embedding: where latents [K, m, d] or codes [K, m] lie on the map: [K, 2]
        float32. Exact on plane
        and pca maps; on a umap map the mean of the five nearest stored latents' places, weighted by
        1 / squared distance, so that a stored latent has the place it had, with umap-learn or
        without. ValueError for latents of another size.

        >>> m = LatentMap.fit(np.random.default_rng(0).normal(size=(9, 1, 3)), method="pca")
        >>> bool(np.allclose(m.place([[[0, 0, 0]]]), -m.mean @ m.axes.T, atol=1e-6))
        True
        """
        flat = _flat("latents", latents, self.codebook)
        size = {"plane": 2, "pca": self.mean, "umap": self.points}[self.kind]
        size = size if isinstance(size, int) else size.shape[-1]
        if flat.shape[1] != size:
            raise ValueError(f"latents must have {size} numbers each (m times d), as those mapped; got {flat.shape[1]}")
        if self.kind == "plane":
            return flat
        if self.kind == "pca":
            return ((flat.astype(np.float64) - self.mean) @ self.axes.T).astype("<f4")
        return np.concatenate([self._among_neighbours(part) for part in np.array_split(flat, -(-len(flat) // 256))])

    def _among_neighbours(self, flat: np.ndarray) -> np.ndarray:
        points, places, scale = self._anchors
        flat = flat.astype(np.float64)
        d2 = (flat**2).sum(1)[:, None] + (points**2).sum(1) - 2 * flat @ points.T  # [K, U]
        near = np.argpartition(d2, min(NEIGHBOURS, len(points)) - 1, axis=1)[:, :NEIGHBOURS]
        d2 = ((flat[:, None] - points[near]) ** 2).sum(-1)  # again, without the cancellation
        w = 1 / np.maximum(d2, 1e-30)
        out = (w[..., None] * places[near]).sum(1) / w.sum(1, keepdims=True)
        nearest = np.take_along_axis(near, d2.argmin(1)[:, None], 1)[:, 0]
        return np.where((d2.min(1) < SAME * scale)[:, None], places[nearest], out).astype("<f4")

    @functools.cached_property
    def _anchors(self):
        """The different stored latents [U, D], their places [U, 2], and their mean squared norm."""
        points, first = np.unique(self.points.astype(np.float64), axis=0, return_index=True)
        return points, self.coords[first].astype(np.float64), max(float((points**2).sum(1).mean()), 1e-12)

    # -- files ----------------------------------------------------------------------------------------------
    def save(self, path) -> None:
        """Write the map to `path` as one safetensors file, whole or not at all. Its header names
        method and seed."""
        from safetensors.numpy import save

        arrays = {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}
        about = {"format": FORMAT, "version": str(VERSION), "method": self.method, "seed": str(self.seed)}
        files.write(path, save(arrays, about))

    @classmethod
    def load(cls, path) -> LatentMap:
        """Read a map written by `save`, or by version 1, which wrote JSON. ValueError for another
        format, another version, or damaged content."""
        from safetensors import SafetensorError

        path = files.user_path("path", path)
        try:
            kept = _read(path)
            if kept.pop("format", None) != FORMAT:
                raise ValueError("the 'format' field is missing")
            if (version := kept.pop("version", None)) not in (1, str(VERSION)):
                raise ValueError(f"it has version {version!r}; this library reads versions 1 and {VERSION}")
            return cls(**{**kept, "seed": int(kept["seed"])})
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as e:
            why = f"{type(e).__name__}: {arguments.brief(e)}"
            raise ValueError(f"{path} is no latent map, or a damaged one ({why})") from None


def _read(path) -> dict[str, Any]:
    """What stands in a file: words and arrays. In version 1 it was JSON, and arrays were shapes and
    the base64 of float32."""
    from safetensors import safe_open

    path = files.user_path("path", path)
    content = documents.read_bytes(path, "file")
    if not content.startswith(b"{"):  # safetensors begins with the length of its header, a multiple of 8
        checkpoint.check_header(content)
        with safe_open(path, "np") as file:
            return {**(file.metadata() or {}), **{name: file.get_tensor(name) for name in file.keys()}}

    def plain(v):
        if not isinstance(v, dict):
            return v
        return np.frombuffer(base64.b64decode(v["base64"], validate=True), "<f4").reshape(v["shape"])

    return {name: plain(v) for name, v in schemas.mapping(schemas.anything)("it", documents.parse(content)).items()}


def _numbers(name: str, value, shape: str, dims: int) -> np.ndarray:
    """`value`, an array or a tensor, as a finite float32 array."""
    value = plain(value, name)
    if value.ndim != dims or value.dtype.kind not in "fiu" or not value.size:
        raise ValueError(f"{name} must be numbers of shape {shape}, got {value.dtype} of shape {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return value.astype("<f4")


def _flat(name: str, latents, codebook) -> np.ndarray:
    """Latents [N, m, d], or codes [N, m] by their codebook vectors, as [N, m d] float32."""
    value = plain(latents, name)
    if value.ndim == 2 and value.dtype.kind in "iu" and value.size:
        if codebook is None:
            raise ValueError(f"codebook is needed to map codes; got {name} of shape {value.shape} without it")
        if not 0 <= value.min() <= value.max() < len(codebook):
            raise ValueError(f"{name} holds codes {value.min()}..{value.max()}; allowed are 0..{len(codebook) - 1}")
        value = codebook[value]
    value = _numbers(name, value, "[N, m, d], or integer codes of shape [N, m]", 3)
    return value.reshape(len(value), -1)


def _umap(points: np.ndarray, seed: int, show: bool) -> np.ndarray:
    """UMAP coordinates [U, 2] of different points [U, D]."""
    import torch
    with progress.bar(total=2, show=show, desc="UMAP: starting", bar_format="{desc} [{elapsed}]") as bar:
        bar.refresh()
        from umap import UMAP

        bar.set_description("UMAP: laying out the map")
        near = min(15, len(points) - 1)
        threads = torch.get_num_threads()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its libraries, about what we cannot change
                out = UMAP(n_neighbors=near, min_dist=0.15, random_state=seed, n_jobs=1).fit_transform(points)
        finally:  # numba sets OpenMP's threads, which are torch's too: training afterwards took up to ten times longer
            torch.set_num_threads(threads)
        bar.set_description("UMAP: done")
    return out - out.mean(0)


def plane(latents: np.ndarray):
    """Principal plane of latents [..., m, d]: a function that projects such arrays to [..., 2].

    Both coordinates themselves when there are only two; else the principal plane of the given ones,
    each axis turned so that its largest weight is positive. Raises ValueError for other shapes.

    >>> to = plane(np.random.default_rng(0).normal(size=(100, 2, 3)))
    >>> to(np.zeros((5, 7, 2, 3))).shape
    (5, 7, 2)
    """
    latents = plain(latents, "latents")
    if latents.ndim < 2 or not latents.size or latents.dtype.kind != "f":
        raise ValueError(f"latents must be floats [..., slots, dim], got {latents.dtype} of shape {latents.shape}")
    inner = latents.shape[-2:]
    flat = latents.reshape(-1, inner[0] * inner[1]).astype(float)
    if flat.shape[1] == 2:
        return lambda z: np.asarray(z).reshape(*np.shape(z)[:-2], 2)
    mean, axes = _principal(flat)
    return lambda z: (np.asarray(z).reshape(*np.shape(z)[:-2], -1) - mean) @ axes.T


def _principal(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and the two principal directions [2, D] of points [N, D], each turned so that its
    largest weight is positive; zeros in place of a direction in which there is nothing."""
    mean = flat.mean(0, dtype=np.float64)
    found = np.linalg.svd(flat - mean, full_matrices=False)[2][:2]
    axes = np.zeros((2, flat.shape[1]))
    axes[: len(found)] = found * np.sign(found[np.arange(len(found)), np.abs(found).argmax(1)])[:, None]
    return mean, axes

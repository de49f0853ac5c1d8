"""Models for a web page: what the engine in `widgets/static/engine.js` needs to sample, as plain
numbers."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import torch

from .._common import schemas
from .._common.protocols import Model
from .._common.quantised import KINDS, quantise
from .custom_parts import own
from .mixture_codes import MixtureCodes

__all__ = ["WebModel", "export"]


@dataclass(frozen=True)
class WebModel:
    """A model as a page takes it: `head`, which is JSON, and `arrays`, its weights by name.

    `key`: tells one from another, part of a hash of all that it is; `size`: bytes of its weights.
    """

    head: dict
    arrays: dict[str, np.ndarray] = field(repr=False)

    @property
    def key(self) -> str:
        """Part of the SHA-256 of names, shapes, numbers and head."""
        digest = hashlib.sha256(repr(sorted(self.head.items())).encode())
        for name, a in sorted(self.arrays.items()):
            digest.update(f"{name} {a.dtype.str} {a.shape}".encode() + a.tobytes())
        return digest.hexdigest()[:16]

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(a.nbytes for a in self.arrays.values())


@schemas.checked("model", weights=schemas.choice(*KINDS), encoder=schemas.maybe(schemas.boolean))
def export(model: Model, weights: str = "int8", encoder: bool | None = None) -> WebModel:
    """`model` for a page, with the library's own networks: any of the five systems.

    - `weights`: one of `_common.quantised.KINDS`;
    - `encoder`: take the encoder's weights along, with which a page finds the latents of data; None
      where it can, that is unless a frozen text encoder or a mixture makes them. Codebooks always come.

    ValueError for exact predictors, parts of one's own and BERT's network, whose code no page has, and
    where an encoder is asked for that cannot come.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> export(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16)).head["config"]["system"]
    'mdlm'
    """
    c, parts = model.config, own(model)
    if parts:
        named = ", ".join(f"{name} {kind}" for name, kind in parts.items())
        raise ValueError(f"{model.name!r} cannot run in a page, which has the library's own networks only: {named}")
    if c.network == "bert":
        raise ValueError(f"{model.name!r} cannot run in a page: its engine has no network='bert', but plain and text")
    able = c.latent != "none" and c.encoder == "learned"
    if encoder and not able:
        kind = "codes of a mixture" if c.encoder == "mixture" else "a frozen text encoder"
        what = "no latents" if c.latent == "none" else f"{kind}, which stays outside"
        raise ValueError(f"encoder cannot come along: {model.name!r} has {what}")
    encodes = able if encoder is None else bool(encoder)
    tensors = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith("denoiser.") or name == "encoder.codebook" or (able and encodes)
    }
    if isinstance(model.encoder, MixtureCodes):
        tensors["encoder.codebook"] = model.encoder.codebook
    for unused in ("usage", "sums", "centre.num_batches_tracked"):
        tensors.pop(f"encoder.{unused}", None)
    arrays = {name: value.numpy().copy() for name, value in quantise(tensors, weights).items()}
    half, turned = (c.width + 1) // 2, c.width // c.heads // 2
    for name, n in (("freq", half), ("turn", turned)):  # as `transformer.sinusoid` and `rotation` round them
        arrays[name] = torch.exp(-math.log(10_000.0) * torch.arange(n) / n).numpy() if n else np.zeros(0, "f4")
    head = {
        "config": c.to_dict(),
        "name": model.name,
        "labels": model.labels,
        "data": {k: v for k, v in model.data.items() if k in ("task", "length", "saws", "eps", "mode_bins")},
        "lengths": [float(v) for v in model.data.get("lengths", [])],
        "encodes": encodes,
        "weights": weights,
        "parameters": sum(v.numel() for v in tensors.values()),
    }
    return WebModel(head, arrays)

"""Quantised weights: float16, or integers by rows with a scale each, and what that costs in nats.

A matrix [out, in] of k bits is kept as int8 numbers from -(2^(k-1) - 1) to 2^(k-1) - 1 and a float16
tensor NAME.scale [out], by which the entry furthest from 0 of each row has the largest number. Fewer bits than 8
fill the same bytes; they compress better. Small matrices (rows below 32 numbers, or fewer than 4,096
in all) and vectors become float16: there latents enter and leave, and a codebook of int8 alone cost
`binsaw-di-seq` 0.6 nats, since codes that lie close change places.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from . import checkpoint, schemas
from .estimate import Estimate

__all__ = ["KINDS", "cost", "quantise", "restore", "restored_form"]

KINDS = ("float32", "float16", "int8", "int6", "int5", "int4")
TENSORS = schemas.mapping(schemas.is_a(torch.Tensor))
_SCALE = ".scale"
_ROW, _SMALL = 32, 4096  # entries of a row, and of a matrix, from which integers pay


@schemas.checked(tensors=TENSORS, kind=schemas.choice(*KINDS))
def quantise(tensors: dict[str, torch.Tensor], kind: str = "int8") -> dict[str, torch.Tensor]:
    """Quantise weights, by name, to the form in which they are kept; `restore` turns them back.

    Floats alone are changed. ValueError for another kind, and for weights that are not finite or too
    large for it.

    >>> kept = quantise({"w": torch.linspace(-1, 1, 4096).reshape(2, -1)})
    >>> kept["w"][:, [0, -1]].tolist(), restore(kept)["w"][:, [0, -1]].round(decimals=3).tolist()
    ([[-127, 0], [0, 127]], [[-1.0, 0.0], [0.0, 1.0]])
    """
    out = {}
    for name, value in tensors.items():
        value = value.detach().cpu()
        if not value.is_floating_point():
            out[name] = value
            continue
        value = value.float()
        if not bool(value.isfinite().all()) or (kind != "float32" and float(value.abs().max()) > 65_504):
            raise ValueError(f"{name} holds numbers that {kind} cannot: nan, inf, or too large ones")
        small = value.dim() < 2 or value.numel() < _SMALL or value[0].numel() < _ROW
        if kind == "float32":
            out[name] = value
        elif kind == "float16" or small:
            out[name] = value.half()
        else:
            top = 2 ** (int(kind[3:]) - 1) - 1
            rows = value.flatten(1)
            scale = (rows.abs().amax(1) / top).clamp_min(1e-7).half()
            whole = (rows / scale.float().unsqueeze(1)).round().clamp(-top, top)
            out[name], out[name + _SCALE] = whole.to(torch.int8).view_as(value), scale
    return out


@schemas.checked(kept=TENSORS)
def restore(kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Dequantise: the float32 weights that `quantise` kept; others pass as they are. ValueError for
    integers whose scales are missing or of another size."""
    out = {}
    for name, value in kept.items():
        if name.endswith(_SCALE) and name.removesuffix(_SCALE) in kept:
            continue
        if value.dtype == torch.int8:
            scale = kept.get(name + _SCALE)
            if scale is None or scale.shape != value.shape[:1]:
                raise ValueError(f"{name} needs a scale for each of its {len(value)} rows, in {name}{_SCALE}")
            value = value * scale.float().reshape(-1, *[1] * (value.dim() - 1))
        out[name] = value.float() if value.dtype == torch.float16 else value
    return out


def restored_form(form: checkpoint.Form) -> checkpoint.Form:
    """Shapes and types of what `restore` makes of tensors of these shapes and types. Integers whose
    scales do not fit stay what they are, and so are no weights.

    >>> restored_form({"w": ((2, 3), torch.int8), "w.scale": ((2,), torch.float16)})
    {'w': ((2, 3), torch.float32)}
    """
    scaled = {
        name
        for name, (shape, dtype) in form.items()
        if dtype == torch.int8 and form.get(name + _SCALE) == (tuple(shape[:1]), torch.float16)
    }
    kept = {name: v for name, v in form.items() if name.removesuffix(_SCALE) not in scaled or name in scaled}
    whole = {name for name, (_, dtype) in kept.items() if name in scaled or dtype == torch.float16}
    return {name: (shape, torch.float32 if name in whole else dtype) for name, (shape, dtype) in kept.items()}


@schemas.checked("model", kind=schemas.choice(*KINDS))
def cost(model: Any, x, kind: str = "int8", **options) -> Estimate:
    """Quantisation loss: by how many nats per sequence the bound of `model` on x [N, L] rises when
    its weights are kept as `kind`. Both bounds see the same noise, so that the error of the
    difference is small. `options`: of `nelbo`.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> cost(LatentDiffusion.preset("mdlm", task, width=16), task.sample(64), "float32")
    Estimate(value=0.0, stderr=0.0)
    """
    other = copy.deepcopy(model)
    other.load_state_dict(restore(quantise(model.state_dict(), kind)))
    before, after = (m.nelbo(x, each=True, **options) for m in (model, other))
    return Estimate.of(after - before)

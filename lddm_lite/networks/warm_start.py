"""A warm start: a model begins with the weights of another one, as far as these fit."""

from __future__ import annotations

import torch

from .._common.protocols import Model

__all__ = ["take"]


@torch.no_grad()
def take(model: Model, tensors: dict[str, torch.Tensor], name: str = "the other model") -> list[str]:
    """Give `model` those `tensors` whose name and shape are those of its own. Returns a line for each
    of its tensors that keeps its value, and why. ValueError where less than half of the model's
    numbers would come from there.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> of = [tasks.MixtureOfProducts(length=4, vocab=v) for v in (2, 3)]
    >>> one, two = (LatentDiffusion.preset("mdlm", task, width=16) for task in of)
    >>> take(two, one.state_dict())[0]
    'denoiser.embed.weight: shape (4, 16), there (3, 16)'
    """
    own = model.state_dict()
    fits = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    total, taken = (sum(v.numel() for v in found.values()) for found in (own, fits))
    left = [
        f"{k}: shape {tuple(v.shape)}, there {tuple(tensors[k].shape)}" if k in tensors else f"{k}: not there"
        for k, v in own.items() if k not in fits
    ]  # fmt: skip
    if 2 * taken < total:
        raise ValueError(
            f"init_from: {name} has only {100 * taken / max(1, total):.0f} % of the model's numbers in tensors of the "
            f"same name and shape, less than half; the first that does not fit: {left[0]}"
        )
    for k, v in fits.items():
        own[k].copy_(v)
    return left

"""Validation while training runs: the bound on held-out data, and a few samples, of averaged
weights.

Nothing of the run is touched, its random numbers least of all: with and without, the same weights
come out.
"""

from __future__ import annotations

from .._common import randomness
from .._common.protocols import Data, Model

__all__ = ["held_out_bound", "preview"]

ROWS = 256  # held-out sequences, the same ones every time
SAMPLES, STEPS = 3, 8


def held_out_bound(model: Model, data: Data, seed: int) -> dict:
    """{"held_out": bound in nats per sequence, "held_out_se": its standard error} on 256 sequences
    of `data`, the same sequences and the same noise at every call, so that differences are the
    model's.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> list(held_out_bound(LatentDiffusion.preset("mdlm", task, width=16), task, seed=0))
    ['held_out', 'held_out_se']
    """
    g = randomness.generator(seed + 2_000_003)
    total = model.nelbo(data.sample(ROWS, g), seed=seed).total
    return {"held_out": float(total.value), "held_out_se": float(total.stderr)}


def preview(model: Model, seed: int) -> list[str]:
    """Three sampled sequences as text, from the same noise at every call: at most 8 token steps.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> len(preview(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16), seed=0))
    3
    """
    trace = model.sample(SAMPLES, min(STEPS, model.config.length), seed=seed)
    return [trace.text(i) for i in range(SAMPLES)]

"""Tasks with exact answers (METHOD section 8): likelihood, entropy, Bayes-optimal predictor,
scores."""

from __future__ import annotations

from .binsaw import Binsaw
from .corpus import Corpus
from .mixture import MixtureOfProducts, MixtureTask
from .newswire import ToyNewswire
from .parity import ParityBlocks
from .twin_chains import TwinChains

__all__ = [
    "TASKS",
    "Binsaw",
    "Corpus",
    "MixtureOfProducts",
    "MixtureTask",
    "ParityBlocks",
    "ToyNewswire",
    "TwinChains",
    "make",
]

TASKS = {cls.name: cls for cls in (Binsaw, MixtureOfProducts, ParityBlocks, ToyNewswire, TwinChains)}


def make(task: str, **arguments) -> MixtureTask:
    """Build a task from its name, e.g. from a saved model's `spec`. Raises ValueError for an
    unknown name.

    >>> make("binsaw", length=16).length
    16
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {sorted(TASKS)}, got {task!r}")
    return TASKS[task](**arguments)

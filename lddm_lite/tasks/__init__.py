"""Tasks with exact answers (METHOD section 8): likelihood, entropy, Bayes-optimal predictor,
scores."""

from __future__ import annotations

import inspect

from .._common.arguments import shown
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
    "from_spec",
    "make",
]

TASKS = {cls.name: cls for cls in (Binsaw, MixtureOfProducts, ParityBlocks, ToyNewswire, TwinChains)}


def make(task: str, **arguments) -> MixtureTask:
    """Build a task from its name, e.g. from a saved model's `spec`. Raises ValueError for an
    unknown name, or arguments that the task does not have.

    >>> make("binsaw", length=16).length
    16
    """
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"task must be one of {sorted(TASKS)}, got {shown(task)}")
    known = inspect.signature(TASKS[task]).parameters
    for name in arguments:
        if name not in known:
            raise ValueError(f"{task} has no argument {shown(name)}; it has {', '.join(known)}")
    return TASKS[task](**arguments)


def from_spec(spec: dict) -> MixtureTask:
    """The task that a model was made for, from the model's `data`. ValueError where these name none
    of the library's: a file keeps the name of a task, and no code.

    >>> from_spec({"task": "binsaw", "length": 16}).length
    16
    """
    name = spec.get("task") if isinstance(spec, dict) else None
    if name is None:
        raise ValueError("the model was not made for a task but for data of its own; give these again")
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(
            f"the model was made for the task {shown(name)}, which is none of {', '.join(sorted(TASKS))}: a file keeps "
            "its name alone; give the task itself again"
        )
    return make(**spec)

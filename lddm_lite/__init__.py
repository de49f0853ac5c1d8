"""lddm-lite: learn, teach and explore latent discrete diffusion models (arXiv 2510.18114).

Import it as `ld`. Parts are loaded when first used, so that `import lddm_lite` stays light. The
rooms, from below: `tasks`, `diffusion` (the method), `text`, `networks`, `plots`, `evaluation`,
`training`, `widgets`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._common import old_names

__version__ = "0.2.0"

if TYPE_CHECKING:
    from . import course, diffusion, evaluation, networks, plots, tasks, text, training, widgets
    from ._common.estimate import Estimate
    from .config import Config
    from .course import selfcheck
    from .diffusion import Curve, GaussianChannel, MaskedChannel, Path, Prediction, Schedule, Trace
    from .evaluation import along_path, compare, rate_grid
    from .model import LatentDiffusion, load
    from .networks import ExactDenoiser
    from .tasks.arrays import from_arrays
    from .training import History, TrainConfig, TrainingError, fit

__all__ = [
    "Config", "Curve", "Estimate", "ExactDenoiser", "GaussianChannel", "History", "LatentDiffusion", "MaskedChannel",
    "Path", "Prediction", "Schedule", "Trace", "TrainConfig", "TrainingError", "along_path", "compare", "course",
    "diffusion", "evaluation", "fit", "from_arrays", "load", "networks", "plots", "rate_grid", "selfcheck", "tasks",
    "text", "training", "widgets",
]  # fmt: skip

_FROM = {  # place -> what the face shows of it; the other names of __all__ are places themselves
    "_common.estimate": ["Estimate"],
    "config": ["Config"],
    "course": ["selfcheck"],
    "diffusion": ["Curve", "GaussianChannel", "MaskedChannel", "Path", "Prediction", "Schedule", "Trace"],
    "evaluation": ["along_path", "compare", "rate_grid"],
    "model": ["LatentDiffusion", "load"],
    "networks": ["ExactDenoiser"],
    "tasks.arrays": ["from_arrays"],
    "training": ["History", "TrainConfig", "TrainingError", "fit"],
}
_PLACE = {name: place for place, names in _FROM.items() for name in names}

old_names.install(__name__)


def __getattr__(name: str):
    if name in _PLACE:
        return getattr(importlib.import_module(f".{_PLACE[name]}", __name__), name)
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    return old_names.public(__name__, name)


def __dir__() -> list[str]:
    return __all__

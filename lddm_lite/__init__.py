"""lddm-lite: learn, teach and explore latent discrete diffusion models (arXiv 2510.18114).

Import it as `ld`. Parts are loaded when first used, so that `import lddm_lite` stays light.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_PARTS = {
    "GaussianChannel": "channels",
    "MaskedChannel": "channels",
    "Curve": "paths",
    "Path": "paths",
    "Prediction": "denoiser",
    "Trace": "trace",
    "Config": "config",
    "LatentDiffusion": "model",
    "ExactDenoiser": "exact",
    "History": "history",
    "TrainConfig": "train",
    "TrainingError": "train",
    "along_path": "boundcurve",
    "compare": "report",
    "budget": "train",
    "fit": "train",
    "load": "model",
    "rate_grid": "rategrid",
    "selfcheck": "selfchecks",
    "evaluate": None,
    "text": None,
    "tasks": None,
    "metrics": None,
    "textmetrics": None,
    "judge": None,
    "report": None,
    "dryrun": None,
    "parts": None,
    "plots": None,
    "widgets": None,
}
__all__ = sorted(_PARTS)


def __getattr__(name: str):
    if name not in _PARTS:
        raise AttributeError(f"module 'lddm_lite' has no attribute {name!r}")
    part = _PARTS[name]
    if part is None:
        return importlib.import_module(f".{name}", __name__)
    return getattr(importlib.import_module(f".{part}", __name__), name)


def __dir__() -> list[str]:
    return __all__

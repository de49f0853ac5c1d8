"""The method: two noised channels, tokens and latents, walked along one path (METHOD 1-4, 6, 7).

| file | METHOD | what |
|---|---|---|
| `channels` | M1-M8 | masked noise (tokens, codes) and Gaussian noise (continuous latents) |
| `paths` | M10 | paths of noise times, and the knots a sampler walks |
| `best_schedule` | M4, M7, M12 | where steps are best placed, of tokens and of both channels |
| `prediction` | 3 | what a denoiser says of clean tokens and latents |
| `bound` | M4, M7, M9 | the bound on -log p(x), in continuous time and in finite steps |
| `loss` | 5 | the training loss in two stages |
| `sampler` | 7 | from pure noise to clean, one network call a segment |
| `unmasking_order` | 7 | which masked positions a step reveals |
| `nfe_budget` | 7 | how a total of network calls is split between the channels |
| `given_latents` | 7 | tokens from finished latents |
| `interpolation` | 5 | the way between two latents |
| `rate_grid` | M9, M11, M12 | both rates over the square of noise times, and what any path costs |
| `trace` | 7 | what a sampler did, step by step |
"""

from __future__ import annotations

from .best_schedule import StepCosts, best_counts, even_counts, finite_bound
from .bound import Nelbo, antithetic, nelbo
from .channels import GaussianChannel, MaskedChannel, SquareRootChannel
from .given_latents import decode
from .interpolation import interpolate, slerp
from .loss import Loss, training_loss
from .nfe_budget import split
from .paths import Curve, Knot, Path, Schedule
from .prediction import Prediction
from .rate_grid import PathCost, RateGrid
from .sampler import Draws, nucleus, sample
from .trace import Trace

__all__ = [
    "Curve", "Draws", "GaussianChannel", "Knot", "Loss", "MaskedChannel", "Nelbo", "Path", "PathCost", "Prediction",
    "RateGrid", "Schedule", "SquareRootChannel", "StepCosts", "Trace", "antithetic", "best_counts", "decode",
    "even_counts", "finite_bound", "interpolate", "nelbo", "nucleus", "sample", "slerp", "split", "training_loss",
]  # fmt: skip

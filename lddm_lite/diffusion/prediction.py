"""The output of a denoiser: a prediction of clean tokens and clean latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Prediction"]


@dataclass
class Prediction:
    """Output of a denoiser. `tokens`: log-probabilities [N, V], one row per asked position in
    row-major order, or None. `latents`: z_hat [B, m, d] (continuous), code log-probabilities
    [B, m, K] (discrete), or None."""

    tokens: torch.Tensor | None
    latents: torch.Tensor | None

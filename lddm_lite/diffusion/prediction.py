"""What a denoiser says of clean tokens and clean latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Prediction"]


@dataclass
class Prediction:
    """What a denoiser says. `tokens`: log-probabilities [N, V], one row per asked position in
    row-major order, or None. `latents`: z_hat [B, m, d] (continuous), code log-probabilities
    [B, m, K] (discrete), or None."""

    tokens: torch.Tensor | None
    latents: torch.Tensor | None

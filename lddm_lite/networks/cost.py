"""FLOPs of a network call, counted from the shapes of the layers as the field counts them: two for
each weight and position, and those of attention."""

from __future__ import annotations

from typing import Any

import torch

from .denoiser import Denoiser

__all__ = ["forward_flops"]


def forward_flops(denoiser: Any, tokens: bool = True) -> float:
    """Floating-point operations of a call for one sequence; nan for a denoiser of one's own, of
    whose inside nothing is known. Without `tokens` the latents alone are looked at.

    >>> from lddm_lite.config import Config
    >>> from lddm_lite.networks import Denoiser
    >>> forward_flops(Denoiser(Config.preset("mdlm", length=8, vocab=4, width=16, blocks=1)))
    54272
    """
    if not isinstance(denoiser, Denoiser):
        return float("nan")
    c, trunk = denoiser.config, denoiser.trunk

    def weights(*layers) -> int:
        return sum(w.weight.numel() for layer in layers for w in layer.modules() if isinstance(w, torch.nn.Linear))

    def stream(halves) -> int:
        return sum(weights(h.qkv, h.out, h.up, h.down) for h in halves)  # adaLN is per sequence, hence next to nothing

    slots = len(trunk.latent) and c.slots
    length = c.length if tokens else 0
    moved = length * (stream(trunk.token) + weights(denoiser.head)) + slots * stream(trunk.latent)
    return 2 * moved + 4 * c.blocks * c.width * (length + slots) ** 2

"""The networks: what predicts clean tokens and latents, and what makes latents of sequences (METHOD
3, 5, 6).

| file | what |
|---|---|
| `transformer` | two streams, tokens and latents, with joint attention |
| `bert` | BERT's blocks in their place, and the start from pretrained weights |
| `denoiser` | the network of all five systems, and operations of a call |
| `encoders`, `codebook` | learned encoders: continuous latents, codes of a codebook |
| `mixture_codes` | codes that are the classes of a mixture of products |
| `exact` | Bayes-optimal denoisers of tasks |
| `build`, `custom_parts` | which parts a configuration asks for, and parts of your own |
| `sentence_latents`, `frozen_text_encoder`, `pretrained`, `latent_cache` | latents and codes by a frozen text encoder |
"""

from __future__ import annotations

from .codebook import DiscreteEncoder
from .denoiser import Denoiser
from .encoders import ContinuousEncoder
from .exact import ExactDenoiser, ShiftEncoder
from .frozen_text_encoder import FrozenTextCodes, FrozenTextEncoder
from .mixture_codes import MixtureCodes
from .pretrained import TextEncoder
from .sentence_latents import SentenceLatents
from .transformer import StreamBlock, TwoStreamTransformer

__all__ = [
    "ContinuousEncoder", "Denoiser", "DiscreteEncoder", "ExactDenoiser", "FrozenTextCodes", "FrozenTextEncoder",
    "MixtureCodes", "SentenceLatents", "ShiftEncoder", "StreamBlock", "TextEncoder", "TwoStreamTransformer",
]  # fmt: skip

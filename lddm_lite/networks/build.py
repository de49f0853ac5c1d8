"""The channel and the encoder that a configuration asks for, or those of one's own in their place.
"""

from __future__ import annotations

from torch import nn

from .._common.arguments import shown
from ..config import Config
from ..diffusion.channels import GaussianChannel, MaskedChannel, SquareRootChannel
from .codebook import DiscreteEncoder
from .encoders import ContinuousEncoder
from .mixture_codes import MixtureCodes

__all__ = ["NAMES", "made", "make_encoder", "usual_channel"]

NAMES = ("denoiser", "encoder", "channel")


def make_encoder(config: Config, labels) -> nn.Module | None:
    """The encoder a configuration asks for, a frozen one reading the `labels` as text; None without
    latents."""
    if config.encoder == "mixture":
        return MixtureCodes(config)
    if config.encoder != "learned":
        from .frozen_text_encoder import FrozenTextCodes, FrozenTextEncoder
        from .sentence_latents import SentenceLatents

        latents = SentenceLatents(config.encoder, config.slots, config.dim)
        discrete = config.latent == "discrete"
        return FrozenTextCodes(latents, labels, config.codes) if discrete else FrozenTextEncoder(latents, labels)
    return {"none": lambda c: None, "continuous": ContinuousEncoder, "discrete": DiscreteEncoder}[config.latent](config)


def usual_channel(config: Config):
    """The library's channel for the latents of `config`, or None.

    >>> usual_channel(Config.preset("di-seq", length=8, vocab=2, codes=16))
    MaskedChannel(vocab=16)
    """
    if config.latent == "none":
        return None
    if config.latent == "discrete":
        return MaskedChannel(config.codes)
    kind = {"linear": GaussianChannel, "sqrt": SquareRootChannel}[config.latent_schedule]
    return kind(config.log_snr_max, config.log_snr_min)


def made(name: str, part, config: Config):
    """The part itself: `part`, or what it makes of the configuration. ValueError for something else
    and another name.

    >>> made("channel", lambda config: GaussianChannel(8.0), Config(8, 2)).log_snr_max
    8.0
    """
    if name not in NAMES:
        raise ValueError(f"unknown part {name!r}; there are {', '.join(NAMES)}")
    kind = (GaussianChannel, MaskedChannel) if name == "channel" else nn.Module
    if not isinstance(part, kind) and callable(part):
        part = part(config)
    if not isinstance(part, kind):
        wish = "a GaussianChannel or MaskedChannel" if name == "channel" else "a torch.nn.Module"
        raise ValueError(f"{name} must be {wish}, or a function that makes one of a Config; got {shown(part)}")
    return part

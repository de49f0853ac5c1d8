"""Schema of a model's checkpoint: what its config.json must hold, and the tensors that follow from
it, compared before anything is built."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import nn

from .._common import checkpoint, schemas
from .._common.arguments import shown
from .._common.data_contract import is_text
from ..config import Config
from ..text.dataset import from_spec
from .build import make_encoder, usual_channel
from .denoiser import Denoiser
from .sentence_latents import check_statistics

__all__ = ["META", "agree", "expected", "fits"]


_SHARES = schemas.items(schemas.number(0.0), least=2)
DATA = schemas.record(
    {},
    {"task": schemas.text(most=200), "lengths": _SHARES, "molecules": schemas.text(most=200),
     "shape": schemas.pair(schemas.whole(1), schemas.whole(1)),
     "classes": schemas.record({"first": schemas.whole(1), "names": schemas.items(schemas.text(), least=1)}),
     "text": schemas.record({"tokenizer": schemas.text(), "length": schemas.whole(1, limit="length")},
                            {name: schemas.boolean for name in ("lowercase", "spaced", "foreign", "trimmed")},
                            others=schemas.anything)},
    others=schemas.anything)  # fmt: skip

META = schemas.record(
    {"config": schemas.mapping(schemas.anything), "labels": schemas.items(schemas.text()), "data": DATA},
    {"parts": schemas.mapping(schemas.text()), "history": schemas.mapping(schemas.anything), "command": schemas.text(),
     "training": schemas.mapping(schemas.anything)},
    others=schemas.anything)  # fmt: skip


def agree(config: Config, labels: list[str], data: dict) -> None:
    """ValueError unless labels and data are those of a model of this configuration.

    >>> agree(Config.preset("mdlm", length=4, vocab=2), ["0", "1"], {})
    """
    if len(labels) != config.vocab:
        raise ValueError(f"labels must be {config.vocab}, one for each token, got {len(labels)}")
    lengths, text = data.get("lengths"), is_text(data)
    if lengths is None:
        if text:
            raise ValueError("data.lengths, the share of sentences of each length, is missing")
    elif len(lengths) != config.length + 1 or not sum(lengths) > 0 or (lengths[0] > 0 and sum(lengths[1:]) <= 0):
        raise ValueError(f"data.lengths must hold the shares of lengths 0..{config.length}, one above 0")
    if "shape" in data and math.prod(data["shape"]) > config.length:
        raise ValueError(f"data.shape must be rows and columns of at most {config.length} tokens, got {data['shape']}")
    if "classes" in data and data["classes"]["first"] + len(data["classes"]["names"]) != config.vocab:
        raise ValueError(f"data.classes must be the last of the {config.vocab} labels, got {shown(data['classes'])}")
    if text and data["text"]["length"] != config.length:
        raise ValueError(f"data.text.length must be {config.length}, as in config, got {data['text']['length']}")
    if text and config.pad_id is None:
        raise ValueError("config.pad_id must be a number for a model of text, got None")
    if text:
        vocab = from_spec(data).vocab
        if vocab != config.vocab:
            raise ValueError(f"data.text.tokenizer must have {config.vocab} pieces, as config.vocab, got {vocab}")


def expected(config: Config, given: Collection[str] = ()) -> checkpoint.Form:
    """The tensors that a model of this configuration has, but for parts that are `given`; nothing
    is allocated.

    >>> expected(Config.preset("mdlm", length=4, vocab=2))["denoiser.embed.weight"]
    ((3, 64), torch.float32)
    """
    with torch.device("meta"):
        parts: dict[str, nn.Module | None] = {}
        if "denoiser" not in given:
            parts["denoiser"] = Denoiser(config, usual_channel(config))
        if "encoder" not in given and config.encoder in ("learned", "mixture"):
            parts["encoder"] = make_encoder(config, [])
        tensors = {f"{k}.{name}": v for k, part in parts.items() if part for name, v in part.state_dict().items()}
    return checkpoint.form_of(tensors)


def fits(config: Config, found: checkpoint.Form, given: Collection[str] = ()) -> None:
    """ValueError unless the weights `found` in a file are those of a model of this configuration.

    >>> config = Config.preset("mdlm", length=4, vocab=2)
    >>> fits(config, expected(config))
    """
    own = tuple(f"{name}." for name in ("denoiser", "encoder") if name not in given)
    rest = found
    if config.encoder not in ("learned", "mixture") and "encoder" not in given:
        rest = {name: v for name, v in found.items() if not name.startswith("encoder.")}
        if len(rest) < len(found):  # else it was saved before there were statistics
            book: checkpoint.Form = {"encoder.codebook": ((config.codes, config.dim), torch.float32)}
            more = book if config.latent == "discrete" else None
            check_statistics(config.slots, config.dim, found, "encoder.", more)
    checkpoint.compare(rest, expected(config, given), own)
    if odd := [name for name in found if not name.startswith(("denoiser.", "encoder."))]:
        raise ValueError(f"{shown(odd[0])} is none of its tensors")


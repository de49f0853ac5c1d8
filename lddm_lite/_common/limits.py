"""Limits on sizes that memory or time follow from: what a file, an option or an argument may ask for
without a word of yours.

`LDDM_LIMIT_VOCAB=5000000` in the environment lifts the limit `vocab`, and so for each name below.
"""

from __future__ import annotations

import os

__all__ = ["LIMITS", "limit", "within"]

LIMITS = {
    "length": 32_768,  # tokens of a sequence
    "vocab": 1_000_000,  # different tokens
    "codes": 1_000_000,  # different codes
    "width": 16_384,
    "blocks": 256,
    "slots": 4_096,
    "dim": 4_096,
    "parameters": 5_000_000_000,  # of a model that is about to be built
    "steps": 65_536,  # of a sampler, in each channel
    "tokens": 1 << 28,  # of all sequences of one call: each takes about 80 bytes in a Trace
    "components": 1 << 27,  # probabilities of an exact task: 8 bytes each
    "threads": 1_024,
    "json": 64_000_000,  # bytes of a JSON file
    "line": 10_000_000,  # bytes of a line of text
    "header": 16_000_000,  # bytes of the header of a safetensors file
}


def limit(name: str) -> int:
    """The limit of that name: the environment's, or the usual one.

    >>> limit("blocks")
    256
    """
    given = os.environ.get(variable(name), "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else LIMITS[name]


def variable(name: str) -> str:
    """The variable of the environment that lifts a limit."""
    return f"LDDM_LIMIT_{name.upper()}"


def within(name: str, value: int, what: str | None = None) -> int:
    """Return `value`, or raise ValueError where it is above the limit `name`; `what` it is, for the
    message.

    >>> within("blocks", 12)
    12
    """
    most = limit(name)
    if value > most:
        from .arguments import shown

        raise ValueError(
            f"{what or name} must be at most {most:,}, got {shown(value)}; "
            f"to lift this limit, set {variable(name)} in the environment"
        )
    return value

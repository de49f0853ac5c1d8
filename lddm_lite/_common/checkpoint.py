"""Checkpoints: a folder with `config.json` and one safetensors file. Never pickle.

The weights carry part of their hash in their name and are written first; `config.json`, which names
them, is replaced in one step. A crash, a kill or a full disk at any moment leaves the last complete
checkpoint readable.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from pathlib import Path

import torch

from .files import write as write_file

__all__ = ["CheckpointError", "read", "write"]

FORMAT, VERSION = "lddm-lite checkpoint", 1
_OURS = re.compile(r"weights-[0-9a-f]{12}\.safetensors(\.part)?")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read: the message says what is wrong with which file."""


def write(folder, tensors: dict[str, torch.Tensor], meta: dict) -> Path:
    """Write tensors and JSON-able `meta` to `folder` (created if needed); returns the folder.
    OSError on a full disk leaves what was there before."""
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = folder / f"weights-{digest[:12]}.safetensors"
    header = {"format": FORMAT, "version": VERSION, "weights": weights.name, "sha256": digest}
    write_file(weights, data)
    write_file(folder / "config.json", json.dumps({**header, **meta}, indent=1, default=_plain) + "\n")
    for old in folder.iterdir():  # of earlier saves, also of those that were cut off; nothing of other people's
        if _OURS.fullmatch(old.name) and old != weights:
            with contextlib.suppress(OSError):
                old.unlink()
    return folder


def read(folder) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and meta of a checkpoint folder. Raises CheckpointError naming the file and what is
    wrong with it: missing, cut off, changed, of another version, or a pickle."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    if folder.is_file():
        if _is_pickle(folder.read_bytes()):
            raise CheckpointError(
                f"{folder} is a pickle (torch.save); it could run code when loaded. Give a folder written by model.save"
            )
        raise CheckpointError(f"{folder} is a file; a checkpoint is a folder with config.json and a safetensors file")
    config = folder / "config.json"
    if not config.is_file():
        raise CheckpointError(f"no checkpoint at {folder}: {config.name} is missing")
    try:
        meta = json.loads(config.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise CheckpointError(f"{config} is damaged or cut off: {e}") from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{config} does not describe an lddm-lite checkpoint")
    if meta.get("version") != VERSION:
        raise CheckpointError(f"{config} has version {meta.get('version')!r}; this library reads version {VERSION}")
    weights = folder / Path(str(meta.get("weights"))).name
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing, though {config.name} names it")
    data = weights.read_bytes()
    # only a file that is not what was written is asked whether it is a pickle: safetensors may
    # begin the same way
    if hashlib.sha256(data).hexdigest() != meta.get("sha256"):
        if _is_pickle(data):
            raise CheckpointError(f"{weights} is a pickle, not safetensors; it is not loaded, since it could run code")
        raise CheckpointError(f"{weights} is cut off or changed: its sha256 is not the one in {config.name}")
    try:
        return load(data), meta
    except SafetensorError as e:
        raise CheckpointError(f"{weights} is not a safetensors file: {e}") from None


def _is_pickle(data: bytes) -> bool:
    """Does a file begin like a pickle, or like the zip archive of torch.save?"""
    return data[:2] == b"PK" or data[:1] == b"\x80"


def _plain(value):
    """numpy numbers as Python's, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not go into JSON")

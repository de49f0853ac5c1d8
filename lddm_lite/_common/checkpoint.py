"""Checkpoints: a folder with `config.json` and one safetensors file. Never pickle.

The weights carry part of their hash in their name and are written first; `config.json`, which names
them, is replaced in one step. A crash, a kill or a full disk at any moment leaves the last complete
checkpoint readable; who reads beside a writer sees the one before or the one after.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch

from . import arguments, documents, schemas
from .arguments import shown
from .files import locked, made_folder, replacing, user_path
from .files import write as write_file

__all__ = [
    "CheckpointError", "FORMAT", "Form", "check_free", "compare", "form_of", "is_checkpoint", "read", "remove", "write",
]  # fmt: skip

FORMAT, VERSION = "lddm-lite checkpoint", 1
LOCKS = (".lock", ".running")  # files that say that somebody is at work
WEIGHTS = r"weights-[0-9a-f]{12}\.safetensors"
TRIES = 100  # at reading beside a process that saves again and again

Form = dict[str, tuple[tuple[int, ...], torch.dtype]]  # name of a tensor -> its shape and dtype

# What config.json of any checkpoint has; what it is about has a schema of its own (see `read`).
HEADER = schemas.record(
    {"format": schemas.constant(FORMAT), "version": schemas.constant(VERSION), "weights": schemas.text(WEIGHTS),
     "sha256": schemas.text("[0-9a-f]{64}")},
    {"before": schemas.items(schemas.text(WEIGHTS), most=64)}, others=schemas.anything)  # fmt: skip

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_ENTRY = schemas.record({
    "dtype": schemas.choice(*_DTYPES), "shape": schemas.items(schemas.whole(0), most=8),
    "data_offsets": schemas.items(schemas.whole(0), 2, 2),
})  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint that cannot be read: the message says what is wrong with which file."""


def write(folder, tensors: dict[str, torch.Tensor], meta: dict) -> Path:
    """Write tensors and JSON-able `meta` to `folder` (created if needed); returns the folder. A file
    of weights goes when a config.json of ours named it, and no other file. OSError on a full disk
    leaves what was there before."""
    from safetensors.torch import save

    folder = user_path("folder", folder)
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = folder / f"weights-{digest[:12]}.safetensors"
    header: dict = {"format": FORMAT, "version": VERSION, "weights": weights.name, "sha256": digest}
    config = folder / "config.json"
    with made_folder(folder), locked(folder):
        # a config.json.part is of a save that was cut off; it may name weights that nothing else does
        named = set().union(*(_named(file) for file in (config, folder / "config.json.part"))) - {weights.name}
        named = {name for name in named if any((folder / f"{name}{part}").exists() for part in ("", ".part"))}
        if named:  # for the next one to remove, if this one is killed before it does
            header["before"] = sorted(named)[:64]
        text = json.dumps({**header, **meta}, indent=1, default=_plain) + "\n"
        there = weights.exists()
        try:
            with replacing(config) as f:
                f.write(text.encode())
                f.flush()
                os.fsync(f.fileno())  # before there are weights of that name, so that none are lost
                write_file(weights, data)
        except BaseException:
            if not there and _weights_of(config) != weights.name:
                with contextlib.suppress(OSError):
                    weights.unlink()
            raise
        for old in named:
            for name in (old, f"{old}.part"):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
    return folder


def _weights_of(config: Path) -> str | None:
    """The file of weights that a config.json of ours names; None for any other file."""
    return (_header_of(config) or {}).get("weights")


def _named(config: Path) -> set[str]:
    """All files of weights that a config.json of ours names: its own, and those that it replaced."""
    header = _header_of(config)
    return set() if header is None else {header["weights"], *header.get("before", [])}


def _header_of(config: Path) -> dict | None:
    try:
        return None if config.is_symlink() else documents.read_document(config, HEADER, constants=True)
    except (OSError, ValueError):
        return None


def check_free(folder, overwrite: bool = False) -> Path:
    """The folder, if it may be written to: there is none yet, it is empty, or `overwrite`. ValueError
    for one that holds something.

    >>> check_free("new").name
    'new'
    """
    folder = user_path("folder", folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give another one")
    there = [] if not folder.is_dir() else [p.name for p in folder.iterdir() if p.name not in LOCKS]
    if there and not arguments.truth("overwrite", overwrite):
        what = "a checkpoint" if is_checkpoint(folder) else f"something else, {shown(min(there))} among it"
        raise ValueError(f"{folder} exists and holds {what}; give another folder, or overwrite=True")
    return folder


def remove(folder: Path) -> None:
    """Remove a checkpoint of ours from a folder: its config.json, and the weights that this names.

    >>> remove(Path("."))
    """
    if named := _named(folder / "config.json"):
        (folder / "config.json").unlink(missing_ok=True)
        for name in named:
            (folder / name).unlink(missing_ok=True)


def is_checkpoint(folder) -> bool:
    """Is there a checkpoint of ours in a folder? What it holds is not looked at.

    >>> is_checkpoint(".")
    False
    """
    return _weights_of(Path(folder) / "config.json") is not None


def read(
    folder, schema: schemas.Domain | None = None, fits: Callable[[dict, Form], None] | None = None
) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and meta of a checkpoint folder. Raises CheckpointError naming the file and what is
    wrong with it: missing, cut off, changed, of another version, not of the form asked for, or a
    pickle.

    - `schema`: of what config.json holds beside the header (see `schemas.record`);
    - `fits`: given that, and the shape and dtype of each tensor as the header of the weights tells
      them; raises ValueError where the two do not go together, before the weights are read.
    """
    folder = user_path("folder", folder)
    if folder.is_file():
        with open(folder, "rb") as f:
            start = f.read(2)
        if _is_pickle(start):
            raise CheckpointError(
                f"{folder} is a pickle (torch.save); it could run code when loaded. Give a folder written by model.save"
            )
        raise CheckpointError(f"{folder} is a file; a checkpoint is a folder with config.json and a safetensors file")
    for _ in range(TRIES):
        meta, config = _read_meta(folder, schema), folder / "config.json"
        weights = folder / meta["weights"]
        try:
            data = _read_weights(weights, meta, fits)
        except FileNotFoundError:
            if _weights_of(config) != weights.name:  # another process has saved a newer one
                continue
            raise CheckpointError(f"{weights} is missing, though {config.name} names it") from None
        return _tensors(weights, data), meta
    raise CheckpointError(f"{folder} was written again and again while it was read; try again")


def _read_meta(folder: Path, schema: schemas.Domain | None) -> dict:
    config = folder / "config.json"
    try:
        meta = documents.read_document(config, constants=True)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"no checkpoint at {folder}: {config.name} is missing") from None
    except OSError as e:
        raise CheckpointError(f"{config}: {e.strerror or e}") from None
    except ValueError as e:
        raise CheckpointError(str(e)) from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{config} does not describe an lddm-lite checkpoint")
    if meta.get("version") != VERSION or isinstance(meta["version"], bool):
        version = shown(meta.get("version"))
        raise CheckpointError(f"{config} has version {version}; this library reads version {VERSION}")
    try:
        meta = HEADER("", meta)
        return meta if schema is None else {**meta, **schema("", {k: v for k, v in meta.items() if k not in _OWN})}
    except ValueError as e:
        raise CheckpointError(f"{config}: {e}") from None


_OWN = ("format", "version", "weights", "sha256", "before")


def _read_weights(path: Path, meta: dict, fits: Callable[[dict, Form], None] | None) -> bytes:
    """The bytes of a safetensors file, whose header was looked at before the rest was read."""
    try:
        documents.regular(path)  # one look, since another process may take the file away after it
    except FileNotFoundError:
        raise
    except OSError as e:
        raise CheckpointError(f"{path} {e.strerror}") from None
    with open(path, "rb") as f:
        size, start = os.fstat(f.fileno()).st_size, f.read(8)
        found: Form | None = None
        why = ""
        try:
            found = _header(f, size, start)
        except ValueError as e:
            why = str(e)
        if found is not None and fits is not None:
            try:
                fits(meta, found)
            except CheckpointError:
                raise
            except ValueError as e:
                raise CheckpointError(f"{path}: the weights do not fit its config: {e}") from None
        f.seek(0)
        data = f.read() if found is not None else b""
        # only a file that is not what was written is asked whether it is a pickle: safetensors may
        # begin the same way
        f.seek(0)
        if hashlib.file_digest(f, "sha256").hexdigest() != meta["sha256"] or (found is not None and len(data) != size):
            if _is_pickle(start):
                raise CheckpointError(f"{path} is a pickle, not safetensors; it is not loaded, since it could run code")
            raise CheckpointError(f"{path} is cut off or changed: its sha256 is not the one in config.json")
        if found is None:
            raise CheckpointError(f"{path} is not a safetensors file: {why}")
    return data


def check_header(data: bytes) -> Form:
    """Names, shapes and dtypes in the content of a safetensors file. ValueError where its header is
    damaged, or does not fit the rest.

    >>> from safetensors.torch import save
    >>> check_header(save({"w": torch.zeros(2)}))
    {'w': ((2,), torch.float32)}
    """
    return _header(io.BytesIO(data[8:]), len(data), data[:8])


def _header(f, size: int, start: bytes) -> Form:
    """Names, shapes and dtypes in a safetensors file of `size` bytes, that its data have place for
    them among these. ValueError for anything else."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8:
        raise ValueError("its header is cut off")
    arguments.within("header", length, "its header in bytes")
    raw = documents.parse(f.read(length), "its header")
    if not isinstance(raw, dict):
        raise ValueError("its header is no object")
    raw.pop("__metadata__", None)
    found: Form = {}
    places = []
    for name, entry in raw.items():
        about = _ENTRY(f"its tensor {shown(name)}", entry)
        dtype, (first, last) = _DTYPES[about["dtype"]], about["data_offsets"]
        if last - first != math.prod(about["shape"]) * dtype.itemsize:
            raise ValueError(f"its tensor {shown(name)} has a shape that its bytes do not fill")
        places.append((first, last))
        found[name] = tuple(about["shape"]), dtype
    end = 0
    for first, last in sorted(places):
        if first != end:
            raise ValueError("its tensors overlap, or leave gaps")
        end = last
    if end != size - 8 - length:
        raise ValueError("its tensors do not fill it")
    return found


def compare(found: Form, form: Form, prefixes: tuple[str, ...] = ("",)) -> None:
    """ValueError unless a file has just the tensors of `form`, in shape and kind (floats of any
    size stand for each other), among those whose names begin with one of the `prefixes`.

    >>> compare({"w": ((2,), torch.float16)}, {"w": ((2,), torch.float32)})
    """
    for name, (shape, dtype) in form.items():
        if name not in found:
            raise ValueError(f"{name} is missing")
        has, of = found[name]
        if tuple(has) != tuple(shape) or (of != dtype and not (of.is_floating_point and dtype.is_floating_point)):
            raise ValueError(f"{name} must be {_kind(dtype)} {list(shape)}, got {_kind(of)} {list(has)}")
    if odd := sorted(name for name in set(found) - set(form) if name.startswith(prefixes)):
        raise ValueError(f"{shown(odd[0])} is none of its tensors")


def form_of(tensors: dict[str, torch.Tensor]) -> Form:
    """The shape and dtype of each tensor.

    >>> form_of({"w": torch.zeros(2)})
    {'w': ((2,), torch.float32)}
    """
    return {name: (tuple(v.shape), v.dtype) for name, v in tensors.items()}


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _tensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as e:
        raise CheckpointError(f"{path} is not a safetensors file: {e}") from None
    for name, v in tensors.items():
        if v.is_floating_point() and not bool(torch.isfinite(v).all()):
            raise CheckpointError(f"{path}: {shown(name)} holds nan or infinite values")
    return tensors


def _is_pickle(data: bytes) -> bool:
    """Does a file begin like a pickle, or like the zip archive of torch.save?"""
    return data[:2] == b"PK" or data[:1] == b"\x80"


def _plain(value):
    """numpy numbers as Python's, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not go into JSON")

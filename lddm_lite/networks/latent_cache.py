"""The cache of frozen latents on disk: one folder for each key, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import torch

from .._common import checkpoint
from .._common.files import cache_folder

__all__ = ["cached", "key_of"]

KIND = "cached latents"


def key_of(options: dict, fitted, sentences: list[str]) -> str:
    """Cache key: the hash of all that latents depend on; `fitted`: the fingerprint of the model, or
    tensors that contain it.

    >>> key_of({"slots": 1}, "a model", ["a", "b"]) == key_of({"slots": 1}, "a model", ["ab"])
    False
    """
    out = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name, v in sorted(fitted.items()) if isinstance(fitted, dict) else [(fitted, None)]:
        out.update(name.encode() + (b"" if v is None else v.contiguous().numpy().tobytes()))
    for s in sentences:
        text = s.encode("utf-8", "surrogatepass")
        out.update(len(text).to_bytes(8, "little") + text)
    return out.hexdigest()


def cached(key: str | None, make, form: checkpoint.Form | None = None) -> dict[str, torch.Tensor]:
    """Cached tensors: those kept under `key`, else those that `make()` returns, which are then
    kept. A damaged entry, and one of other tensors than `form` says, is made anew; a folder that
    cannot be written gives a warning, not an error. No key: nothing is kept.

    >>> cached(None, lambda: {"latents": torch.zeros(1)})
    {'latents': tensor([0.])}
    """
    if key is None:
        return make()
    folder = cache_folder() / "frozen" / key[:32]

    def fits(meta: dict, found: checkpoint.Form) -> None:
        if meta.get("key") != key or meta.get("kind") != KIND:
            raise ValueError("it is of another key")
        if form is not None:
            checkpoint.compare(found, form)

    try:
        return checkpoint.read(folder, fits=fits)[0]
    except (checkpoint.CheckpointError, OSError):
        pass
    tensors = make()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # written aside and moved at once: others, who may be at the same, see a whole folder or
        # none
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            checkpoint.write(aside, tensors, {"kind": KIND, "key": key})
            if folder.is_symlink() or folder.is_file():
                folder.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as e:
        if not folder.is_dir():  # else another process was faster
            warnings.warn(f"not cached, and to be computed again next time: {e}", stacklevel=3)
    return tensors

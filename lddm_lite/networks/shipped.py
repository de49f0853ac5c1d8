"""Checkpoints that ship: those in the repository's data/checkpoints or, installed from a wheel, those
in the package; larger ones come from one address, checked by their SHA-256.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from importlib import resources
from pathlib import Path

from .._common import schemas
from .._common.arguments import shown
from .._common.checkpoint import CheckpointError, is_checkpoint
from .._common.files import cache_folder, locked, user_path, write

__all__ = ["ADDRESS", "ELSEWHERE", "fetch", "folders", "place"]

# Where the larger ones lie, as NAME.zip. Empty: nowhere yet. `LDDM_CHECKPOINTS` in the environment goes before it.
ADDRESS = ""
# name -> SHA-256 of NAME.zip, as tests/support/pack_checkpoints.py makes it
ELSEWHERE: dict[str, str] = {
    "lm1b-co-seq": "2d425e7a0fb545535a4696d0651e15de5ab87f51de157b7484fd834b52dc8120",
    "lm1b-mdlm": "0b29fd834d8e43ad1601523ab7645a12dc5203dce86df43f6555321120fb0d1e",
}
TIMEOUT = 20.0  # seconds without a byte
MOST = 1 << 30  # bytes of an archive, and of what is in it


def folders() -> list[Path]:
    """Where checkpoints lie that need no network: beside the package, in a clone, and inside it."""
    package = resources.files(__package__.rpartition(".")[0])
    inside = Path(str(package / "checkpoints"))
    return [p for p in (Path(str(package)).parent / "data" / "checkpoints", inside) if p.is_dir()]


def place(name) -> Path:
    """The folder of a checkpoint: a path that exists, or the name of one that ships. CheckpointError
    lists the names when there is none.

    >>> place("binsaw-mdlm").name
    'binsaw-mdlm'
    """
    path = user_path("name", name)
    if path.exists():
        return path
    if path.name == str(path):
        for folder in folders():
            if is_checkpoint(folder / path.name):
                return folder / path.name
        if path.name in ELSEWHERE:
            return fetch(path.name)
    names = sorted({p.name for folder in folders() for p in folder.iterdir() if is_checkpoint(p)} | set(ELSEWHERE))
    raise CheckpointError(f"no checkpoint {shown(str(name))}; shipped ones: {', '.join(names) or 'none'}")


def fetch(name: str, address: str | None = None, digest: str | None = None) -> Path:
    """A larger checkpoint, fetched once into the cache. CheckpointError where there is no address
    for it, no network, or something else than what was to come.

    - `name`: of the checkpoint;
    - `address`: of the folder that holds NAME.zip; None for `LDDM_CHECKPOINTS` or ADDRESS;
    - `digest`: SHA-256 of NAME.zip; None for that of ELSEWHERE.

    >>> fetch("lm1b-mdlm")  # doctest: +SKIP
    PosixPath('/home/me/.cache/lddm-lite/checkpoints/lm1b-mdlm-0123456789ab')
    """
    address = address if address is not None else os.environ.get("LDDM_CHECKPOINTS") or ADDRESS
    schemas.text("[a-z0-9][a-z0-9-]*", most=100)("name", name)
    digest = digest if digest is not None else ELSEWHERE.get(name, "")
    if not address or not digest:
        raise CheckpointError(
            f"{name!r} does not ship in the wheel, and there is no address yet to fetch it from "
            "(networks/shipped.py): take it from data/checkpoints of a clone of the repository"
        )
    if not address.startswith(("http://", "https://")):
        raise CheckpointError(f"the address of checkpoints must begin with http:// or https://, got {shown(address)}")
    home = cache_folder() / "checkpoints"
    folder = home / f"{name}-{digest[:12]}"
    with locked(home):
        if not is_checkpoint(folder):
            archive = home / f"{name}.zip"
            write(archive, _download(f"{address.rstrip('/')}/{name}.zip", digest))
            try:
                _unpack(archive, folder)
            finally:
                archive.unlink(missing_ok=True)
    return folder


def _download(url: str, digest: str) -> bytes:
    try:
        asked = urllib.request.Request(url, headers={"User-Agent": "lddm-lite"})
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as r:
            length, data = r.headers.get("Content-Length"), r.read(MOST + 1)
            if length is not None and length.isdigit() and len(data) < min(int(length), MOST):
                raise OSError(f"it broke off after {len(data):,} of {int(length):,} bytes; try again")
    except (OSError, ValueError, http.client.HTTPException) as e:
        raise CheckpointError(
            f"{url} could not be fetched: {getattr(e, 'reason', e)}. Without a network, take the checkpoint from "
            "data/checkpoints of a clone of the repository"
        ) from None
    if len(data) > MOST or hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(f"{url} is not what it should be: its sha256 is not {digest[:12]}…")
    return data


def _unpack(archive: Path, folder: Path) -> None:
    """The files of an archive in `folder`: only those of a checkpoint, at its top."""
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as z:
            if sum(entry.file_size for entry in z.infolist()) > MOST:
                raise CheckpointError(f"{archive.name} unfolds to more than {MOST:,} bytes")
            for entry in z.infolist():
                name = Path(entry.filename).name
                if entry.is_dir() or entry.filename != name or name.startswith("."):
                    odd = shown(entry.filename)
                    raise CheckpointError(f"{archive.name} holds {odd}, which is no part of a checkpoint")
                write(aside / name, z.read(entry))
        if not is_checkpoint(aside):
            raise CheckpointError(f"{archive.name} holds no checkpoint")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as e:  # RuntimeError: of one with a password
        raise CheckpointError(f"{archive.name} is damaged: {e}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)

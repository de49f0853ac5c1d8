"""Files in a cache: written whole or not at all, by one process at a time, and checked when read
again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["locked", "read_json", "replacing", "sha256", "staged", "write", "write_json"]


@contextlib.contextmanager
def staged(path, ending: str = "") -> Iterator[Path]:
    """Atomic writes: the place of a file to be written, which replaces `path` once the block is
    done.

    Any error, a full disk among them, removes what was written and leaves `path` as it was. A
    killed process leaves `path` as it was, too, and a `.part` beside it, which the next try
    overwrites. Folders above `path` are made. FileExistsError where `path` is something else than a
    regular file: a folder, a link, a device.

    - `ending`: of the name of the file to be written, for programs that go by it.

    >>> with staged("words.txt") as part:
    ...     _ = part.write_text("rain")
    >>> Path("words.txt").read_text(), Path("words.txt.part").exists()
    ('rain', False)
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part{ending}")
    for file in (path, part):
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise FileExistsError(errno.EEXIST, "is no regular file, and is not replaced", str(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        os.replace(part, path)
    except BaseException as e:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(e, OSError) and e.errno and not e.filename:  # write() itself does not say where
            e.filename = str(path)
        raise


@contextlib.contextmanager
def replacing(path) -> Iterator[BinaryIO]:
    """Atomic writes: a binary file to write to, which replaces `path` once the block is done: as
    `staged`, and flushed to the disk before that.

    >>> with replacing("words.txt") as f:
    ...     _ = f.write(b"rain")
    >>> Path("words.txt").read_text()
    'rain'
    """
    with staged(path) as part, open(part, "wb") as f:
        yield f
        f.flush()
        os.fsync(f.fileno())


def write(path, content: bytes | str) -> None:
    """Write bytes, or text in UTF-8, atomically; raises as `staged`.

    >>> write("words.txt", "rain")
    >>> Path("words.txt").read_text()
    'rain'
    """
    with replacing(path) as f:
        f.write(content.encode() if isinstance(content, str) else content)


def write_json(path, value) -> None:
    """Write JSON atomically.

    >>> write_json("a.json", {"n": 1})
    >>> read_json("a.json")
    {'n': 1}
    """
    write(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path) -> dict | None:
    """The JSON object in a file; None where there is none, or where it is damaged.

    >>> read_json("none.json") is None
    True
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def sha256(path) -> str:
    """SHA-256 of a file, in hexadecimal. OSError where it cannot be read.

    >>> _ = Path("empty").write_bytes(b"")
    >>> sha256("empty")[:8]
    'e3b0c442'
    """
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder) -> Iterator[None]:
    """File lock: one process at a time works in `folder`, which is made; others wait here and say
    so. The system takes the lock back from a process that dies.

    >>> with locked("cache"):
    ...     Path("cache").is_dir()
    True
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that works in {folder}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cache_folder() -> Path:
    """The folder for downloads: ``$LDDM_CACHE``, or ``lddm-lite`` in the user's cache. It need not
    exist yet.

    >>> cache_folder().is_absolute()
    True
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("LDDM_CACHE") or base / "lddm-lite").expanduser().absolute()

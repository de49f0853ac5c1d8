"""Files in a cache: written whole or not at all, by one process at a time, and checked when read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

__all__ = ["locked", "read_json", "replacing", "sha256", "write_json"]


@contextlib.contextmanager
def replacing(path):
    """A binary file to write to, which takes the place of `path` once the block is done. Any error, a full disk among
    them, removes what was written and leaves `path` as it was. A killed process leaves `path` as it was, too, and
    a `.part` beside it, which the next try overwrites.

    >>> with replacing("words.txt") as f:
    ...     _ = f.write(b"rain")
    >>> Path("words.txt").read_text(), Path("words.txt.part").exists()
    ('rain', False)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except BaseException as e:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(e, OSError) and e.errno and not e.filename:  # write() itself does not say where
            e.filename = str(path)
        raise


def write_json(path, value) -> None:
    """JSON, whole or not at all.

    >>> write_json("a.json", {"n": 1})
    >>> read_json("a.json")
    {'n': 1}
    """
    with replacing(path) as f:
        f.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


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
    """The digest of a file, in hexadecimal, read piece by piece. OSError where it cannot be read.

    >>> _ = Path("empty").write_bytes(b"")
    >>> sha256("empty")[:8]
    'e3b0c442'
    """
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder):
    """One process at a time works in `folder`, which is made; others wait here and say so. The system takes the lock
    back from a process that dies. Where there are no such locks (Windows), nobody waits.

    >>> with locked("cache"):
    ...     Path("cache").is_dir()
    True
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / ".lock", "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that works in {folder}", file=sys.stderr)
            fcntl.flock(f, fcntl.LOCK_EX)
        yield

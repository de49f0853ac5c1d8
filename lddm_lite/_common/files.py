"""Atomic file writes, file locks, checksums and the cache folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from . import documents
from .arguments import shown

__all__ = ["Busy", "locked", "read_json", "replacing", "sha256", "staged", "user_path", "write", "write_json"]


class Busy(ValueError):
    """A locked folder: another process is at work in it."""


def user_path(name: str, path) -> Path:
    """A path as a person gives it: a text or a Path, `~` at its beginning the home. ValueError,
    naming the argument, for what is no path.

    >>> user_path("out", "runs/a")
    PosixPath('runs/a')
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or isinstance(os.fspath(path), bytes):
        raise ValueError(f"{name} must be a path, a text that is not empty, got {shown(path)}")
    text = os.fspath(path)
    try:
        if "\0" in text:
            raise ValueError("a NUL character")
        text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
        return Path(text).expanduser()
    except (ValueError, RuntimeError) as e:  # half a character; `~nobody`
        raise ValueError(f"{name} must be a path, got {shown(text)}: {e}") from None


def _irregular(file: Path) -> bool:
    """Is there something that is no file, such as a folder, a link, a device? One look, since another
    process may take it away after it."""
    try:
        return not stat.S_ISREG(file.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextlib.contextmanager
def staged(path, ending: str = "") -> Iterator[Path]:
    """Atomic writes: the place of a file to be written, which replaces `path` once the block is
    done.

    Any error, a full disk among them, removes what was written, and folders that were made for it,
    and leaves `path` as it was. A killed process leaves `path` as it was, too, and a `.part` beside
    it, which the next try overwrites. Of two that write the same file at once, one waits. Folders
    above `path` are made. FileExistsError where `path` is something else than a regular file: a
    folder, a link, a device.

    - `ending`: of the name of the file to be written, for programs that go by it.

    >>> with staged("words.txt") as part:
    ...     _ = part.write_text("rain")
    >>> Path("words.txt").read_text(), Path("words.txt.part").exists()
    ('rain', False)
    """
    path = user_path("path", path)
    part = path.with_name(f"{path.name}.part{ending}")
    for file in (path, part):
        if _irregular(file):
            raise FileExistsError(errno.EEXIST, "is no regular file, and is not replaced", str(file))
    with made_folder(path.parent):
        held = None
        try:
            held = _alone(part)
            yield part
            os.replace(part, path)
        except BaseException as e:
            with contextlib.suppress(OSError):
                part.unlink()
            if isinstance(e, OSError) and e.errno and not e.filename:  # write() itself does not say where
                e.filename = str(path)
            raise
        finally:
            if held is not None:
                os.close(held)


def _alone(part: Path) -> int | None:
    """A descriptor of `part`, which is made, that no other process has while this one holds it;
    None where files cannot be locked (Windows, some network drives)."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        held = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError:
            os.close(held)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(held), os.stat(part)):
                return held
        os.close(held)  # whoever had it has put it into its place, or removed it


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; after an error, those that were made and are empty go
    again.

    >>> with contextlib.suppress(KeyError), made_folder(Path("a/b")):
    ...     raise KeyError
    >>> Path("a").exists()
    False
    """
    new = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        new.append(place)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for place in new:
                place.rmdir()
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
        value = documents.read_document(path)
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
def locked(folder, name: str = ".lock", wait: bool = True) -> Iterator[None]:
    """File lock: one process at a time works in `folder`, which is made; others wait here and say
    so, or with `wait=False` raise Busy. The system takes the lock back from a process that dies.

    - `name`: of the file that stands for the lock, as long as it is held.

    >>> with locked("cache"):
    ...     Path("cache").is_dir()
    True
    """
    from filelock import FileLock, Timeout

    folder = user_path("folder", folder)
    file = folder / name
    if _irregular(file):
        raise FileExistsError(errno.EEXIST, "is no regular file, and cannot be a lock", str(file))
    with made_folder(folder):
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise Busy(f"another process is at work in {folder}") from None
            print(f"waiting for another process that works in {folder}", file=sys.stderr)
            lock.acquire()
        except OSError as e:
            e.filename = e.filename or str(file)
            raise
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # who waits for it finds that it is gone, and makes a new one
                file.unlink()
            lock.release()


def cache_folder() -> Path:
    """The folder for downloads: ``$LDDM_CACHE``, or ``lddm-lite`` in the user's cache. It need not
    exist yet.

    >>> cache_folder().is_absolute()
    True
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("LDDM_CACHE") or base / "lddm-lite").expanduser().absolute()

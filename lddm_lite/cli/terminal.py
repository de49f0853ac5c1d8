"""Output streams of the command line: terminals, pipes and files of any encoding, closed, full, or
none at all."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["drop", "prepared"]

# what stands for signs of ours where the encoding has none; other characters come as \\uXXXX
PLAIN = {"±": "+-", "…": "...", "–": "-", "−": "-", "“": '"', "”": '"', "’": "'", "·": ".", "≤": "<=", "×": "x"}


@contextlib.contextmanager
def prepared(steady: bool = False) -> Iterator[None]:
    """Robust output streams: within the block what is printed arrives, whatever the terminal:
    characters that its encoding lacks are written in others, and streams that are closed take all,
    and keep nothing.

    - `steady`: what cannot be written, to a pipe that broke or a full disk, is lost without a word,
      since the work goes on; else this holds for messages and bars alone.

    >>> with prepared():
    ...     print("±")
    ±
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # or the next file that is opened would be taken for it
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error("lddm-plain", _plain)
    kept = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            stream = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
        if hasattr(stream, "reconfigure") and getattr(stream, "errors", "") in ("strict", "backslashreplace"):
            stream.reconfigure(errors="lddm-plain")
        setattr(sys, name, _Steady(stream) if steady or name == "stderr" else stream)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


def drop(stream) -> None:
    """Silence a stream whose pipe is broken or disk full, to which nothing more is written: Python
    would fail at it once more when it ends.

    >>> drop(None)
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _plain(e: UnicodeError):
    if not isinstance(e, UnicodeEncodeError):
        raise e
    out = []
    for c in e.object[e.start : e.end]:
        out.append(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode())
    return "".join(out), e.end


class _Steady:
    """A stream that never fails: what cannot be written is lost."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            drop(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop(self._stream)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

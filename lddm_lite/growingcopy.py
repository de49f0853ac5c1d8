"""The beginning of a large file, kept piece by piece: what is there can be trusted, and the rest appended later.

Beside the copy lies a log, `NAME.log`: the address, size and version of the file in one line of JSON, then the length
and CRC-32 of every piece. What the log does not vouch for is cut off when the copy is opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from pathlib import Path

from .diskfiles import replacing

__all__ = ["GrowingCopy"]


class GrowingCopy:
    """The copy at `path` of the beginning of the file at `url`; a copy of something else is dropped.

    Attributes: `have`, its bytes; `size` of the whole file, or None; `version`, the server's word for its state, or
    None; `pieces`, (length, CRC-32) of each. One process at a time may use it (`diskfiles.locked`).

    >>> copy = GrowingCopy("words.gz", "http://127.0.0.1/words.gz")
    >>> copy.append(b"rain")
    >>> copy = GrowingCopy("words.gz", "http://127.0.0.1/words.gz")
    >>> copy.have, copy.piece(0, start=0)
    (4, b'rain')
    """

    def __init__(self, path, url: str):
        self.path, self.url = Path(path), url
        self.log = self.path.with_name(self.path.name + ".log")
        try:
            head, *lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]  # a line without end was cut off
            about = json.loads(head)
            pieces = [(int(length), int(crc, 16)) for length, crc in map(str.split, lines)]
            there = self.path.stat().st_size
            ours = about["url"] == url
        except (OSError, ValueError, TypeError, KeyError):
            about, pieces, there, ours = {}, [], 0, False
        kept, self.have = 0, 0
        while ours and kept < len(pieces) and self.have + pieces[kept][0] <= there:
            self.have += pieces[kept][0]
            kept += 1
        self.pieces = pieces[:kept]
        self.size, self.version = (about.get("size"), about.get("version")) if kept else (None, None)
        if there != self.have or kept < len(pieces) or not kept:
            self.cut(kept)

    def piece(self, i: int, start: int) -> bytes | None:
        """Piece `i`, which begins at byte `start`; None where it is damaged.

        >>> GrowingCopy("none", "http://127.0.0.1/none").pieces
        []
        """
        length, crc = self.pieces[i]
        data = self.read(start, length)
        return data if len(data) == length and zlib.crc32(data) == crc else None

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the copy, unchecked.

        >>> copy = GrowingCopy("words.gz", "http://127.0.0.1/words.gz")
        >>> copy.append(b"rain")
        >>> copy.read(1, 2)
        b'ai'
        """
        with open(self.path, "rb") as f:
            f.seek(start)
            return f.read(length)

    def append(self, piece: bytes) -> None:
        """One more piece, and its line in the log. OSError, on a full disk say, leaves the copy as it was.

        >>> GrowingCopy("words.gz", "http://127.0.0.1/words.gz").append(b"rain")
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        crc = zlib.crc32(piece)
        line = b"%d %08x\n" % (len(piece), crc)
        logged = self.log.stat().st_size if self.pieces else 0
        try:
            _append(self.path, piece)
            _append(self.log, line if self.pieces else self._head() + line)
        except OSError as e:
            e.filename = str(self.path)
            for file, length in ((self.path, self.have), (self.log, logged)):
                with contextlib.suppress(OSError):
                    os.truncate(file, length) if length else file.unlink()
            raise
        self.pieces.append((len(piece), crc))
        self.have += len(piece)

    def cut(self, count: int) -> None:
        """Keep the first `count` pieces only.

        >>> copy = GrowingCopy("words.gz", "http://127.0.0.1/words.gz")
        >>> copy.append(b"rain")
        >>> copy.cut(0)
        >>> copy.have, copy.path.exists()
        (0, False)
        """
        del self.pieces[count:]
        self.have = sum(length for length, _ in self.pieces)
        if self.pieces:
            os.truncate(self.path, self.have)
            with replacing(self.log) as f:
                f.write(self._head() + b"".join(b"%d %08x\n" % piece for piece in self.pieces))
        else:
            self.size = self.version = None
            self.path.unlink(missing_ok=True), self.log.unlink(missing_ok=True)

    def _head(self) -> bytes:
        return json.dumps({"url": self.url, "size": self.size, "version": self.version}).encode() + b"\n"


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab", buffering=0) as f:
        while data:  # a nearly full disk takes a part, and refuses the rest
            data = data[f.write(data) :]

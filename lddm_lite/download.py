"""A file on the web, read from front to back through a local copy of its beginning.

What has arrived once is never asked for again: the copy grows with every read, outlives a broken connection, a kill
and a full disk, and the next reader goes on behind its end (HTTP Range).
"""

from __future__ import annotations

import http.client
import re
import socket
import time
import urllib.error
import urllib.request

from .growingcopy import GrowingCopy

__all__ = ["DownloadError", "Remote", "StaleCopy"]

TIMEOUT = 20.0  # seconds without a byte
RETRIES = 5  # tries after the first that may fail in a row; ENOUGH new bytes between two failures end the row
WAIT = 1.0  # seconds before the second try; doubled with each further one, up to LONGEST
LONGEST = 30.0
ENOUGH = 1 << 16
CHUNK = 1 << 18  # bytes of a piece
AGAIN = {408, 425, 429}  # besides 5xx, what may pass


class DownloadError(OSError):
    """A download that failed for good: the message names the address and the reason."""


class StaleCopy(DownloadError):
    """The file on the web is not the one whose beginning lies here: `Remote.clear()`, and read it anew."""


class _Broken(Exception):
    """A connection that failed in a way that may pass."""


class Remote:
    """The file at `url` (http or https), readable as a binary file; `path` is where the copy of its beginning is kept.

    Attributes: `copy`, with `have` bytes of `size`; `received`, the bytes that came over the network, which is not
    used before the copy is read up. Connections that break, stall for TIMEOUT seconds or answer 5xx are tried again,
    RETRIES times with growing pauses. A server without ranges sends everything again: what we have is compared with
    it, not written twice. Use it from one process at a time.

    Raises ValueError for another kind of address, DownloadError for what no further try would mend (404, a host that
    nobody knows) or did mend, StaleCopy, and OSError on a full disk, which leaves what was complete.

    >>> file = Remote("http://127.0.0.1/words.txt", "words.txt")
    >>> file.copy.have, file.received
    (0, 0)
    """

    def __init__(self, url: str, path):
        if not re.match(r"https?://", str(url)):
            raise ValueError(f"url must begin with http:// or https://, got {url!r}")
        self.url, self.copy, self.received = str(url), GrowingCopy(path, str(url)), 0
        self._next, self._start, self._buffer = 0, 0, memoryview(b"")  # of the next piece; what is left of this one
        self._response, self._ended, self._ranges = None, False, True
        self._failures, self._fresh = 0, 0

    def read(self, n: int = -1) -> bytes:
        """The next `n` bytes, fewer only at the end; all the rest for n < 0.

        >>> Remote("http://127.0.0.1/words.txt", "words.txt").read(0)
        b''
        """
        parts, left = [], n
        while left:
            if not self._buffer:
                self._buffer = memoryview(self._piece())
                if not self._buffer:
                    break
            part = self._buffer if left < 0 else self._buffer[:left]
            self._buffer = self._buffer[len(part) :]
            left -= len(part) if n >= 0 else 0
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """End the connection; the copy stays.

        >>> Remote("http://127.0.0.1/words.txt", "words.txt").close()
        """
        if self._response is not None:
            self._response.close()
        self._response = None

    def clear(self) -> None:
        """Forget the copy, and begin at the beginning.

        >>> Remote("http://127.0.0.1/words.txt", "words.txt").clear()
        """
        self.close()
        self.copy.cut(0)
        self._next, self._start, self._buffer, self._failures = 0, 0, memoryview(b""), 0

    def _piece(self) -> bytes:
        """The next piece, from the copy or else from the network; empty at the end."""
        copy, piece = self.copy, None
        if self._next < len(copy.pieces):
            piece = copy.piece(self._next, self._start)
            if piece is None:
                copy.cut(self._next)  # damaged: from here on it is fetched again
        while piece is None:
            if copy.size is not None and copy.have >= copy.size:
                break
            try:
                if self._response is None:
                    self._connect()
                if self._response is not None:
                    piece = self._receive()
            except _Broken as e:
                self._pause(e)
        if not piece:
            self.close()
            return b""
        self._next, self._start = self._next + 1, self._start + len(piece)
        return piece

    def _receive(self) -> bytes:
        """Append a piece of the open response to the copy, and return it; empty at the end of a file whose size the
        server did not tell."""
        copy = self.copy
        piece, trouble = self._pull(CHUNK)
        self._fresh += len(piece)
        if piece:
            copy.append(piece)
        if trouble is None and self._ended and copy.size is not None and copy.have < copy.size:
            trouble = f"the connection was closed after {copy.have:,} of {copy.size:,} bytes"
        if trouble is not None:
            self.close()
            if not piece:
                raise _Broken(trouble)
        return piece

    def _pull(self, n: int) -> tuple[bytes, object]:
        """(up to n bytes of the open response, what went wrong or None)."""
        out, trouble, self._ended = bytearray(), None, False
        try:
            while len(out) < n and not self._ended:
                part = self._response.read1(n - len(out))
                self._ended = not part
                out += part
        except TimeoutError:
            trouble = f"no byte for {TIMEOUT:g} seconds"
        except (OSError, http.client.HTTPException) as e:
            trouble = repr(e)
        self.received += len(out)
        return bytes(out), trouble

    def _connect(self) -> None:
        """Open a response whose next byte is byte `have` of the file; none where there is nothing behind it."""
        have = self.copy.have
        request = urllib.request.Request(self.url, headers={"User-Agent": "lddm-lite", "Accept-Encoding": "identity"})
        if have and self._ranges:
            request.add_header("Range", f"bytes={have}-")
            if self.copy.version:
                request.add_header("If-Range", self.copy.version)
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as e:
            with e:
                return self._refused(e)
        except (OSError, http.client.HTTPException) as e:
            reason = getattr(e, "reason", e)
            if isinstance(reason, socket.gaierror) and not self.received:
                raise self._failed(f"no network, or no such host ({reason.strerror})") from None
            raise _Broken(reason) from None
        self._response = response
        ranged = response.status == 206
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if ranged and (span is None or int(span[1]) != have):
            self._ranges = False  # not what was asked for: next time take the whole file
            raise _Broken("the server sent another range than was asked for")
        told = span[2] if ranged else response.headers.get("Content-Length", "")
        self._check_version(int(told) if told.isdigit() else None, response.headers)
        if have and not ranged:
            self._skip()

    def _refused(self, e: urllib.error.HTTPError) -> None:
        reason = f"HTTP {e.code} {e.reason}"
        if e.code == 416:  # nothing behind `have`: either all is here, or the file is another one
            if self.copy.size is None and e.headers.get("Content-Range", "") == f"bytes */{self.copy.have}":
                self.copy.size = self.copy.have
                return
            raise StaleCopy(f"{self.url} is shorter than the part of it in {self.copy.path}")
        if e.code in AGAIN or e.code >= 500:
            raise _Broken(reason)
        raise self._failed(reason)

    def _check_version(self, size: int | None, headers) -> None:
        """Take note of size and version of the file, or raise StaleCopy where they are not those of the copy."""
        etag, copy = headers.get("ETag", ""), self.copy
        version = etag if etag.startswith('"') else headers.get("Last-Modified")  # If-Range wants a strong one
        if not copy.have:
            copy.size, copy.version = size, version
        elif (size or copy.size) != (copy.size or size) or (copy.version and version != copy.version):
            self.close()
            raise StaleCopy(f"{self.url} has changed since a part of it was fetched")

    def _skip(self) -> None:
        """The server sends the file from its start: pass over what we have, if it is the same."""
        at, copy = 0, self.copy
        while at < copy.have:
            part, trouble = self._pull(min(CHUNK, copy.have - at))
            if part != copy.read(at, len(part)):
                self.close()
                raise StaleCopy(f"{self.url} is not the file whose beginning lies in {copy.path}")
            at += len(part)
            if at < copy.have and (trouble is not None or self._ended):
                raise _Broken(trouble or "the connection was closed")

    def _pause(self, e: _Broken) -> None:
        """Wait before the next try, or give up. Only new bytes count as progress: a server without ranges that always
        breaks at the same place would otherwise be asked for ever."""
        self.close()
        self._failures = 1 if self._fresh >= ENOUGH else self._failures + 1
        self._fresh = 0
        if self._failures > RETRIES:
            raise self._failed(f"{e} (tried {self._failures} times)") from None
        time.sleep(min(LONGEST, WAIT * 2 ** (self._failures - 1)))

    def _failed(self, reason: str) -> DownloadError:
        return DownloadError(f"could not download {self.url}: {reason}; {self.copy.have / 1e6:,.1f} MB are here")

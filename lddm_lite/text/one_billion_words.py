"""A subset of the One Billion Word benchmark (Chelba et al. 2013, arXiv 1312.3005), without
fetching all of it.

The benchmark is one tar.gz of 1.79 GB. It is read as a stream, from the front, until the subset is
complete; what was read stays in the cache, so that a larger subset, or a try after a broken
download, fetches only what is missing.

About the order of the archive nothing is assumed: a subset is the first N sentences of its split in
the order in which they come. They were shuffled by those who made the benchmark. The held-out part
may lie behind all of the training part; then it costs the whole download.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
import os
import re
import socket
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

from .._common import arguments
from .._common.files import cache_folder, locked, read_json, replacing, sha256, write_json

__all__ = ["DamagedArchive", "DownloadError", "GrowingCopy", "Remote", "SIZES", "SPLITS", "StaleCopy", "URL", "subset"]

URL = "http://www.statmt.org/lm-benchmark/1-billion-word-language-modeling-benchmark-r13output.tar.gz"
SIZES = {"train": 30_301_028, "heldout": 306_688}  # sentences of the splits, as TensorFlow Datasets counts them
# The held-out folder also has news.en-00000-of-00100, in which all 50 pieces come once more.
SPLITS = {
    "train": r"(^|/)training-monolingual\.tokenized\.shuffled/news\.en-\d+-of-\d+$",
    "heldout": r"(^|/)heldout-monolingual\.tokenized\.shuffled/news\.en\.heldout-\d+-of-\d+$",
}
FORMAT, VERSION = "lddm-lite lm1b subset", 1

TIMEOUT = 20.0  # seconds without a byte
RETRIES = 5  # tries after the first that may fail in a row; ENOUGH new bytes between two failures end the row
WAIT = 1.0  # seconds before the second try; doubled with each further one, up to LONGEST
LONGEST = 30.0
ENOUGH = 1 << 16
CHUNK = 1 << 18  # bytes of a piece
AGAIN = {408, 425, 429}  # besides 5xx, what may pass


class DamagedArchive(ValueError):
    """What was read is not, or not intact, the benchmark's archive."""


def subset(sentences: int | None = 50_000, split="train", cache=None, url: str = URL, progress: bool = True) -> Path:
    """See `text.lm1b`, which is this function.

    >>> subset(1_000)  # doctest: +SKIP
    PosixPath('/home/me/.cache/lddm-lite/lm1b/7cfc577ace1b/train-1000.txt')
    """
    if split not in SPLITS:
        raise ValueError(f"split must be 'train' or 'heldout', got {split!r}")
    own, most = os.environ.get("LDDM_LM1B"), SIZES[split] if url == URL else None
    if sentences is not None:
        arguments.integer("sentences", sentences, minimum=1, maximum=most)
    about = {"format": FORMAT, "version": VERSION, "source": _identity(own) if own else url, "split": split}
    folder = Path(cache or cache_folder()) / "lm1b" / hashlib.sha256(about["source"].encode()).hexdigest()[:12]
    file = folder / f"{split}-{'all' if sentences is None else sentences}.txt"
    with locked(folder):
        if _intact(file, about):
            return file
        if file.exists() and progress:
            print(f"{file} is damaged or of another version; building it again", file=sys.stderr)
        if own:
            with open(own, "rb") as archive, _hint(own):
                _build(archive, file, about, sentences, progress)
        else:
            _fetch(url, file, about, sentences, progress)
    return file


def _fetch(url: str, file: Path, about: dict, sentences: int | None, progress: bool) -> None:
    archive = Remote(url, file.with_name("archive.tar.gz"))
    try:
        with contextlib.closing(archive):
            try:
                _build(archive, file, about, sentences, progress)
            except (DamagedArchive, StaleCopy) as e:
                if progress:
                    print(f"{e}; fetching it anew", file=sys.stderr)
                archive.clear()
                with _hint(url):
                    _build(archive, file, about, sentences, progress)
    except DamagedArchive:
        archive.clear()
        raise
    except DownloadError as e:
        raise DownloadError(
            f"{e}, in {file.parent}, and the next call goes on from there. Without a network: fetch the archive from "
            f"{URL} elsewhere and set LDDM_LM1B=/path/to/archive.tar.gz, or read a text of your own with "
            "text.from_file(path)"
        ) from None


def _build(archive, file: Path, about: dict, sentences: int | None, progress: bool) -> None:
    """Write the first `sentences` of the split to `file`, and beside it, as JSON, what was written.
    """
    from tqdm.auto import tqdm

    digest, count, size = hashlib.sha256(), 0, 0
    bar = tqdm(total=sentences, desc=f"lm1b {about['split']}", unit=" sentences", disable=not progress)
    with bar, replacing(file) as out:
        for lines in _batches(archive, re.compile(SPLITS[about["split"]]), bar):
            lines = lines if sentences is None else lines[: sentences - count]
            data = b"".join(lines)
            digest.update(data)
            out.write(data)
            bar.update(len(lines))
            count, size = count + len(lines), size + len(data)
            if count == sentences:
                break
        if count < (sentences or 1):
            name = getattr(archive, "url", None) or archive.name
            what = f"'{about['split']}' in {name} holds {count:,} sentences"
            raise ValueError(f"{what}; sentences={sentences} asks for more" if count else f"{what}: not the benchmark?")
    # The text is in place before the JSON that vouches for it: killed in between, it is built
    # again.
    write_json(file.with_suffix(".json"), {**about, "sentences": count, "bytes": size, "sha256": digest.hexdigest()})


def _batches(archive, wanted: re.Pattern, bar):
    """Sentences of the members that are wanted, as lists of UTF-8 lines, each with its line end;
    blank lines are left out. At the end of the archive, its checksums are compared. Raises
    DamagedArchive."""
    try:
        with gzip.GzipFile(fileobj=archive) as plain:
            with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as tar:
                for member in tar:
                    stream = tar.extractfile(member) if member.isfile() and wanted.search(member.name) else None
                    if stream is None:
                        continue
                    while lines := stream.readlines(1 << 18):
                        bar.set_postfix_str(_read_so_far(archive), refresh=False)
                        yield [line.rstrip(b"\r\n") + b"\n" for line in lines if _checked(line, member.name)]
            while rest := plain.read(1 << 16):  # to the end, where gzip keeps its CRC
                if rest.strip(b"\0"):
                    raise DamagedArchive("there is something behind its last member")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, DamagedArchive) as e:
        raise DamagedArchive(f"the archive {getattr(archive, 'url', '') or archive.name} is damaged: {e}") from None


def _checked(line: bytes, name: str) -> bytes:
    """The line without blanks around it. Nothing but text is in the benchmark: what is not, is
    damage."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as e:
        raise DamagedArchive(f"{Path(name).name} has a line that is not UTF-8 ({e.reason})") from None
    if b"\0" in line:
        raise DamagedArchive(f"{Path(name).name} has a line with NUL bytes")
    return line.strip()


# What tarfile raises for a header that is none, apart from a regular end; typeshed does not list these.
_DAMAGED = tuple(getattr(tarfile, f"{kind}HeaderError") for kind in ("Invalid", "Truncated", "Empty"))


class _StrictHeader(tarfile.TarInfo):
    """tarfile takes a damaged header for the end of the archive; here it is an error."""

    @classmethod
    def fromtarfile(cls, tarfile_):
        try:
            return super().fromtarfile(tarfile_)
        except _DAMAGED as e:
            raise DamagedArchive(str(e)) from None


def _read_so_far(archive) -> str:
    if not isinstance(archive, Remote):
        return f"{archive.tell() / 1e6:,.0f} MB read"
    whole = f" of {archive.copy.size / 1e6:,.0f}" if archive.copy.size else ""
    return f"{archive.received / 1e6:,.1f} MB received, {archive.copy.have / 1e6:,.1f}{whole} MB here"


def _identity(path: str) -> str:
    """A file given by hand, in words that change with it."""
    try:
        about = os.stat(path)
    except OSError as e:
        raise FileNotFoundError(e.errno, f"LDDM_LM1B names a file that cannot be read ({e.strerror})", path) from None
    if not os.path.isfile(path):
        raise ValueError(f"LDDM_LM1B must name the archive, a .tar.gz file; got {path!r}")
    return f"file {os.path.abspath(path)}, {about.st_size} bytes, {about.st_mtime_ns}"


@contextlib.contextmanager
def _hint(source: str):
    """Says of an archive that stays damaged what it is, and what to do."""
    try:
        yield
    except (DamagedArchive, StaleCopy) as e:
        todo = "fetch it again" if not source.startswith("http") else "try again later, or set LDDM_LM1B to a good copy"
        raise DamagedArchive(f"{e}; {todo}") from None


def _intact(file: Path, about: dict) -> bool:
    """Is the subset there, as its JSON says?"""
    told = read_json(file.with_suffix(".json"))
    if told is None or {**told, **about} != told or not file.is_file():
        return False
    return file.stat().st_size == told.get("bytes") and sha256(file) == told.get("sha256")


class DownloadError(OSError):
    """A download that failed for good: the message names the address and the reason."""


class StaleCopy(DownloadError):
    """The file on the web is not the one whose beginning lies here: `Remote.clear()`, and read it
    anew."""


class _Broken(Exception):
    """A connection that failed in a way that may pass."""


class Remote:
    """The file at `url` (http or https), readable as a binary file; `path` is where the copy of its
    beginning is kept.

    Attributes: `copy`, with `have` bytes of `size`; `received`, the bytes that came over the
    network, which is not used before the copy is read up. Connections that break, stall for TIMEOUT
    seconds or answer 5xx are tried again, RETRIES times with growing pauses. A server without
    ranges sends everything again: what we have is compared with it, not written twice. Use it from
    one process at a time.

    Raises ValueError for another kind of address, DownloadError for what no further try would mend
    (404, a host that nobody knows) or did mend, StaleCopy, and OSError on a full disk, which leaves
    what was complete.

    >>> file = Remote("http://127.0.0.1/words.txt", "words.txt")
    >>> file.copy.have, file.received
    (0, 0)
    """

    def __init__(self, url: str, path):
        if not re.match(r"https?://", str(url)):
            raise ValueError(f"url must begin with http:// or https://, got {url!r}")
        self.url, self.copy, self.received = str(url), GrowingCopy(path, str(url)), 0
        self._next, self._start, self._buffer = 0, 0, memoryview(b"")  # of the next piece; what is left of this one
        self._response: Any = None  # that of an open connection
        self._ended, self._ranges = False, True
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
        """Append a piece of the open response to the copy, and return it; empty at the end of a
        file whose size the server did not tell."""
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
        """Open a response whose next byte is byte `have` of the file; none where there is nothing
        behind it."""
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
        about = response.headers.get("Content-Range", "") if ranged else ""
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", about)
        if ranged and (span is None or int(span[1]) != have):
            self._ranges = False  # not what was asked for: next time take the whole file
            raise _Broken("the server sent another range than was asked for")
        told = span[2] if span else response.headers.get("Content-Length", "")
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
        """Take note of size and version of the file, or raise StaleCopy where they are not those of
        the copy."""
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
        """Wait before the next try, or give up. Only new bytes count as progress: a server without
        ranges that always breaks at the same place would otherwise be asked for ever."""
        self.close()
        self._failures = 1 if self._fresh >= ENOUGH else self._failures + 1
        self._fresh = 0
        if self._failures > RETRIES:
            raise self._failed(f"{e} (tried {self._failures} times)") from None
        time.sleep(min(LONGEST, WAIT * 2 ** (self._failures - 1)))

    def _failed(self, reason: str) -> DownloadError:
        return DownloadError(f"could not download {self.url}: {reason}; {self.copy.have / 1e6:,.1f} MB are here")


class GrowingCopy:
    """The copy at `path` of the beginning of the file at `url`; a copy of something else is
    dropped.

    Attributes: `have`, its bytes; `size` of the whole file, or None; `version`, the server's word
    for its state, or None; `pieces`, (length, CRC-32) of each. One process at a time may use it
    (`files.locked`).

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
        self.size: int | None = about.get("size") if kept else None
        self.version: str | None = about.get("version") if kept else None
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
        """One more piece, and its line in the log. OSError, on a full disk say, leaves the copy as
        it was.

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
            self.path.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)

    def _head(self) -> bytes:
        return json.dumps({"url": self.url, "size": self.size, "version": self.version}).encode() + b"\n"


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab", buffering=0) as f:
        while data:  # a nearly full disk takes a part, and refuses the rest
            data = data[f.write(data) :]

"""A subset of the One Billion Word benchmark (Chelba et al. 2013, arXiv 1312.3005), without
fetching all of it.

The benchmark is one tar.gz of 1.79 GB. It is read as a stream, from the front, until the subset is
complete; what was read stays in the cache, so that a larger subset, or a try after a broken
download, fetches only what is missing. Damage to it is found as gzip finds it, and then all is
fetched anew.

About the order of the archive nothing is assumed: a subset is the first N sentences of its split in
the order in which they come. They were shuffled by those who made the benchmark. The held-out part
may lie behind all of the training part; then it costs the whole download.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
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

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.files import cache_folder, locked, read_json, replacing, sha256, user_path, write_json
from .._common.progress import bar as progress_bar

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
RETRIES = 5  # tries after the first that may fail in a row; ENOUGH new bytes end the row
WAIT = 1.0  # seconds before the second try; doubled with each further one, up to LONGEST
LONGEST = 30.0
ENOUGH = 1 << 16
CHUNK = 1 << 18  # bytes of a piece
AGAIN = {408, 425, 429}  # besides 5xx, what may pass


class DamagedArchive(ValueError):
    """What was read is not, or not intact, the benchmark's archive."""


def subset(sentences: int | None = 50_000, split="train", cache=None, url: str = URL, progress: bool = True) -> Path:
    """The file of a subset of the benchmark: `text.lm1b`, which is this function.

    - `sentences`, `split`, `cache`, `progress`: as there;
    - `url`: of the archive; each has files of its own in the cache.

    >>> subset(1_000)  # doctest: +SKIP
    PosixPath('/home/me/.cache/lddm-lite/lm1b/7cfc577ace1b/train-1000.txt')
    """
    schemas.choice(*SPLITS)("split", split)
    own, most = os.environ.get("LDDM_LM1B"), SIZES[split] if url == URL else None
    if sentences is not None:
        arguments.integer("sentences", sentences, minimum=1, maximum=most)
    about = {"format": FORMAT, "version": VERSION, "source": _identity(own) if own else url, "split": split}
    home = cache_folder() if cache is None else user_path("cache", cache)
    folder = home / "lm1b" / hashlib.sha256(about["source"].encode()).hexdigest()[:12]
    how_many = "all" if sentences is None else sentences
    file = folder / f"{split}-{how_many}.txt"
    with locked(folder):
        if _intact(file, about):
            return file
        if file.exists() and progress:
            print(f"{file} is damaged or of another version; building it again", file=sys.stderr)
        if own:
            try:
                with open(own, "rb") as archive:
                    _build(archive, file, about, sentences, progress)
            except DamagedArchive as e:
                raise DamagedArchive(f"{e}; fetch it again") from None
        else:
            _fetch(url, file, about, sentences, progress)
    return file


def _fetch(url: str, file: Path, about: dict, sentences: int | None, progress: bool) -> None:
    with contextlib.closing(Remote(url, file.with_name("archive.tar.gz"))) as archive:
        for last in (False, True):
            try:
                return _build(archive, file, about, sentences, progress)
            except (DamagedArchive, StaleCopy) as e:
                archive.clear()
                if last:
                    raise DamagedArchive(f"{e}; try again later, or set LDDM_LM1B to a good copy") from None
                if progress:
                    print(f"{e}; fetching it anew", file=sys.stderr)
            except DownloadError as e:
                raise DownloadError(
                    f"{e}, in {file.parent}, and the next call goes on from there. Without a network: fetch the "
                    f"archive from {URL} elsewhere and set LDDM_LM1B=/path/to/archive.tar.gz, or read a text of your "
                    "own with text.from_file(path)"
                ) from None


def _build(archive, file: Path, about: dict, sentences: int | None, progress: bool) -> None:
    """Write the first `sentences` of the split to `file`, and beside it, as JSON, what was written.
    """
    count, split = 0, about["split"]
    bar = progress_bar(total=sentences, show=progress, desc=f"lm1b {split}", unit=" sentences")
    with bar, replacing(file) as out:
        for lines in _batches(archive, re.compile(SPLITS[split])):
            lines = lines if sentences is None else lines[: sentences - count]
            out.writelines(lines)
            count += len(lines)
            bar.set_postfix_str(f"{archive.tell() / 1e6:,.1f} MB read", refresh=False)
            bar.update(len(lines))
            if count == sentences:
                break
        if count < (sentences or 1):
            what = f"'{split}' in {archive.name} holds {count:,} sentences"
            raise ValueError(f"{what}; sentences={sentences} asks for more" if count else f"{what}: not the benchmark?")
    # The text is in place before the JSON that vouches for it: killed in between, it is built
    # again.
    written = {"sentences": count, "bytes": file.stat().st_size, "sha256": sha256(file)}
    write_json(file.with_suffix(".json"), {**about, **written})


def _batches(archive, wanted: re.Pattern):
    """Sentences of the members that are wanted, as lists of UTF-8 lines, each with its line end;
    blank lines are left out. At the end of the archive, its checksums are compared. Raises
    DamagedArchive."""
    try:
        with gzip.GzipFile(fileobj=archive) as plain:
            with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as tar:
                for member in tar:
                    stream = tar.extractfile(member) if member.isfile() and wanted.search(member.name) else None
                    while lines := _some_lines(stream) if stream else []:
                        # nothing but text is in the benchmark: what is not, is damage
                        text = b"".join(lines)
                        text.decode("utf-8")
                        if b"\0" in text:
                            raise DamagedArchive(f"{Path(member.name).name} has a line with NUL bytes")
                        yield [line.rstrip(b"\r\n") + b"\n" for line in lines if line.strip()]
            while rest := plain.read(1 << 16):  # to the end, where gzip keeps its CRC
                if rest.strip(b"\0"):
                    raise DamagedArchive("there is something behind its last member")
    except UnicodeDecodeError as e:
        what = f"{Path(member.name).name} has a line that is not UTF-8 ({e.reason})"
        raise DamagedArchive(f"the archive {archive.name} is damaged: {what}") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, DamagedArchive) as e:
        raise DamagedArchive(f"the archive {archive.name} is damaged: {e}") from None


def _some_lines(stream) -> list[bytes]:
    """Lines of together about 256 kB. DamagedArchive for one above the limit `line`."""
    most, lines, size = arguments.limit("line"), [], 0
    while size < 1 << 18 and (line := stream.readline(most + 1)):
        if len(line) > most:
            raise DamagedArchive(f"it has a line of more than {most:,} bytes")
        lines.append(line)
        size += len(line)
    return lines


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

    def _proc_member(self, tarfile_):
        """Names and comments that a header brings along are read whole: no more than 1 MB of them.
        """
        if self.type in _TOLD and not 0 <= self.size <= 1 << 20:
            raise DamagedArchive(f"a header of {self.size:,} bytes")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


_TOLD = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
         tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_SPARSE)  # fmt: skip


def _identity(path: str) -> str:
    """A file given by hand, in words that change with it."""
    try:
        about = os.stat(path)
    except OSError as e:
        raise FileNotFoundError(e.errno, f"LDDM_LM1B names a file that cannot be read ({e.strerror})", path) from None
    if not os.path.isfile(path):
        raise ValueError(f"LDDM_LM1B must name the archive, a .tar.gz file; got {shown(path)}")
    return f"file {os.path.abspath(path)}, {about.st_size} bytes, {about.st_mtime_ns}"


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
    """Resumable HTTP download: the file at `url` (http or https), readable as a binary file; `path`
    is where the copy of its beginning is kept.

    Attributes: `copy`, with `have` bytes of `size`; `received`, the bytes that came over the
    network, which is not used before the copy is read up. Connections that break, stall for TIMEOUT
    seconds or answer 5xx are tried again, RETRIES times with growing pauses. A server without
    ranges sends everything again: what we have is compared with it, not written twice. Use it from
    one process at a time.

    Raises ValueError for another kind of address, DownloadError for what no further try would mend
    (404, a host that nobody knows) or did mend, StaleCopy, and OSError on a full disk, with what
    was received before.

    >>> file = Remote("http://127.0.0.1/words.txt", "words.txt")
    >>> file.copy.have, file.received
    (0, 0)
    """

    def __init__(self, url: str, path):
        if not re.match(r"https?://", str(url)):
            raise ValueError(f"url must begin with http:// or https://, got {shown(url)}")
        self.url = self.name = str(url)
        self.copy, self.received, self._ranges = GrowingCopy(path), 0, True
        self._response: Any = None  # an open one stands where the copy ends
        self._at, self._over = 0, False  # how much was read; is nothing behind the copy?
        self._failures, self._before = 0, 0  # in a row, and bytes of the copy at the last one

    def read(self, n: int = -1) -> bytes:
        """The next `n` bytes, fewer only at the end; all the rest for n < 0.

        >>> Remote("http://127.0.0.1/words.txt", "words.txt").read(0)
        b''
        """
        out = bytearray()
        try:
            while n < 0 or len(out) < n:
                if self._at == self.copy.have and not self._fetch():
                    break
                piece = self.copy.read(self._at, CHUNK if n < 0 else n - len(out))
                self._at += len(piece)
                out += piece
        except BaseException:
            self.close()  # what had come and was not kept yet would be missing in the copy
            raise
        return bytes(out)

    def tell(self) -> int:
        """How many bytes were read.

        >>> Remote("http://127.0.0.1/words.txt", "words.txt").tell()
        0
        """
        return self._at

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
        self.copy.clear()
        self._at, self._over, self._before = 0, False, 0

    def _fetch(self) -> bool:
        """Add a piece to the copy, over as many connections as it takes. False at the end of the
        file."""
        copy = self.copy
        while not self._over and (copy.size is None or copy.have < copy.size):
            try:
                if self._response is None:
                    self._connect()
                elif piece := self._piece(CHUNK):
                    copy.append(piece)
                    return True
                elif copy.size is None:
                    self._over = True
                else:
                    raise _Broken(f"the connection was closed after {copy.have:,} of {copy.size:,} bytes")
            except _Broken as e:
                self.close()
                # Only new bytes count as progress: a server without ranges that always breaks at
                # the same place would otherwise be asked for ever.
                self._failures = 0 if copy.have - self._before >= ENOUGH else self._failures + 1
                self._before = copy.have
                if self._failures > RETRIES:
                    tried, self._failures = self._failures, 0
                    raise self._failed(f"{e} (tried {tried} times)") from None
                time.sleep(min(LONGEST, WAIT * 2 ** (self._failures - 1)))
        return False

    def _piece(self, most: int) -> bytes:
        """The next bytes of the response, fewer than `most` at its end or before it breaks, none at
        its end; _Broken where it is broken."""
        out = bytearray()
        try:
            while len(out) < most and (part := self._response.read1(most - len(out))):
                out += part
        except (OSError, http.client.HTTPException) as e:
            if not out:  # else the next call says so
                raise _Broken(f"no byte for {TIMEOUT:g} seconds" if isinstance(e, TimeoutError) else repr(e)) from None
        finally:
            self.received += len(out)
        return bytes(out)

    def _connect(self) -> None:
        """Open a response that stands at the end of the copy, or find that nothing is behind it."""
        have = self.copy.have
        headers = {"User-Agent": "lddm-lite", "Accept-Encoding": "identity"}
        if have and self._ranges:
            headers["Range"] = f"bytes={have}-"
            if self.copy.version:
                headers["If-Range"] = self.copy.version
        try:
            response = urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as e:
            with e:
                return self._refused(e)
        except (OSError, http.client.HTTPException) as e:
            reason = getattr(e, "reason", e)
            if isinstance(reason, socket.gaierror) and not self.received:
                raise self._failed(f"no network, or no such host ({reason.strerror})") from None
            raise _Broken(reason) from None
        self._response, told, begins = response, response.headers.get("Content-Length", ""), 0
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != have:
                self._ranges = False  # not what was asked for: next time take the whole file
                raise _Broken("the server sent another range than was asked for")
            told, begins = span[2], have
        self._check_version(int(told) if told.isdigit() else None, response)
        while begins < have:  # all of it came again
            piece = self._piece(min(CHUNK, have - begins))
            if not piece:
                raise _Broken(f"the connection was closed after {begins:,} bytes")
            if piece != self.copy.read(begins, len(piece)):
                raise StaleCopy(f"{self.url} is not the file whose beginning lies in {self.copy.path}")
            begins += len(piece)

    def _refused(self, e: urllib.error.HTTPError) -> None:
        reason, copy = f"HTTP {e.code} {e.reason}", self.copy
        if e.code == 416:  # nothing behind `have`: either all is here, or the file is another one
            self._over = copy.size is None and e.headers.get("Content-Range", "") == f"bytes */{copy.have}"
            if self._over:
                return
            raise StaleCopy(f"{self.url} is shorter than the part of it in {copy.path}")
        if e.code in AGAIN or e.code >= 500:
            raise _Broken(reason)
        raise self._failed(reason)

    def _check_version(self, size: int | None, response) -> None:
        """Take note of size and version of the file, or raise StaleCopy where they are not those of
        the copy."""
        etag, copy = response.headers.get("ETag", ""), self.copy
        version = etag if etag.startswith('"') else response.headers.get("Last-Modified")  # If-Range wants a strong one
        if not copy.have:
            copy.begin(size, version)
        elif (size or copy.size) != (copy.size or size) or (copy.version and version != copy.version):
            raise StaleCopy(f"{self.url} has changed since a part of it was fetched")

    def _failed(self, reason: str) -> DownloadError:
        return DownloadError(f"could not download {self.url}: {reason}; {self.copy.have / 1e6:,.1f} MB are here")


_COPY = schemas.record(
    {}, {"size": schemas.maybe(schemas.whole(0)), "version": schemas.maybe(schemas.text(most=1000))})  # fmt: skip


class GrowingCopy:
    """The copy at `path` of the beginning of a file. However it was cut off, a beginning it stays.

    Attributes: `have`, its bytes; `size` of the whole file, or None; `version`, the server's word
    for its state, or None; both stand in a JSON file beside it. One process at a time may use it
    (`files.locked`).

    >>> copy = GrowingCopy("words.gz")
    >>> copy.begin(size=4, version=None)
    >>> copy.append(b"rain")
    >>> copy.have, GrowingCopy("words.gz").size, copy.read(1, 2)
    (4, 4, b'ai')
    """

    def __init__(self, path):
        self.path, self.about = Path(path), Path(f"{path}.json")
        told = read_json(self.about)
        try:
            told = _COPY("", told)
        except ValueError:
            told = None
        self.size: int | None = None if told is None else told.get("size")
        self.version: str | None = None if told is None else told.get("version")
        if told is None or (self.size is not None and self.have > self.size):  # of who knows what
            self.clear()

    @property
    def have(self) -> int:
        """How many bytes there are."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, size: int | None, version: str | None) -> None:
        """Take down whose copy it will be."""
        self.size, self.version = size, version
        write_json(self.about, {"size": size, "version": version})

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the copy."""
        with open(self.path, "rb") as f:
            f.seek(start)
            return f.read(length)

    def append(self, piece: bytes) -> None:
        """Add bytes at the end. OSError on a full disk, with as many of them as there was room
        for."""
        try:
            _append(self.path, piece)
        except OSError as e:
            e.filename = str(self.path)
            raise

    def clear(self) -> None:
        """Drop all of it."""
        self.size = self.version = None
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab") as f:
        f.write(data)

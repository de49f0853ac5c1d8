"""A subset of the One Billion Word benchmark (Chelba et al. 2013, arXiv 1312.3005), without fetching all of it.

The benchmark is one tar.gz of 1.79 GB. It is read as a stream, from the front, until the subset is complete; what was
read stays in the cache, so that a larger subset, or a try after a broken download, fetches only what is missing.

About the order of the archive nothing is assumed: a subset is the first N sentences of its split in the order in which
they come. They were shuffled by those who made the benchmark. The held-out part may lie behind all of the training
part; then it costs the whole download.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import sys
import tarfile
import zlib
from pathlib import Path

from . import checks
from .diskfiles import locked, read_json, replacing, sha256, write_json
from .doctor import cache_folder
from .download import DownloadError, Remote, StaleCopy

__all__ = ["SIZES", "SPLITS", "URL", "DamagedArchive", "subset"]

URL = "http://www.statmt.org/lm-benchmark/1-billion-word-language-modeling-benchmark-r13output.tar.gz"
SIZES = {"train": 30_301_028, "heldout": 306_688}  # sentences of the splits, as TensorFlow Datasets counts them
# The held-out folder also has news.en-00000-of-00100, in which all 50 pieces come once more.
SPLITS = {
    "train": r"(^|/)training-monolingual\.tokenized\.shuffled/news\.en-\d+-of-\d+$",
    "heldout": r"(^|/)heldout-monolingual\.tokenized\.shuffled/news\.en\.heldout-\d+-of-\d+$",
}
FORMAT, VERSION = "lddm-lite lm1b subset", 1


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
        checks.integer("sentences", sentences, minimum=1, maximum=most)
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
    """Write the first `sentences` of the split to `file`, and beside it, as JSON, what was written."""
    from tqdm.auto import tqdm

    digest, count, size = hashlib.sha256(), 0, 0
    bar = tqdm(total=sentences, desc=f"lm1b {about['split']}", unit=" sentences", disable=not progress)
    with bar, replacing(file) as out:
        for lines in _batches(archive, re.compile(SPLITS[about["split"]]), bar):
            lines = lines if sentences is None else lines[: sentences - count]
            data = b"".join(lines)
            digest.update(data), out.write(data), bar.update(len(lines))
            count, size = count + len(lines), size + len(data)
            if count == sentences:
                break
        if count < (sentences or 1):
            name = getattr(archive, "url", None) or archive.name
            what = f"'{about['split']}' in {name} holds {count:,} sentences"
            raise ValueError(f"{what}; sentences={sentences} asks for more" if count else f"{what}: not the benchmark?")
    # The text is in place before the JSON that vouches for it: killed in between, it is built again.
    write_json(file.with_suffix(".json"), {**about, "sentences": count, "bytes": size, "sha256": digest.hexdigest()})


def _batches(archive, wanted: re.Pattern, bar):
    """Sentences of the members that are wanted, as lists of UTF-8 lines, each with its line end; blank lines are left
    out. At the end of the archive, its checksums are compared. Raises DamagedArchive."""
    try:
        with gzip.GzipFile(fileobj=archive) as plain:
            with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as tar:
                for member in tar:
                    if not (member.isfile() and wanted.search(member.name)):
                        continue
                    stream = tar.extractfile(member)
                    while lines := stream.readlines(1 << 18):
                        bar.set_postfix_str(_read_so_far(archive), refresh=False)
                        yield [line.rstrip(b"\r\n") + b"\n" for line in lines if _checked(line, member.name)]
            while rest := plain.read(1 << 16):  # to the end, where gzip keeps its CRC
                if rest.strip(b"\0"):
                    raise DamagedArchive("there is something behind its last member")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, DamagedArchive) as e:
        raise DamagedArchive(f"the archive {getattr(archive, 'url', '') or archive.name} is damaged: {e}") from None


def _checked(line: bytes, name: str) -> bytes:
    """The line without blanks around it. Nothing but text is in the benchmark: what is not, is damage."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as e:
        raise DamagedArchive(f"{Path(name).name} has a line that is not UTF-8 ({e.reason})") from None
    if b"\0" in line:
        raise DamagedArchive(f"{Path(name).name} has a line with NUL bytes")
    return line.strip()


class _StrictHeader(tarfile.TarInfo):
    """tarfile takes a damaged header for the end of the archive; here it is an error."""

    @classmethod
    def fromtarfile(cls, tarfile_):
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError) as e:
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

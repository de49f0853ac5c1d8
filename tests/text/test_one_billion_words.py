"""The benchmark's subset: cut from the archive as it streams in, verified, cached, and mended when
something breaks."""

import errno
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lddm_lite
from lddm_lite import LatentDiffusion, fit
from lddm_lite.text import dataset, one_billion_words
from lddm_lite.text.one_billion_words import DownloadError
from tests.support.archive_server import archive, hurry, sentence, serving

ARCHIVE = archive()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    hurry(monkeypatch)
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server():
    with serving(ARCHIVE) as server:
        yield server


@pytest.fixture
def get(server):
    def get(sentences=300, split="train", **more):
        return dataset.lm1b(sentences, split, **{"url": server.url, "progress": False, **more})

    return get


def holds(path, n, split="train"):
    assert Path(path).read_text(encoding="utf-8").splitlines() == [sentence(i, split) for i in range(n)]
    assert not [p for p in Path(path).parent.iterdir() if p.suffix == ".part"]


# --- what comes of it -----------------------------------------------------------------------------

def test_a_subset_costs_a_part_of_the_archive_and_only_once(server, get):
    server.body = archive(per_shard=5_000)
    path = get(300)
    holds(path, 300)
    here = path.with_name("archive.tar.gz").stat().st_size
    assert here < len(server.body) / 2
    holds(get(300), 300)
    holds(get(100), 100)  # from the copy
    assert server.requests == [None]
    holds(get(19_000), 19_000)
    assert server.requests == [None, f"bytes={here}-"]


def test_training_on_it_is_one_line(get):
    data = dataset.from_file(get(300), vocab=200, length=40, tokenizer="words")
    assert len(data) == 300
    model = LatentDiffusion.preset("mdlm", data, width=16, blocks=1)
    assert fit(model, data, steps=2, batch=4, progress=False).rows[-1]["step"] == 2


@pytest.mark.parametrize("held_first", [False, True], ids=["held-out last", "held-out first"])
def test_any_order_of_the_archive(server, get, held_first):
    server.body = archive(shards=2, per_shard=100, held_first=held_first)
    holds(get(150), 150)
    holds(get(60, "heldout"), 60, "heldout")
    holds(get(None, "heldout"), 100, "heldout")  # the second copy of all of it is left out
    holds(get(None), 200)


def test_members_of_other_kinds_and_blank_lines_are_passed_over(server, get):
    top = "1-billion-word-language-modeling-benchmark-r13output/training-monolingual.tokenized.shuffled/"
    extra = [(top + ".svn/entries", b"\xff\x00"), (top + "news.en-00001-of-00100.bak", b"no\n"), ("README", b"x\n")]
    extra += [(top + "news.en-00099-of-00100", b"\r\n\n" + sentence(0).encode() + b"\r\n" + sentence(1).encode())]
    server.body = archive(extra=extra)
    assert get(3).read_text(encoding="utf-8").splitlines() == [sentence(0), sentence(1), sentence(0)]


def test_what_was_kept_is_told_beside_it(server, get):
    path = get(50)
    told = json.loads(path.with_suffix(".json").read_text())
    assert (told["sentences"], told["bytes"], told["source"]) == (50, path.stat().st_size, server.url)
    assert len(told["sha256"]) == 64 and told["version"] == 1


def test_the_cache_is_outside_of_the_repository(get, tmp_path, monkeypatch):
    assert get(10).is_relative_to(tmp_path / "cache" / "lm1b")
    assert get(10, cache=tmp_path / "other").is_relative_to(tmp_path / "other")
    monkeypatch.delenv("LDDM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert get(10).is_relative_to(tmp_path / "xdg" / "lddm-lite")


def test_progress_is_shown_unless_unwanted(get, capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    get(300)
    assert capfd.readouterr() == ("", "")
    get(301, progress=True)
    err = capfd.readouterr().err
    assert "lm1b train" in err and "sentences" in err and "MB" in err and "301/301" in err


@pytest.mark.parametrize(
    "bad, message",
    [
        (dict(sentences=0), "sentences must be"),
        (dict(sentences=2.5), "sentences must be"),
        (dict(sentences=10**9, url=None), r"sentences must be an integer in \[1, 30301028\]"),
        (dict(sentences=10**6, split="heldout", url=None), "306688"),
        (dict(split="test"), "split must be 'train' or 'heldout', got 'test'"),
        (dict(url="file:///a"), "url must begin"),
    ],
)
def test_bad_arguments(get, server, bad, message):
    with pytest.raises(ValueError, match=message):
        get(**bad)
    assert not server.requests


def test_more_than_there_is(get):
    with pytest.raises(ValueError, match="'heldout' in http.* holds 100 sentences; sentences=101 asks for more"):
        get(101, "heldout")


def test_the_public_name_is_the_function():
    assert callable(lddm_lite.text.lm1b) and one_billion_words.URL.startswith("http")


# --- what goes wrong ------------------------------------------------------------------------------

@pytest.mark.parametrize("plan", [["cut 9000"], ["cut 9000", "500", "cut 7000"], ["500"], ["stall 6000"]])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_networks_that_break(server, get, plan, ranges):
    server.plan, server.ranges = list(plan), ranges
    holds(get(), 300)


def test_a_broken_download_fetches_only_the_rest(server, get):
    half = len(ARCHIVE) // 2
    server.plan = [f"cut {half}"] + ["503"] * 6
    with pytest.raises(DownloadError):
        get(2000)
    server.plan = []
    holds(get(2000), 2000)
    assert server.requests[-1] == f"bytes={half}-" and server.sent == len(ARCHIVE)


def test_without_a_network_it_says_what_to_do(server, get, tmp_path):
    server.plan = ["404"]
    with pytest.raises(DownloadError) as e:
        get()
    parts = server.url, "HTTP 404", str(tmp_path / "cache"), "LDDM_LM1B=/path/to/archive.tar.gz", "text.from_file"
    assert all(part in str(e.value) for part in parts)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_bytes_damaged_on_the_way_are_noticed_and_all_is_fetched_anew(server, get, share):
    server.plan = [f"flip {int(share * (len(ARCHIVE) - 5))}"]
    holds(get(None), 2000)  # to the very end, where gzip keeps its checksum
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body",
    [b"<html>log in first</html>" * 99, b"", ARCHIVE[:9000], gzip.compress(b"no tar " * 999)],
    ids=["a login page", "empty", "cut", "no tar"],
)
def test_what_is_no_archive_is_told_after_a_second_try_and_not_kept(server, get, body, tmp_path):
    server.body = body
    with pytest.raises(ValueError, match="is damaged: .*; try again later, or set LDDM_LM1B"):
        get()
    assert len(server.requests) <= 3
    left = [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert set(left) <= {".lock"}


def test_a_damaged_header_is_not_taken_for_the_end(server, get):
    plain = bytearray(gzip.decompress(ARCHIVE))
    # the header behind the block with the long name
    at = plain.index(b"news.en-00003") // 512 * 512 + 512
    plain[at] ^= 1
    server.body = gzip.compress(bytes(plain), 1)
    with pytest.raises(ValueError, match="damaged: bad checksum"):
        get(2000)
    holds(get(900), 900)  # what lies before it is intact


@pytest.mark.parametrize("line, message", [(b"a \xff b\n", "not UTF-8"), (b"a \0 b\n", "NUL bytes")])
def test_what_is_not_text_is_damage(server, get, line, message):
    top = "1-billion-word-language-modeling-benchmark-r13output/training-monolingual.tokenized.shuffled/"
    server.body = archive(extra=[(top + "news.en-00050-of-00100", line)])
    with pytest.raises(ValueError, match=f"news.en-00050-of-00100 has a line .*{message}"):
        get()


@pytest.mark.parametrize("harm", ["text", "cut", "json", "no json", "other version"])
def test_a_damaged_subset_is_noticed_and_built_again_without_the_network(server, get, harm, capfd):
    path = get()
    told = path.with_suffix(".json")
    {
        "text": lambda: path.write_bytes(path.read_bytes().replace(b"Rain", b"Snow", 1)),
        "cut": lambda: os.truncate(path, 999),
        "json": lambda: told.write_text("{"),
        "no json": told.unlink,
        "other version": lambda: told.write_text(told.read_text().replace('"version": 1', '"version": 0')),
    }[harm]()
    requests = len(server.requests)
    holds(get(progress=True), 300)
    assert len(server.requests) == requests and "building it again" in capfd.readouterr().err


def test_a_damaged_copy_of_the_archive_is_mended(server, get):
    path = get(1000)
    copy = path.with_name("archive.tar.gz")
    data = bytearray(copy.read_bytes())
    data[9_000] ^= 1
    copy.write_bytes(data)
    holds(get(None), 2000)  # to the end, where gzip keeps its checksum
    assert server.requests[-1] is None, "all of it anew"


def test_a_new_archive_at_the_old_address(server, get):
    get(300)
    server.body, server.etag = archive(per_shard=800), '"two"'
    holds(get(3000), 3000)


@pytest.mark.parametrize("where", ["the copy", "the subset"])
def test_a_full_disk_leaves_no_half_file(get, monkeypatch, where, tmp_path):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "the copy":
        monkeypatch.setattr(one_billion_words, "_append", full)
    else:
        # the last moment before the subset would be put in place
        real = os.replace
        monkeypatch.setattr(os, "replace", lambda part, path: full() if path.suffix == ".txt" else real(part, path))
    with pytest.raises(OSError, match="No space left on device") as e:
        get()
    assert str(tmp_path / "cache") in e.value.filename
    left = {p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()}
    assert left == {"archive.tar.gz.json"} | ({"archive.tar.gz"} if where == "the subset" else set())
    monkeypatch.undo()
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    holds(get(), 300)


def test_killed_in_the_middle_and_done_again(server, get, tmp_path):
    server.plan = [f"stall {len(ARCHIVE) // 2}"]
    code = f"""
from lddm_lite.text import one_billion_words
one_billion_words.CHUNK = 4_000
one_billion_words.subset(2000, url={server.url!r}, progress=False)
"""
    copy = None
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 120  # of a busy machine
        while copy is None or copy.stat().st_size < len(ARCHIVE) // 2 - 4_000:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
            copy = next((tmp_path / "cache").rglob("archive.tar.gz"), None)
        process.kill()
    server.go_on.set()
    assert not list((tmp_path / "cache").rglob("train-*.json"))
    holds(get(2000), 2000)
    assert server.sent < len(ARCHIVE) + 20_000


# --- an archive fetched by hand -------------------------------------------------------------------

def test_an_archive_given_by_hand_needs_no_network(get, server, tmp_path, monkeypatch):
    file = tmp_path / "mine.tar.gz"
    file.write_bytes(ARCHIVE)
    monkeypatch.setenv("LDDM_LM1B", str(file))
    holds(get(300), 300)
    holds(get(None, "heldout"), 100, "heldout")
    file.write_bytes(archive(per_shard=10))  # another file under the same name
    holds(get(None), 40)
    file.write_bytes(ARCHIVE[:9000])
    with pytest.raises(ValueError, match="mine.tar.gz is damaged: .*; fetch it again"):
        get()
    monkeypatch.setenv("LDDM_LM1B", str(tmp_path))
    with pytest.raises(ValueError, match="LDDM_LM1B must name the archive"):
        get()
    monkeypatch.setenv("LDDM_LM1B", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="LDDM_LM1B names a file"):
        get()
    assert not server.requests

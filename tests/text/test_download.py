"""The benchmark's archive read over a network that breaks in every way, and nothing fetched twice.
"""

import errno
import os
import random
import socket
import subprocess
import sys
import time

import pytest

from lddm_lite.text import one_billion_words
from lddm_lite.text.one_billion_words import DownloadError, Remote, StaleCopy
from tests.support.archive_server import crc, hurry, serving

BODY = random.Random(0).randbytes(300_000)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    hurry(monkeypatch, chunk=20_000)


@pytest.fixture
def server():
    with serving(BODY) as server:
        yield server


@pytest.fixture
def remote(server, tmp_path):
    """A new reader of the same copy, each time."""
    return lambda: Remote(server.url, tmp_path / "copy")


def same(a, b):
    assert (len(a), crc(a)) == (len(b), crc(b))


# --- all goes well --------------------------------------------------------------------------------

@pytest.mark.parametrize("lengths", [True, False], ids=["length told", "no length"])
def test_the_file_is_read_once_and_then_from_the_copy(server, remote, lengths):
    server.lengths = lengths
    same(remote().read(), BODY)
    again = remote()
    same(b"".join(iter(lambda: again.read(7_777), b"")), BODY)
    assert server.sent == len(BODY) and again.received == 0
    # without a length it asks whether there is more
    assert len(server.requests) == (1 if lengths else 2)


def test_no_more_is_fetched_than_read_and_the_next_reader_goes_on_there(server, remote):
    first = remote()
    same(first.read(50_000), BODY[:50_000])
    first.close()
    assert first.copy.have == 60_000
    same(remote().read(), BODY)
    assert server.requests == [None, "bytes=60000-"]


# --- it breaks ------------------------------------------------------------------------------------

def test_a_broken_connection_costs_only_what_was_on_its_way(server, remote):
    server.plan = ["cut 100000", "cut 100000"]
    same(remote().read(), BODY)
    assert server.requests == [None, "bytes=100000-", "bytes=200000-"] and server.sent == len(BODY)


def test_an_earlier_process_is_gone_on_with(server, remote):
    server.plan = ["cut 130000"] + ["503"] * 9
    with pytest.raises(DownloadError, match=r"could not download http://127.*503.*tried 6 times.*0.1 MB are here"):
        remote().read()
    assert len(server.requests) == 7  # bounded
    server.plan = []
    same(remote().read(), BODY)
    assert server.requests[-1] == "bytes=130000-" and server.sent == len(BODY)


def test_silence_is_a_break(server, remote):
    server.plan = ["stall 90000"]
    start = time.monotonic()
    same(remote().read(), BODY)
    assert time.monotonic() - start < 5 and server.requests[1] == "bytes=90000-"


@pytest.mark.parametrize("status", ["500", "503", "429", "408"])
def test_a_server_in_trouble_is_asked_again(server, remote, status):
    server.plan = [status, status]
    same(remote().read(), BODY)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_a_refusal_is_told_at_once(server, remote, status):
    server.plan = [status]
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        remote().read()
    assert len(server.requests) == 1


def test_pauses_grow(server, remote, monkeypatch):
    pauses = []
    monkeypatch.setattr(one_billion_words.time, "sleep", pauses.append)
    monkeypatch.setattr(one_billion_words, "WAIT", 10)
    server.plan = ["500"] * 6
    with pytest.raises(DownloadError):
        remote().read()
    assert pauses == [10, 20, 30, 30, 30]


def test_no_network_is_told_at_once(tmp_path, monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(one_billion_words, "WAIT", 100)
    with pytest.raises(DownloadError, match="no network, or no such host"):
        Remote("http://nowhere.invalid/a", tmp_path / "copy").read()


def test_nobody_listens(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"
        with pytest.raises(DownloadError, match="refused"):
            Remote(url, tmp_path / "copy").read()


@pytest.mark.parametrize("url", ["ftp://x/a", "/tmp/a", "file:///etc/passwd", None])
def test_other_addresses(tmp_path, url):
    with pytest.raises(ValueError, match="url must begin with http"):
        Remote(url, tmp_path / "copy")


# --- servers with other manners -------------------------------------------------------------------

def test_a_server_without_ranges_starts_over_without_harm(server, remote):
    server.ranges = False
    server.plan = ["cut 100000"]
    reader = remote()
    same(reader.read(), BODY)
    assert server.sent == len(BODY) + 100_000 and reader.received == server.sent
    assert reader.copy.path.stat().st_size == len(BODY)


def test_a_server_without_ranges_that_always_breaks_at_the_same_place_is_given_up(server, remote):
    server.ranges = False
    server.plan = ["cut 100000"] * 99
    with pytest.raises(DownloadError, match="tried"):
        remote().read()
    assert len(server.requests) < 10


def test_a_range_that_was_not_asked_for_is_not_taken(server, remote):
    server.plan = ["cut 100000", "elsewhere"]
    same(remote().read(), BODY)
    assert server.requests == [None, "bytes=100000-", None]


@pytest.mark.parametrize("how", ["size", "etag", "bytes", "shorter"])
def test_a_file_that_changed_is_not_joined_to_the_old_one(server, remote, how):
    if how == "bytes":
        server.etag, server.ranges = "", False
    server.plan = ["cut 100000"]
    part = remote()
    part.read(100_000)
    part.close()
    if how == "size":
        server.etag, server.body = "", BODY + b"more"
        part.copy.version = None
    elif how == "etag":
        server.etag = '"two"'
    else:
        server.body = BODY[::-1] if how == "bytes" else BODY[:1000]
    with pytest.raises(StaleCopy):
        part.read()
    part.clear()
    same(part.read(), server.body)


# --- the copy -------------------------------------------------------------------------------------

@pytest.mark.parametrize("harm", ["copy cut", "copy too long", "words cut", "words garbage", "words gone", "copy gone"])
def test_a_copy_and_what_is_said_of_it_that_do_not_fit(server, remote, harm):
    part = remote()
    part.read(100_000)
    part.close()
    copy, about = part.copy.path, part.copy.about
    text = about.read_bytes()
    {
        "copy cut": lambda: os.truncate(copy, 70_001),
        "copy too long": lambda: copy.write_bytes(BODY + b"junk"),
        "words cut": lambda: about.write_bytes(text[:-5]),
        "words garbage": lambda: about.write_bytes(b"\xff\x00" + text),
        "words gone": about.unlink,
        "copy gone": copy.unlink,
    }[harm]()
    same(remote().read(), BODY)
    same(copy.read_bytes(), BODY)


def test_a_full_disk_leaves_what_there_was_room_for_and_the_rest_comes_later(server, remote, monkeypatch):
    room, write = [70_000], one_billion_words._append

    def nearly_full(path, data):
        fits = data[: room[0]]
        write(path, fits)
        room[0] -= len(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(one_billion_words, "_append", nearly_full)
    reader = remote()
    with pytest.raises(OSError, match="No space left") as e:
        reader.read()
    assert e.value.filename == str(reader.copy.path) and reader.copy.path.stat().st_size == reader.copy.have == 70_000
    reader.close()
    monkeypatch.undo()
    same(remote().read(), BODY)
    assert server.requests[-1] == "bytes=70000-"


def test_killed_in_the_middle(server, remote, tmp_path):
    server.plan = ["stall 150000"]
    code = f"""
from lddm_lite.text import one_billion_words
one_billion_words.CHUNK = 10_000
one_billion_words.Remote({server.url!r}, {str(tmp_path / "copy")!r}).read()
"""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 120  # of a busy machine
        while not (tmp_path / "copy").exists() or (tmp_path / "copy").stat().st_size < 150_000:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.kill()
    server.go_on.set()
    same(remote().read(), BODY)
    assert server.requests[-1] in ("bytes=150000-", "bytes=140000-")

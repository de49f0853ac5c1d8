"""Checkpoints that ship: found by name, and the larger ones fetched from one address, checked."""

import functools
import hashlib
import http.server
import shutil
import threading
import zipfile

import pytest

import lddm_lite as ld
from lddm_lite._common.checkpoint import CheckpointError, is_checkpoint
from lddm_lite.networks import shipped
from tests.support import ROOT, pack_checkpoints
from tests.support.training_runs import start


@pytest.fixture
def served(tmp_path, monkeypatch):
    """(address, its folder): on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()


def packed(folder, place, name="tiny", **more):
    """Write NAME.zip of a checkpoint to `place`: its SHA-256."""
    with zipfile.ZipFile(place / f"{name}.zip", "w") as z:
        for file in folder.iterdir():
            z.write(file, file.name)
        for other, content in more.items():
            z.writestr(other, content)
    return hashlib.sha256((place / f"{name}.zip").read_bytes()).hexdigest()


def test_all_that_ship_are_found_by_name():
    assert {p.name for p in (ROOT / "data" / "checkpoints").iterdir() if p.is_dir()} <= {
        *shipped.ELSEWHERE, *(p.name for folder in shipped.folders() for p in folder.iterdir())
    }  # fmt: skip
    assert is_checkpoint(shipped.place("binsaw-mdlm"))
    with pytest.raises(CheckpointError, match="no checkpoint 'binsaw-x'; shipped ones: binsaw-co-joint"):
        ld.load("binsaw-x")
    for name in ("../checkpoints/binsaw-mdlm", "/nowhere", "a/b"):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            ld.load(name)


def test_a_larger_one_is_fetched_once_and_checked(served, tmp_path, monkeypatch):
    address, place = served
    digest = packed(start("mdlm").save(tmp_path / "model"), place)
    monkeypatch.setitem(shipped.ELSEWHERE, "tiny", digest)
    monkeypatch.setenv("LDDM_CHECKPOINTS", address)
    good = ld.load(tmp_path / "model").sample(2, 2).tokens.tolist()
    assert ld.load("tiny").sample(2, 2).tokens.tolist() == good
    (place / "tiny.zip").unlink()
    assert ld.load("tiny").sample(2, 2).tokens.tolist() == good, "from the cache"
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CheckpointError, match="tiny.zip could not be fetched"):
        ld.load("tiny")
    (place / "tiny.zip").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="its sha256 is not"):
        ld.load("tiny")
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("name", ["../evil", "/evil", "deep/evil", ".hidden", "..\\evil/x"])
def test_an_archive_writes_nothing_outside_its_folder(served, tmp_path, name):
    address, place = served
    digest = packed(start("mdlm").save(tmp_path / "model"), place, **{name: "x"})
    with pytest.raises(CheckpointError, match="which is no part of a checkpoint"):
        shipped.fetch("tiny", address, digest)
    assert not list(tmp_path.rglob("*evil*")) and not list((tmp_path / "cache").rglob("config.json"))


def answering(status, headers, body):
    """The address of a server that always gives this answer, and then hangs up."""

    class One(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), One)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (200, {"Content-Length": "1000"}, b"half", "broke off after 4 of 1,000 bytes"),
        (200, {"Transfer-Encoding": "chunked"}, b"ffff\r\nhalf", "could not be fetched"),
        (404, {"Content-Length": "2"}, b"no", "Not Found"),
        (302, {"Location": "file:///etc/passwd"}, b"", "could not be fetched"),
        (302, {"Location": "/tiny.zip"}, b"", "infinite loop"),
        (200, {"Content-Length": "4"}, b"page", "its sha256 is not"),
    ],
    ids=["cut off", "cut off in a chunk", "not there", "to a file", "round and round", "a page"],
)
def test_what_else_an_address_may_answer(status, headers, body, message, served, tmp_path):
    server, address = answering(status, headers, body)
    with pytest.raises(CheckpointError, match=message):
        shipped.fetch("tiny", address, "0" * 64)
    server.shutdown()
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_it_follows_to_another_address(served, tmp_path):
    address, place = served
    digest = packed(start("mdlm").save(tmp_path / "model"), place)
    server, first = answering(302, {"Location": f"{address}/tiny.zip"}, b"")
    assert is_checkpoint(shipped.fetch("tiny", first, digest))
    server.shutdown()


def test_without_a_network_it_says_what_to_do(served, tmp_path):
    with pytest.raises(CheckpointError, match="Without a network, take the checkpoint from data/checkpoints"):
        shipped.fetch("tiny", "http://127.0.0.1:9", "0" * 64)
    for name in ("../tiny", "", "a b", "Tiny", None):
        with pytest.raises(ValueError, match="name must be"):
            shipped.fetch(name, "http://127.0.0.1:9", "0" * 64)


def test_damaged_archives(served, tmp_path):
    """With the right SHA-256: cut off, with a password, too large, empty."""
    address, place = served
    packed(start("mdlm").save(tmp_path / "model"), place)
    good = (place / "tiny.zip").read_bytes()
    entry = good.index(b"PK\1\2")
    locked = bytearray(good)
    locked[entry + 8] |= 1
    large = bytearray(good)
    large[entry + 24 : entry + 28] = b"\xfe\xff\xff\x7f"
    for data in (good[:-40], good[: len(good) // 2], bytes(locked), bytes(large), b"", b"PK\5\6" + b"\0" * 18):
        (place / "tiny.zip").write_bytes(data)
        with pytest.raises(CheckpointError, match=r"tiny\.zip"):
            shipped.fetch("tiny", address, hashlib.sha256(data).hexdigest())
        assert not list((tmp_path / "cache").rglob("config.json"))


def test_the_larger_ones_as_they_are_packed(served, monkeypatch):
    """What lies in data/checkpoints, packed, is what ELSEWHERE expects, and comes back from an address."""
    address, place = served
    found = pack_checkpoints.main(str(place))
    assert found == {name: shipped.ELSEWHERE[name] for name in found}, "python -m tests.support.pack_checkpoints"
    monkeypatch.setenv("LDDM_CHECKPOINTS", address)
    for name in shipped.ELSEWHERE:
        if name in found:
            assert ld.load(shipped.fetch(name)).data == ld.load(ROOT / "data" / "checkpoints" / name).data


def test_without_an_address_it_says_so(monkeypatch):
    monkeypatch.delenv("LDDM_CHECKPOINTS", raising=False)
    with pytest.raises(CheckpointError, match="no address yet"):
        shipped.fetch("lm1b-mdlm")
    with pytest.raises(CheckpointError, match="must begin with http"):
        shipped.fetch("tiny", "file:///etc", "00")

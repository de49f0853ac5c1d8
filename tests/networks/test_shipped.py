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
from tests.support import ROOT
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


def test_without_an_address_it_says_so(monkeypatch):
    monkeypatch.delenv("LDDM_CHECKPOINTS", raising=False)
    with pytest.raises(CheckpointError, match="no address yet"):
        shipped.fetch("lm1b-tiny-mdlm")
    with pytest.raises(CheckpointError, match="must begin with http"):
        shipped.fetch("tiny", "file:///etc", "00")

"""Files written whole or not at all, by one process at a time, in the cache that the user chose."""

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lddm_lite as ld
from lddm_lite._common.files import cache_folder, locked, replacing, staged, write
from lddm_lite.plots import LatentMap

LIBRARY = Path(ld.__file__).parent


def test_nothing_half_written(tmp_path):
    file = tmp_path / "a"
    file.write_text("old")
    with pytest.raises(OSError) as e, replacing(file) as f:
        f.write(b"new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert e.value.filename == str(file) and file.read_text() == "old" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe"])
@pytest.mark.parametrize("name", ["a", "a.part"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind, name):
    other, place = tmp_path / "other", tmp_path / name
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(other)
    if kind == "link":
        other.write_text("somebody's")
    before = place.lstat()
    with pytest.raises(FileExistsError, match="is no regular file, and is not replaced") as e:
        write(tmp_path / "a", "new")
    assert e.value.filename == str(place) and place.lstat() == before
    assert not other.exists() or other.read_text() == "somebody's"


def test_devices_are_not_replaced():
    with pytest.raises(FileExistsError):
        write(os.devnull, "new")
    assert not Path(os.devnull).is_file()


def test_a_program_that_goes_by_the_ending_gets_one(tmp_path):
    with staged(tmp_path / "new" / "run.gif", ".gif") as part:
        assert part.name == "run.gif.part.gif"
        part.write_text("film")
    assert os.listdir(tmp_path / "new") == ["run.gif"]


def trace():
    return ld.LatentDiffusion.exact(ld.tasks.Binsaw(length=8)).sample(2, token_steps=2)


WRITERS = {
    "Trace.save": ("run.json", lambda path: trace().save(path)),
    "LatentMap.save": ("map.st", lambda path: LatentMap.fit(np.eye(4).reshape(4, 1, 4), method="pca").save(path)),
    "Scrubber.to_html": ("run.html", lambda path: ld.widgets.Scrubber(trace()).to_html(path)),
    "History.save, CSV": ("history.csv", lambda path: ld.History([{"step": 1}]).save(path)),
    "History.save, JSON": ("history.json", lambda path: ld.History([{"step": 1}]).save(path)),
    "model.save": ("config.json", lambda path: saved(path.parent)),
    "evaluation.write": ("report.json", lambda path: ld.evaluation.write({"rows": []}, path.parent)),
}


def saved(folder):
    ld.LatentDiffusion.preset("mdlm", ld.tasks.Binsaw(length=8), width=16).save(folder, overwrite=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there_and_no_debris(name, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file, act = WRITERS[name]
    (tmp_path / file).write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as e:
        act(tmp_path / file)
    assert e.value.errno == errno.ENOSPC and e.value.filename.startswith(str(tmp_path))
    assert (tmp_path / file).read_text() == "old" and os.listdir(tmp_path) == [file]


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_is_not_written_through(name, tmp_path):
    file, act = WRITERS[name]
    (tmp_path / "other").write_text("somebody's")
    (tmp_path / file).symlink_to(tmp_path / "other")
    with pytest.raises(FileExistsError):
        act(tmp_path / file)
    assert (tmp_path / "other").read_text() == "somebody's" and (tmp_path / file).is_symlink()


def writes(source: str) -> list[str]:
    """Calls that put something into a file by another way than this module's."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        mode = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
        if name in ("os.replace", "os.rename") or name.endswith((".write_text", ".write_bytes")):
            found.append(name)
        elif name.split(".")[-1] == "open" and mode and set(str(mode[0])) & set("wax+"):
            found.append(f"{name} {mode[0]}")
    return found


# a whole folder of the cache at once; the growing copy of a download, to which pieces are appended
ELSEWHERE = {"cli/terminal.py": ["open w"], "networks/latent_cache.py": ["os.replace"],
             "networks/shipped.py": ["os.replace"], "text/one_billion_words.py": ["open ab"]}


def test_there_is_one_way_to_write_a_file():
    found = {str(path.relative_to(LIBRARY)): writes(path.read_text("utf-8")) for path in LIBRARY.rglob("*.py")}
    assert sorted(found.pop("_common/files.py")) == ["open wb", "os.replace"]
    assert {name: calls for name, calls in found.items() if calls} == ELSEWHERE


def test_one_process_at_a_time(tmp_path):
    code = f"from lddm_lite._common.files import locked\nwith locked({str(tmp_path)!r}): print('in')"
    with locked(tmp_path):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert b"waiting for another process" in other.stderr.readline()
    assert other.communicate(timeout=20)[0] == b"in\n"


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LDDM_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "lddm-lite"
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"

"""Checkpoints come back as they were written, and a broken one says what is wrong with it."""

import builtins
import hashlib
import json
import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite._common import checkpoint
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.model import load
from tests.support.random_models import build


@pytest.fixture
def saved(tmp_path):
    """A folder with a saved co-seq."""
    return build("co-seq").save(tmp_path / "model")


def weights(folder):
    (path,) = folder.glob("weights-*.safetensors")
    return path


def rewrite(folder, change):
    """Change config.json by a function of its content."""
    path = folder / "config.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


# --- whole ----------------------------------------------------------------------------------------

def test_saving_again_replaces_and_leaves_nothing_behind(saved):
    first = weights(saved).name
    with pytest.raises(ValueError, match="holds a checkpoint; give another folder, or overwrite=True"):
        build("mdlm").save(saved)
    build("mdlm").save(saved, overwrite=True)
    assert load(saved).name == "mdlm" and weights(saved).name != first
    assert sorted(p.name for p in saved.iterdir()) == sorted(["config.json", weights(saved).name])


def test_left_over_parts_of_a_crash_do_no_harm(saved):
    told = json.loads((saved / "config.json").read_text()) | {"weights": "weights-cdef01234567.safetensors"}
    (saved / "config.json.part").write_text(json.dumps(told))
    (saved / "weights-cdef01234567.safetensors").write_bytes(b"\0")  # written before the crash, which named it first
    assert load(saved).name == "co-seq"
    build("co-seq").save(saved, overwrite=True)
    assert load(saved).name == "co-seq" and len(list(saved.glob("weights-*"))) == 1


@pytest.mark.parametrize("name", ["weights-final.pt", "weights-best.safetensors", "weights-0123456789ab.bak",
                                  "weights-0123456789ab.safetensors"])
def test_files_of_other_people_stay(saved, name):
    (saved / name).write_bytes(b"theirs")
    build("co-seq").save(saved, overwrite=True)
    assert (saved / name).read_bytes() == b"theirs"


@settings(max_examples=60)
@given(n=st.integers(1, 400), m=st.integers(0, 3))
def test_any_sizes_and_names_come_back(n, m, tmp_path_factory):
    """The first bytes of a safetensors file are the length of its header, and may look like those
    of a pickle."""
    folder = tmp_path_factory.mktemp("sizes")
    tensors = {"w" * n: torch.arange(m), "flag": torch.tensor(True)}
    checkpoint.write(folder, tensors, {"n": np.int64(n), "x": np.float32(0.5)})
    back, meta = checkpoint.read(folder)
    assert all(torch.equal(v, back[k]) and v.dtype == back[k].dtype for k, v in tensors.items())
    assert (meta["n"], meta["x"]) == (n, 0.5)


@pytest.mark.parametrize("name", ["open", "replace", "fsync"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_at_any_moment_of_writing_leaves_a_complete_checkpoint(name, nth, tmp_path, monkeypatch):
    old, new = {"w": torch.zeros(3)}, {"w": torch.ones(3)}
    checkpoint.write(tmp_path, old, {"mark": "old"})
    where = builtins if name == "open" else os
    real, count = getattr(where, name), []

    def crash(*args, **options):
        if name != "open" or str(args[0]).endswith(".part"):
            count.append(1)
            if len(count) == nth:
                raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as m:
        m.setattr(where, name, crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write(tmp_path, new, {"mark": "new"})
    tensors, meta = checkpoint.read(tmp_path)
    assert meta["mark"] == "old" and torch.equal(tensors["w"], old["w"])
    checkpoint.write(tmp_path, new, {"mark": "new"})
    assert checkpoint.read(tmp_path)[1]["mark"] == "new"


# --- broken ---------------------------------------------------------------------------------------

def cut_weights(folder):
    path = weights(folder)
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder):
    data = bytearray(weights(folder).read_bytes())
    data[-1] ^= 1
    weights(folder).write_bytes(bytes(data))


def cut_config(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:100])


def pickle_for_weights(folder):
    torch.save({"w": torch.zeros(2)}, weights(folder))


def old_pickle_for_weights(folder):
    weights(folder).write_bytes(pickle.dumps({"w": [0.0]}))


def other_file_for_weights(folder):
    """Not safetensors, though its hash is the one that config.json gives."""
    tensors, meta = checkpoint.read(folder)
    weights(folder).write_bytes(b"nothing of the kind")
    rewrite(folder, lambda m: m.update(sha256=hashlib.sha256(b"nothing of the kind").hexdigest()))


BROKEN = [
    (cut_weights, r"weights-.*safetensors is cut off or changed"),
    (flip_a_bit, r"weights-.*safetensors is cut off or changed"),
    (cut_config, "config.json is damaged or cut off"),
    (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "config.json is damaged or cut off"),
    (lambda f: (f / "config.json").write_text("[1, 2]"), "does not describe an lddm-lite checkpoint"),
    (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    (lambda f: weights(f).unlink(), "safetensors is missing, though config.json names it"),
    (pickle_for_weights, "is a pickle, not safetensors; it is not loaded"),
    (old_pickle_for_weights, "is a pickle, not safetensors; it is not loaded"),
    (other_file_for_weights, "is not a safetensors file"),
    (lambda f: rewrite(f, lambda m: m.update(version=2)), "has version 2; this library reads version 1"),
    (lambda f: rewrite(f, lambda m: m.pop("version")), "has version None"),
    (lambda f: rewrite(f, lambda m: m.update(format="other")), "does not describe an lddm-lite checkpoint"),
    (lambda f: rewrite(f, lambda m: m["config"].update(rotary=True)), r"has unknown options \['rotary'\]"),
    (lambda f: rewrite(f, lambda m: m["config"].pop("vocab")), "does not describe a model: .*vocab"),
    (lambda f: rewrite(f, lambda m: m["config"].update(lead=0.9)), "does not describe a model: lead must be"),
    (lambda f: rewrite(f, lambda m: m["config"].update(width=32)), "the weights do not fit its config"),
    (lambda f: rewrite(f, lambda m: m["config"].update(latent="none")), "the weights do not fit its config"),
    (lambda f: rewrite(f, lambda m: m.pop("config")), "holds no model"),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=[m[:32] for _, m in BROKEN])
def test_a_broken_checkpoint_says_what_is_wrong(damage, message, saved):
    damage(saved)
    with pytest.raises(CheckpointError, match=message) as error:
        load(saved)
    assert str(saved) in str(error.value)


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was loaded')",))


def test_a_pickle_is_refused_and_never_run(tmp_path):
    torch.save({"w": Trap()}, tmp_path / "model.pt")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "model.txt").write_text("hello")
    for name, message in (("model.pt", "is a pickle"), ("model.pkl", "is a pickle"), ("model.txt", "is a file")):
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path / name)


def test_weights_may_not_lie_outside_the_folder(saved, tmp_path):
    weights(saved).rename(tmp_path / "elsewhere.safetensors")
    rewrite(saved, lambda m: m.update(weights="../elsewhere.safetensors"))
    with pytest.raises(CheckpointError, match="weights must be of the form weights-"):
        load(saved)


def test_what_a_killed_save_left_behind_goes_with_the_next(tmp_path, monkeypatch):
    """Killed after config.json was replaced and before the old weights were removed: these are named by
    nothing but the new config.json, as what was before."""
    import os

    place = tmp_path / "m"
    checkpoint.write(place, {"a": torch.zeros(2)}, {})

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    monkeypatch.setattr(os, "unlink", killed)
    monkeypatch.setattr("pathlib.Path.unlink", killed)
    with pytest.raises(Killed):
        checkpoint.write(place, {"a": torch.ones(2)}, {})
    monkeypatch.undo()
    assert len(list(place.glob("weights-*"))) == 2
    (place / "weights-0123456789ab.safetensors").write_bytes(b"somebody's")
    checkpoint.write(place, {"a": torch.full((2,), 2.0)}, {})
    assert len(list(place.glob("weights-*"))) == 2
    assert (place / "weights-0123456789ab.safetensors").read_bytes() == b"somebody's"
    assert checkpoint.read(place)[0]["a"].tolist() == [2.0, 2.0]

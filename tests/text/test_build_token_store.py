"""Writing tokens to disk: whole or not at all, once for the same content, in the same memory for
any size."""

import errno
import functools
import json
import os
import subprocess
import sys
import time

import pytest
import torch

from lddm_lite import LatentDiffusion, fit
from lddm_lite._common import files
from lddm_lite.text import build_token_store, codec, dataset
from lddm_lite.text.build_token_store import with_separator
from tests.support.archive_server import sentence


def kept(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock")


# --- rows of a text -------------------------------------------------------------------------------

def test_cropping_keeps_the_long_ones(build):
    store = build(long="crop")
    assert len(store) == 24 and store.header["cropped"] == 6 and store.header["dropped"] == 0
    assert store.decode(store[2]).startswith("the bank of japan said on friday") and (store[2] != 0).all()
    assert "6 longer ones cropped" in repr(store)


def test_packing_is_one_stream_with_separators(build, stored_lines, monkeypatch):
    store = build(mode="pack", length=10)
    stream = " ".join(store.decode(row) for row in store)
    whole = " [SEP] ".join(line.lower() for line in stored_lines if line) + " [SEP]"
    ids = store.codec.tokenise([line for line in stored_lines if line])
    assert len(store) == sum(len(row) + 1 for row in ids) // 10 and whole.startswith(stream.replace(" ##", ""))
    assert (store.batch(range(len(store))) != 0).all() and store.spec()["lengths"] == [0.0] * 10 + [1.0]
    # where the text is cut into parts does not matter
    monkeypatch.setattr(build_token_store, "LINES", 3)
    again = build(mode="pack", length=10, learn=99_999)
    assert again.folder != store.folder and again.header["sha256"] == store.header["sha256"]
    monkeypatch.setattr(build_token_store, "CHARACTERS", 1)
    assert build(mode="pack", length=10, learn=99_998).header["sha256"] == store.header["sha256"]
    model = LatentDiffusion.preset("mdlm", store, width=16, blocks=1)
    fit(model, store, steps=2, batch=4, progress=False)
    # the separator comes back with the model
    assert dataset.from_spec(model.data).labels == store.labels


def test_no_text_spells_the_separator(build):
    codec = with_separator(build().codec)
    assert with_separator(codec) is codec and codec.labels[-1] == "[SEP]" and codec.vocab == len(codec.labels)
    ids = codec.tokenise(["a [SEP] b [sep]"])[0]
    assert codec.labels.index("[SEP]") not in ids


def test_wide_vocabularies_take_four_bytes(build, monkeypatch):
    narrow = build()
    about = json.loads(narrow.codec.tokenizer)
    about["model"]["vocab"] |= {f"¤{i}": narrow.vocab + i for i in range(70_000)}
    wide = build(codec=codec.TextCodec(json.dumps(about), 14))
    assert (narrow.header["dtype"], wide.header["dtype"]) == ("<u2", "<u4")
    assert torch.equal(wide.batch(range(9)), narrow.batch(range(9)))


def test_held_out_text_takes_the_tokenizer_of_the_store(build):
    store = build()
    other = build(["rain fell on monday ."], codec=store.codec)
    assert other.labels == store.labels and other.decode(other[0]) == "rain fell on monday ."


# --- lines as they come ---------------------------------------------------------------------------

def test_one_line_ten_kilobytes_and_nul(build, file):
    file.write_bytes(b"rain fell .")
    assert len(build()) == 1
    build = functools.partial(build, tokenizer="words")
    file.write_bytes(b"\xef\xbb\xbfrain \x00fell .\r\n" + b"x" * 10_000 + b"\r\n" + b"rain fell " * 1_000 + b"\r\n")
    store = build()
    assert (len(store), store.header["dropped"], store.header["nul"]) == (2, 1, 1)
    assert [store.decode(row) for row in store] == ["rain fell .", "[UNK]"]
    data = dataset.from_file(file, vocab=200, length=14, tokenizer="words", allow_losses=True)
    assert data.nul == 1 and "NUL bytes dropped from 1 lines" in repr(data)


@pytest.mark.parametrize(
    "content, options, message",
    [
        (b"", {}, "text.txt is empty"),
        (b"\n \n\x00\n", {}, "text.txt is empty"),
        (b"rain fell .\nthe \xff yen\n", {}, "line 2: byte 0xff is not UTF-8.*errors='replace'"),
        (b"rain fell .\n", dict(length=2), "shortest sentence has 3 tokens, more than length=2"),
        (b"rain fell .\n", dict(length=9, mode="pack"), "has 4 tokens, fewer than one row of length=9"),
        (b"a\n", dict(mode="x"), "mode must be 'pad' or 'pack', got 'x'"),
        (b"a\n", dict(long="x"), "long must be 'drop' or 'crop', got 'x'"),
        (b"a\n", dict(errors="ignore"), "errors must be"),
        (b"a\n", dict(length=0), "length must be"),
        (b"a\n", dict(vocab=3), "vocab must be"),
        (b"a\n", dict(learn=0), "learn must be"),
    ],
)
def test_what_cannot_be_built_leaves_nothing(build, file, tmp_path, content, options, message):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build(**options)
    assert kept(tmp_path) == []


def test_bytes_that_are_not_utf8_are_dropped_on_demand(build, file):
    file.write_bytes(b"rain fell .\nthe \xff yen\n")
    store = build(errors="replace", tokenizer="words")
    assert store.decode(store[1]) == "the yen"


def test_missing_files(build, tmp_path):
    with pytest.raises(FileNotFoundError):
        build(tmp_path / "none.txt")


def test_a_text_that_changes_meanwhile(build, file, monkeypatch, tmp_path):
    chunks = build_token_store._chunks

    def meddling(lines):
        yield from chunks(lines)
        file.write_text("other .\n")

    monkeypatch.setattr(build_token_store, "_chunks", meddling)
    with pytest.raises(ValueError, match="changed while it was read"):
        build()
    monkeypatch.undo()
    assert len(build()) == 1


# --- the cache ------------------------------------------------------------------------------------

def test_it_is_built_once_for_the_same_content_and_anew_for_any_other(build, file, tmp_path, monkeypatch):
    stores = [build(), build(length=15), build(mode="pack"), build(long="crop"), build(vocab=60), build(learn=9)]
    stores += [build(codec=stores[0].codec), build(codec=stores[4].codec)]
    file.write_text("rain fell .\n")
    stores.append(build())
    assert len({s.folder for s in stores}) == len(stores)
    monkeypatch.setattr(build_token_store, "_write", None)
    copy = tmp_path / "copy.txt"
    copy.write_text("rain fell .\n")
    assert build(copy).folder == stores[-1].folder  # the content counts, not the name


@pytest.mark.parametrize("moment", ["tokens.bin", "header.json"])
def test_a_full_disk_leaves_no_half_store(build, monkeypatch, tmp_path, moment):
    replace = os.replace

    def full(source, target):
        if str(target).endswith(moment):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        build()
    assert not [name for name in kept(tmp_path) if name == "header.json" or name.endswith(".part")]
    monkeypatch.undo()
    assert len(build()) == 18


def test_killed_in_the_middle_and_built_again(build, file, tmp_path):
    code = f"""
import time
from lddm_lite.text import build_token_store
chunks = build_token_store._chunks
def slow(lines):
    for chunk in chunks(lines):
        yield chunk
        time.sleep(60)
build_token_store._chunks = slow
build_token_store.build({str(file)!r}, vocab=200, length=14, cache={str(tmp_path / "cache")!r}, progress=False)
"""
    part = None
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 30
        while part is None:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
            part = next((tmp_path / "cache").rglob("tokens.bin.part"), None)
        process.kill()
    assert "header.json" not in kept(tmp_path)
    assert len(build()) == 18 and kept(tmp_path) == ["header.json", "tokens.bin"]


# --- memory ---------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from lddm_lite.text import build_token_store
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
store = build_token_store.build(sys.argv[1], vocab=1000, length=64, learn=2000, cache=sys.argv[2], progress=False)
built, start = peak(), store.sample(64).sum()
for batch in store.epoch(64):
    pass
for seed in range(2000):
    store.sample(64, seed)
print(len(store), built, peak())
"""


@pytest.mark.slow
def test_memory_is_flat_from_once_to_a_hundred_times_the_text(tmp_path):
    peaks = {}
    for times in (1, 10, 100):
        file = tmp_path / "text.txt"
        with open(file, "w", encoding="utf-8") as f:
            for i in range(5_000 * times):
                f.write(sentence(i) + "\n")
        run = [sys.executable, "-c", MEASURE, str(file), str(tmp_path / "cache")]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        out = subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.split()
        assert int(out[0]) > 4_900 * times
        peaks[times] = float(out[1]), float(out[2])
        print(f"{times:>4}x: {int(out[0]):>8,} sentences; peak after building {out[1]} MB, after reading {out[2]} MB")
    for k in (0, 1):
        assert peaks[100][k] < 1.1 * peaks[1][k], peaks

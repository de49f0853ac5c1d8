"""Tokens on disk: the same batches as from memory, epochs, splits, and damage that is noticed."""

import json
import os
import pickle

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, fit
from lddm_lite._common.randomness import split_rows
from lddm_lite.text import dataset, token_store

# --- the same as from memory ----------------------------------------------------------------------

def test_batches_are_those_of_text_data_draw_for_draw(build, file):
    data, store = dataset.from_file(file, vocab=200, length=14, allow_losses=True), build()
    assert store.codec.tokenizer == data.codec.tokenizer and store.spec() == data.spec()
    assert (len(store), store.header["dropped"], store.header["blank"]) == (len(data), data.dropped, data.blank)
    assert store.unknown() == data.unknown()
    g, h = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for n in (1, 5, 64):
        assert torch.equal(store.sample(n, g), data.sample(n, h))
    assert torch.equal(store.batch(range(len(store))), data.rows.long())


def test_fit_gives_the_same_weights_from_disk_and_from_memory(build, file):
    weights = []
    for data in (dataset.from_file(file, vocab=200, length=14, allow_losses=True), build()):
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
    with pytest.raises(token_store.DamagedStore, match="cut off while it was in use"):
        store.batch([0, 5])


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
    with pytest.raises(token_store.DamagedStore, match="changed|cut off|damaged|version 2"):
        token_store.load(store.folder)
    assert build().header["sha256"] == store.header["sha256"]
    token_store.load(store.folder)


# --- order ----------------------------------------------------------------------------------------

def test_epochs_hold_every_row_once_each_in_its_own_order(build):
    store = build()
    rows = sorted(store.batch(range(len(store))).tolist())
    epochs = [torch.cat(list(store.epoch(5, seed=1, number=k))) for k in (0, 0, 1)]
    assert all(sorted(e.tolist()) == rows for e in epochs)
    assert torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[0], epochs[2])
    assert [len(x) for x in store.epoch(5)] == [5, 5, 5, 3]


def test_an_order_is_even():
    """Of five rows any two are held out equally often, over the seeds: chi-squared of ten pairs."""
    n, seeds = 5, 2_000
    first = np.array([split_rows(n, 0.4, seed)[1].tolist() for seed in range(seeds)])
    pairs = np.bincount(first[:, 0] * n + first[:, 1], minlength=n * n).reshape(n, n)[np.triu_indices(n, 1)]
    chi2 = ((pairs - seeds / 10) ** 2 / (seeds / 10)).sum()
    assert abs(chi2 - 9) < 5 * (2 * 9) ** 0.5


def test_a_split_is_that_of_text_data(build, file):
    data, store = dataset.from_file(file, vocab=200, length=14, allow_losses=True), build()
    for of_text, of_store in zip(data.split(0.3, seed=2), store.split(0.3, seed=2), strict=True):
        assert torch.equal(of_text.rows.long(), of_store.batch(range(len(of_store))))


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

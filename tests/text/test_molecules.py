"""Molecules as text: symbols, the collections that packages carry, models of them."""

import gzip
import importlib.metadata

import pytest
import torch

from lddm_lite import LatentDiffusion, fit, load
from lddm_lite.text import from_spec, molecules, prompts


def packaged(name):
    try:
        importlib.metadata.distribution(molecules.COLLECTIONS[name].package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_a_symbol_is_a_token():
    data = molecules.from_smiles(["Clc1cc[nH]c1Br", "C%12CC%12", "[O-]N=O", "C" * 30], length=10)
    assert [data.decode(row) for row in data.rows] == ["Clc1cc[nH]c1Br", "C%12CC%12", "[O-]N=O"] and data.dropped == 1
    assert data.labels[:2] == ["[PAD]", "[UNK]"]
    assert {"Cl", "Br", "[nH]", "[O-]", "%12"} <= set(data.labels) and "B" not in data.labels
    back = from_spec(data.spec())
    assert back.decode(back.encode("C[MASK](Cl)")) == "C[MASK][UNK]Cl[UNK]" and back.spec() == data.codec.spec()


def test_two_that_are_equal_make_the_same_tokenizer():
    assert molecules.tokenizer(["CCO", "ClC"]) == molecules.tokenizer(["ClC", "OCC"])


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Packages of molecules as the real ones are, but small."""
    lines = [f"{'C' * n}{tail}" for n in range(1, 30) for tail in ("", "O", "N", "=O")]
    for k in (1, 2, 3):
        file = tmp_path / f"qm9pack/data/qm9_part{k}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f'{i},"{s}",0\n' for i, s in enumerate(lines[k - 1 :: 3]))
        file.write_text("Index,SMILES,Weight\n" + rows)
    for part in ("train", "test"):
        file = tmp_path / f"moses/dataset/data/{part}.csv.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(b"SMILES\nCCO\nc1cc[nH]c1\n" + (b"CCF\n" if part == "test" else b"")))

    class Found:
        def locate_file(self, place):
            return tmp_path / place

    def distribution(name):
        if name == "molsets" and (tmp_path / "gone").exists():
            raise importlib.metadata.PackageNotFoundError(name)
        return Found()

    molecules._strings.cache_clear()
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    yield tmp_path
    molecules._strings.cache_clear()


def test_the_split_follows_a_rule_and_leaves_nothing_out(shelf):
    train, held = molecules.load("qm9", length=40)
    texts = [{data.decode(row) for row in data.rows} for data in (train, held)]
    assert not texts[0] & texts[1] and len(texts[0] | texts[1]) == 29 * 4
    assert 1 <= len(held) <= 20, "about one in twenty"
    assert len(molecules.load("qm9", length=40, limit=10)[0]) == 10
    assert train.name == "qm9" and train.spec()["molecules"] == "qm9"
    assert sum(train.spec()["lengths"]) == pytest.approx(1)


def test_a_collection_with_its_own_test_part_keeps_it(shelf):
    train, held = molecules.load("moses")
    assert [held.decode(row) for row in held.rows] == ["CCO", "c1cc[nH]c1"], "CCF has a symbol that is not known"
    assert train.rows.shape == (2, 48)


def test_what_is_missing_is_told_with_the_command(shelf):
    (shelf / "gone").touch()
    with pytest.raises(ImportError, match="need molsets, not installed here:  make molecules"):
        molecules.load("moses")
    (shelf / "qm9pack/data/qm9_part2.csv").unlink()
    with pytest.raises(ImportError, match="qm9pack is here without qm9pack/data/qm9_part2.csv.*make molecules"):
        molecules.load("qm9")
    with pytest.raises(ValueError, match="name must be 'qm9' or 'moses', got 'zinc'"):
        molecules.load("zinc")


def test_a_model_of_molecules_is_trained_saved_and_asked(tmp_path):
    data = molecules.from_smiles(["CCO", "CCl", "C1CC1", "CC(C)O", "C1CC1O"] * 4, length=8)
    options = dict(slots=1, codes=4, width=16, encoder="mixture", network="text", heads=2)
    model = LatentDiffusion.preset("di-seq", data, **options)
    fit(model, data, steps=3, batch=8, progress=False, out=tmp_path / "run")
    model = load(tmp_path / "run")
    trace = model.sample(4, token_steps=2, seed=0)
    assert all(" " not in text for text in trace.texts()) and trace.meta["spaced"] is False
    filled = model.infill("C1CC1[MASK]", n=3, token_steps=1)
    assert all(text.startswith("C1CC1") for text in filled.texts())
    assert not prompts.unknown(model, prompts.example(model))


@pytest.mark.skipif(not packaged("qm9"), reason=f"needs {molecules.INSTALL}")
def test_qm9_itself():
    train, held = molecules.load("qm9")
    assert (len(train), len(held), train.vocab, train.length) == (124_104, 6_631, 22, 20)
    assert train.unknown() == 0 and held.unknown() == 0
    assert torch.equal(molecules.held_out(train.spec()).rows, held.rows)

"""Arrays of ids as data: labels, padding, pictures, classes."""

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite.tasks.arrays import from_arrays

X = [[0, 1, 2], [2, 2, 1]]


def test_numbers_are_labels_unless_others_are_given():
    data = from_arrays(X)
    assert (data.length, data.vocab, data.labels, data.pad_id) == (3, 3, ["0", "1", "2"], None) and data.spec() == {}
    assert from_arrays(torch.tensor(X), labels=["C4", "D4", "REST"]).decode([0, 2, 3]) == "C4 REST [MASK]"
    assert from_arrays(np.array(X, np.uint8), labels=list("ACGT")).decode([0, 1, 2]) == "ACG"
    assert repr(data) == "ArrayData(2 sequences of 3 tokens, vocabulary 3)"


def test_draws_repeat_and_parts_do_not_overlap():
    data = from_arrays(np.arange(40).reshape(20, 2))
    assert torch.equal(data.sample(9, 4), data.sample(9, torch.Generator().manual_seed(4)))
    rest, held = data.split(0.25, seed=1)
    assert len(held) == 5 and sorted([*rest.rows[:, 0].tolist(), *held.rows[:, 0].tolist()]) == list(range(0, 40, 2))


def test_padding_gives_lengths():
    data = from_arrays([[1, 2, 0], [1, 0, 0]], pad_id=0)
    assert data.spec() == {"lengths": [0.0, 0.5, 0.5, 0.0]}
    model = ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1)
    assert (model.sample(4, token_steps=1, length=2).tokens[:, 2] == 0).all()
    with pytest.raises(ValueError, match="length must be an integer in .1, 3., got 4"):
        model.sample(1, length=4)


def test_pictures_and_classes_go_into_a_model(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (30, 2, 3))
    data = from_arrays(x, classes=np.arange(30) % 3, names=["0", "1", "2"])
    assert data.shape == (2, 3) and data.labels == ["0", "1", "class 0", "class 1", "class 2"]
    model = ld.LatentDiffusion.preset("di-seq", data, width=16, blocks=1, encoder_blocks=1, codes=4)
    model.save(tmp_path / "m")
    again = ld.load(tmp_path / "m")
    for label in ("2", 2):
        trace = again.sample(3, token_steps=1, label=label)
        assert (trace.tokens[:, 0] == 4).all() and (trace.reveal_step[:, 0] == 0).all()
    assert trace.meta == {"shape": [2, 3], "first": 1, "levels": 2}
    for bad in ("3", 3, -1, True, 1.0):
        with pytest.raises(ValueError, match="label must be one of 0 1 2"):
            again.sample(1, label=bad)
    with pytest.raises(ValueError, match="data have no classes"):
        ld.LatentDiffusion.preset("mdlm", from_arrays(X), width=16).sample(1, label=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(ids=[[0, 1], [0]]), "rows of equal length"),
        (dict(ids=[[0.0, 1.0]]), "ids must hold integers, got float64"),
        (dict(ids=[0, 1]), "ids must have shape"),
        (dict(ids=np.zeros((0, 4), int)), "ids must have shape"),
        (dict(ids=[[-1, 1]]), "ids must lie in 0..1"),
        (dict(ids=X, labels=["a", "b"]), "ids must lie in 0..1, one for each of the 2 labels, got 0..2"),
        (dict(ids=X, labels=[0, 1, 2]), r"labels\[0\] must be a text"),
        (dict(ids=X, shape=(2, 2)), "shape must be"),
        (dict(ids=X, pad_id=7), "pad_id must be an integer in"),
        (dict(ids=[[0, 1, 0]], pad_id=0), "padding .id 0. must stand at the end"),
        (dict(ids=X, classes=[0]), "classes must hold an integer"),
        (dict(ids=X, classes=[0, 2], names=["a", "b"]), "names must hold 3 words"),
        (dict(ids=X, names=["a"]), "names are those of classes"),
    ],
)
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(**given)

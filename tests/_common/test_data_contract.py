"""Data of one's own are checked where they come in, and what is wrong is named."""

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite._common import data_contract
from lddm_lite._common.data_contract import length_shares


class Pairs:
    """Two equal halves of two tokens out of three."""

    length, vocab, labels = 4, 3, ["a", "b", "c"]

    def __init__(self, **changes):
        vars(self).update(changes)

    def spec(self):
        return {}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return torch.randint(3, (n, 2), generator=g).repeat(1, 2)


def rows(*lines):
    return lambda n, seed=0: torch.tensor(lines).repeat(n, 1)[:n]


BAD = [
    (dict(labels=["a", "b"]), "data.labels must hold vocab=3 words, one for each id, got 2"),
    (dict(labels=["a", "b", 3]), "data.labels must be texts, got 3"),
    (dict(labels="abc"), "data.labels must be a list of words, got str"),
    (dict(length=0), "data.length must be an integer >= 1, got 0"),
    (dict(vocab=1.5), "data.vocab must be an integer >= 2"),
    (dict(pad_id=3), "data.pad_id must be an integer in .0, 2., got 3"),
    (dict(spec=lambda: {"a": {1}}), "spec.. must give what JSON can hold"),
    (dict(spec=lambda: []), "spec.. must give a dictionary"),
    (dict(spec={}), "data.spec must be a method"),
    (dict(pad_id=0, spec=lambda: {"lengths": [1.0]}), "the share of sequences of each length 0..4"),
    (dict(shape=(3, 3)), "data.shape must be .rows, columns. of at most 4 tokens"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_a_data_object_must_have(changes, message):
    with pytest.raises(ValueError, match=message):
        ld.LatentDiffusion.preset("mdlm", Pairs(**changes), width=16)


@pytest.mark.parametrize(
    ("data", "message"), [(Pairs, "must be a task or a text"), (5, "got 5"), (None, "got None")]
)
def test_what_is_none(data, message):
    with pytest.raises(ValueError, match=message):
        ld.LatentDiffusion.preset("mdlm", data, width=16)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (lambda n, seed=0: torch.zeros(n, 3, dtype=torch.long), "must have length 4, got 3"),
        (lambda n, seed=0: torch.zeros(n, 4), "must hold integer token ids"),
        (lambda n, seed=0: torch.zeros(1, 4, dtype=torch.long), "must give 101 sequences, got 1"),
        (lambda n, seed=0: torch.full((n, 4), 3), "holds ids 3..3; allowed are 0..2"),
        (lambda n, seed=0: None, r"data.sample\(101, seed\)"),
        (
            lambda n, seed=0: np.random.default_rng(seed).integers(0, 3, (n, 4)),
            "seed is an integer or a torch.Generator",
        ),
        (lambda n: torch.zeros(n, 4, dtype=torch.long), "failed with TypeError"),
    ],
)
def test_rows_are_looked_at_when_they_are_drawn(sample, message):
    model = ld.LatentDiffusion.preset("mdlm", Pairs(), width=16, blocks=1)
    with pytest.raises(ValueError, match=message):
        ld.fit(model, Pairs(sample=sample), steps=1, progress=False)


def test_padding_is_at_the_end_and_lengths_are_found():
    padded = Pairs(pad_id=0, sample=rows([1, 2, 0, 0], [1, 1, 2, 0]))
    model = ld.LatentDiffusion.preset("mdlm", padded, width=16, blocks=1)
    assert model.data["lengths"] == [0.0, 0.0, 0.5, 0.5, 0.0]
    assert set((model.sample(64, token_steps=1).tokens != 0).sum(1)) == {2, 3}
    with pytest.raises(ValueError, match="padding .id 0. must stand at the end alone; row 0 is .1, 0, 2, 0."):
        data_contract.draw(Pairs(pad_id=0, sample=rows([1, 0, 2, 0])), 2, 0)


@pytest.mark.parametrize("system", ld.config.SYSTEMS if hasattr(ld, "config") else ["mdlm", "co-seq", "di-joint"])
def test_all_that_models_do_takes_them(system):
    data = Pairs()
    model = ld.LatentDiffusion.preset(system, data, width=16, heads=2, blocks=1, encoder_blocks=1, codes=4)
    history = ld.fit(model, data, steps=3, batch=8, progress=False, held_out=data, validate_every=2)
    assert history.column("held_out")[0] > 0 and model.nelbo(data.sample(8)).total.value > 0
    assert model.infill("a_[MASK]c").texts()[0][0] == "a"
    report = ld.compare({system: model}, data, (2,), n=8, health=True)
    assert {"entropy", "distinct_1"} <= set(report["rows"][0]) and report["real"]["entropy"] > 0
    row = ld.evaluation.frontier(model, data, (2,), n=8)[0]
    assert {"entropy", "bound"} <= set(row)


def test_lengths_are_counted_up_to_the_longest_that_there_may_be():
    rows = torch.tensor([[7, 7, 7, 7], [1, 7, 7, 7], [1, 2, 7, 7], [1, 2, 7, 7]])
    assert length_shares(rows, pad_id=7) == [0.25, 0.25, 0.5, 0.0, 0.0]

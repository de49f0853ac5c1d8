"""The library's data, channels and models have all that the protocols ask of them."""

from typing import Generic, Protocol

import pytest
import torch

from lddm_lite import GaussianChannel, LatentDiffusion, MaskedChannel, tasks
from lddm_lite._common import protocols
from lddm_lite._common.protocols import has_rows, has_scores
from lddm_lite.text import build_token_store, dataset

LINES = ["the bank rose .", "rain fell ."]
MAKE = {
    "task": lambda _: tasks.Binsaw(length=8),
    "mixture": lambda _: tasks.MixtureOfProducts(length=8),
    "newswire": lambda _: tasks.ToyNewswire(topics=["floods"]),
    "corpus": lambda _: tasks.Corpus(tasks.Binsaw(length=8), 5),
    "text": lambda _: dataset.from_lines(LINES, length=8),
    "store": lambda cache: build_token_store.build(LINES, length=8, cache=cache, progress=False),
    "masked channel": lambda _: MaskedChannel(2),
    "Gaussian channel": lambda _: GaussianChannel(),
    "model": lambda _: LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8), width=16),
}


def asked(protocol) -> set[str]:
    """The public names that a protocol asks for, those of the protocols above it too."""
    own = [c for c in protocol.__mro__ if c not in (Protocol, Generic, object)]
    return {name for c in own for name in {**vars(c), **vars(c).get("__annotations__", {})} if not name.startswith("_")}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("task", "Data Task"),
        ("mixture", "Data Task"),
        ("newswire", "Data Task"),
        ("corpus", "Data Corpus"),
        ("text", "Data Corpus Text"),
        ("store", "Data Corpus Text"),
        ("masked channel", "Channel MaskedNoise"),
        ("Gaussian channel", "Channel"),
        ("model", "Model"),
    ],
)
def test_nothing_is_missing(name, kinds, tmp_path):
    made = MAKE[name](tmp_path)
    for kind in kinds.split():
        names = asked(getattr(protocols, kind))
        assert names and {n for n in names if not hasattr(made, n)} == set(), kind


@pytest.mark.parametrize(
    ("name", "scores", "rows"),
    [
        ("task", True, False),
        ("newswire", True, False),
        ("corpus", False, True),
        ("text", False, True),
        ("store", False, True),
    ],
)
def test_who_is_scored_exactly_and_who_is_read(name, scores, rows, tmp_path):
    data = MAKE[name](tmp_path)
    assert (has_scores(data), has_rows(data)) == (scores, rows)


def test_what_is_missing_is_found():
    assert "score" in asked(protocols.Task) - set(dir(dataset.from_lines(LINES, length=8)))
    assert {"length", "rows", "decode"} <= asked(protocols.Text)


def test_what_a_part_says_of_itself_and_a_part_of_ones_own_need_not():
    own, task = torch.nn.Linear(1, 1), tasks.Binsaw(length=4)
    exact = LatentDiffusion.exact(task, "shift")
    usual = LatentDiffusion.preset("co-seq", task, width=16)
    assert [protocols.is_exact(part) for part in (own, usual.denoiser, exact.denoiser)] == [False, False, True]
    assert [protocols.is_stochastic(part) for part in (None, own, usual.encoder, exact.encoder)] == [False] * 3 + [True]
    own.frozen = True
    assert [protocols.is_frozen(part) for part in (None, usual.encoder, own)] == [False, False, True]

"""A corpus: finitely many sequences of a task."""

import numpy as np
import torch

from lddm_lite import tasks
from tests.support.statistics import agree


def test_a_corpus_keeps_its_sequences_and_draws_each_alike_often(saw):
    corpus = tasks.Corpus(saw, 20, seed=3)
    assert torch.equal(corpus.rows, saw.sample(20, 3)) and len(corpus) == 20
    position = {tuple(row): i for i, row in reversed(list(enumerate(corpus.rows.tolist())))}
    distinct = sorted(set(position.values()))
    times = [sum(position[tuple(row)] == i for row in corpus.rows.tolist()) for i in distinct]
    drawn = [position[tuple(row)] for row in corpus.sample(4000, 1).tolist()]
    agree(np.bincount(drawn, minlength=20)[distinct], torch.tensor(times) / 20)
    assert torch.equal(corpus.sample(5, 2), corpus.sample(5, torch.Generator().manual_seed(2)))
    assert not torch.equal(corpus.sample(5, 2), corpus.sample(5, 3))
    assert corpus.spec() == saw.spec(), "a model made for it belongs to the task"
    assert repr(corpus) == f"20 sequences of {saw!r}"

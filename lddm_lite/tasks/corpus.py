"""Fixed sequences of a task, for what wants a corpus rather than a law: a frozen encoder reads each
of them once."""

from __future__ import annotations

import torch

from .._common import arguments, randomness, schemas
from .mixture import MixtureTask

__all__ = ["Corpus"]


class Corpus:
    """`n` sequences drawn once from `task` with `seed`, with the interface of a text: `rows`
    [n, L], from which `sample` draws with replacement. A model made for it belongs to the task:
    `spec` is the task's. Raises ValueError for n < 1.

    >>> from lddm_lite import tasks
    >>> corpus = tasks.Corpus(tasks.ToyNewswire(), 100)
    >>> len(corpus), corpus.sample(3).shape, corpus.spec() == corpus.task.spec()
    (100, torch.Size([3, 16]), True)
    """

    @schemas.checked(
        "seed", task=schemas.has("a task", "sample", "length", "vocab", "labels", "spec"), n=schemas.whole(1),
    )  # fmt: skip
    def __init__(self, task: MixtureTask, n: int, seed: int | torch.Generator = 0):
        self.task, self.rows = task, task.sample(n, seed)
        self.length, self.vocab, self.labels, self.spec = task.length, task.vocab, task.labels, task.spec

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{len(self):,} sequences of {self.task!r}"

    @schemas.checked("seed")
    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """n rows drawn with replacement: [n, L], int64."""
        arguments.within("tokens", arguments.integer("n", n, minimum=1) * self.length, "n * length")
        return self.rows[torch.randint(len(self), (n,), generator=randomness.generator(seed))]

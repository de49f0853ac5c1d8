"""Random sentences, and an encoder of text that needs no weights."""

import math

import torch

from lddm_lite.networks.sentence_latents import SentenceLatents
from tests.support import tiny_models

TEXTS = tiny_models.sentences(60, longest=12)


class Letters:
    """A text encoder without weights: a token is a word, its state depends on the word alone."""

    fingerprint = "ab" * 32
    calls = 0

    def __call__(self, sentences):
        Letters.calls += len(sentences)
        rows = [[[math.sin(k * sum(map(ord, w))) for k in range(1, 7)] for w in s.split()] for s in sentences]
        # padding must not be read
        states = torch.full((len(rows), max(map(len, rows)), 6), float("nan"))
        for state, row in zip(states, rows, strict=True):
            state[: len(row)] = torch.tensor(row)
        return states, torch.tensor([len(row) for row in rows])


def fitted(slots=2, dim=3, **options):
    """Latents of `Letters`, with the statistics of `TEXTS`."""
    return SentenceLatents(Letters(), slots, dim, **options).fit_statistics(TEXTS, progress=False)

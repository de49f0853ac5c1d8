"""Metrics of generated text: Gen PPL never without token entropy, distinct n-grams, repetition.

Entropy and distinct-n grow with the amount of text, so a reference is cut to as many texts as there
are samples.
"""

from __future__ import annotations

import math

import torch

from .._common import arguments, schemas
from .._common.estimate import Estimate
from .._common.protocols import Judge
from .metrics import unigram_entropy

__all__ = ["copied", "distinct_n", "generation_report", "repetition"]


_TOKEN = schemas.one_of(schemas.whole(), schemas.text())
TEXTS = schemas.items(schemas.one_of(schemas.items(_TOKEN), schemas.text()))


def _ngrams(row, n: int) -> list[tuple]:
    row = list(row.split() if isinstance(row, str) else row)
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


@schemas.checked(texts=TEXTS)
def distinct_n(texts, n: int) -> float:
    """Distinct-n: different n-grams over all n-grams, all texts together (Li et al. 2016, arXiv
    1510.03055); nan if there are none.

    `texts`: strings, whose words are taken, or lists of tokens. n-grams do not reach from one text
    into the next.

    >>> distinct_n(["the bank of the river", "the bank"], 2)
    0.8
    """
    arguments.integer("n", n, minimum=1)
    found = [gram for row in texts for gram in _ngrams(row, n)]
    return len(set(found)) / len(found) if found else math.nan


@schemas.checked(texts=TEXTS, sources=TEXTS)
def copied(texts, sources, n: int) -> float:
    """Overlap with a source: share of the n-grams of each text that are in the source of the same
    number, pooled over texts; nan if there are none. ValueError unless there are as many sources.

    `texts`, `sources`: strings, whose words are taken, or lists of tokens.

    >>> copied(["the bank of the river", "rain fell"], ["the bank of england", "rain fell ."], 2)
    0.6
    """
    arguments.integer("n", n, minimum=1)
    texts, sources = list(texts), list(sources)
    if len(texts) != len(sources):
        raise ValueError(f"sources must be as many as texts, {len(texts)}; got {len(sources)}")
    known = [set(_ngrams(row, n)) for row in sources]
    found = [gram in there for row, there in zip(texts, known, strict=True) for gram in _ngrams(row, n)]
    return sum(found) / len(found) if found else math.nan


@schemas.checked(texts=TEXTS)
def repetition(texts, n: int = 2) -> float:
    """Repetition, seq-rep-n: share of n-grams that occurred before in the same text (Welleck et al.
    2020, arXiv 1908.04319), pooled over texts; nan if there are none.

    >>> repetition(["rain rain rain", "the bank"], 1)
    0.4
    """
    arguments.integer("n", n, minimum=1)
    rows = [_ngrams(row, n) for row in texts]
    total = sum(map(len, rows))
    return 1 - sum(len(set(row)) for row in rows) / total if total else math.nan


def _entropy(tokens: list) -> float:
    """`metrics.unigram_entropy` of tokens of any kind."""
    ids: dict = {}
    x = torch.tensor([ids.setdefault(t, len(ids)) for t in tokens], dtype=torch.long)
    return unigram_entropy(x, max(1, len(ids)))


def scores_of(rows: list[list], texts: list[str], judge: Judge | None = None, progress: bool = False) -> dict:
    """The scores of `generation_report`, without a reference, of texts whose tokens are `rows`."""
    written = [row for row in rows if row]
    spoken = [t for t in texts if t.strip()]
    out = {
        "texts": len(texts),
        "empty": len(texts) - len(spoken),
        "tokens": sum(map(len, rows)),
        "length": Estimate.of(torch.tensor([float(len(row)) for row in rows])),
        "entropy": _entropy([t for row in rows for t in row]),
        "entropy_text": sum(map(_entropy, written)) / len(written) if written else math.nan,
        "distinct_1": distinct_n(rows, 1),
        "distinct_2": distinct_n(rows, 2),
        "repetition": repetition(rows, 2),
    }
    if judge is not None:
        found = judge.perplexity(spoken, progress=progress) if spoken else None
        out["gen_ppl"] = found.value if found else Estimate(math.nan, math.nan)
        out["judge"] = judge.name
    return out


def _tokens(tokenise, texts: list[str]) -> list[list]:
    """The tokens of each text. ValueError where the function gives something else."""
    try:
        rows = [list(tokenise(t)) for t in texts]
        for row in rows:
            set(row)
        return rows
    except (TypeError, AttributeError) as e:
        raise ValueError(f"tokenise must take a text to a list of tokens; it failed: {e}") from e


@schemas.checked(
    "progress", judge=schemas.maybe(schemas.has("a Judge", "perplexity", "name")), tokenise=schemas.function,
)  # fmt: skip
def generation_report(
    texts, judge: Judge | None = None, reference=None, tokenise=str.split, progress: bool = True
) -> dict:
    """Metrics of generated texts, JSON-able by `tables.as_json`.

    - `texts`: at least one; they may be empty.
    - `judge`: a `judge.Judge`, or anything with `name` and `perplexity`; None for no Gen PPL.
    - `reference`: real texts, of which the first are taken, as many as there are `texts`; None for
      no comparison. ValueError where there are fewer.
    - `tokenise`: text -> tokens; words by default.
    - `progress`: show the judge's bar.

    The report has

    - `texts`, `empty` ones among them (left to no judge), `tokens`, `length`: mean tokens per text
      ± s.e.;
    - `entropy`: of the token frequencies in all texts together, nats; `entropy_text`: mean of each
      text's own, nats;
    - `distinct_1`, `distinct_2` (`distinct_n`), `repetition` of pairs;
    - with a `judge`: `gen_ppl` ± s.e., and its name;
    - with a `reference`: `reference`, the same of it. Samples that have a lower Gen PPL than others
      at a lower entropy than the reference's are duller, not better.

    >>> report = generation_report(["the bank opened .", "the bank fell ."], None, ["rain fell .", "the sun rose ."])
    >>> round(report["entropy"], 3), round(report["reference"]["entropy"], 3)
    (1.56, 1.748)
    """
    texts = arguments.texts("texts", texts, blank=True)
    out = scores_of(_tokens(tokenise, texts), texts, judge, progress)
    if reference is not None:
        reference = arguments.texts("reference", reference, blank=True)
        if len(reference) < len(texts):
            raise ValueError(f"reference must hold as many texts as there are, {len(texts)}; got {len(reference)}")
        real = reference[: len(texts)]
        out["reference"] = scores_of(_tokens(tokenise, real), real, judge, progress)
    return out

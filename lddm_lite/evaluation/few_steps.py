"""Quality of samples against the number of steps, beside the exact limit.

NFE, the number of network calls, is the price to compare at. On the joint path a call moves both
channels: with equal numbers of steps, as by default, NFE = token steps. On the sequential path NFE
= token steps + latent steps.
"""

from __future__ import annotations

import time

import torch

from .._common import arguments
from .._common.protocols import Data, Model, Task, has_scores
from ..diffusion.paths import Curve, Path
from .metrics import unigram_entropy

__all__ = ["exact_limit", "frontier", "score_samples", "timed_sample"]

TOKEN_STEPS = (1, 2, 4, 8, 16, 32, 64, 128)


def score_samples(data: Data, x, seed: int = 0) -> dict[str, float]:
    """What is said of samples x [n, L]. A task's own exact scores (`task.score`); for text, which
    has none, `entropy`, the unigram entropy of the tokens in nats, and `entropy_data`, that of as
    many true sentences.

    >>> from lddm_lite.tasks import Binsaw
    >>> task = Binsaw(length=8)
    >>> sorted(score_samples(task, task.sample(64)))[:2]
    ['coherent', 'coherent_fresh']
    """
    if has_scores(data):
        return data.score(torch.as_tensor(x), seed=seed + 1)
    pad, true = getattr(data, "pad_id", None), data.sample(len(x), seed)
    names = {"entropy": torch.as_tensor(x).long(), "entropy_data": true}
    return {name: unigram_entropy(v, data.vocab, pad) for name, v in names.items()}


def frontier(
    model: Model,
    task: Data,
    token_steps=TOKEN_STEPS,
    latent_steps: int | None = None,
    path: Path | Curve | None = None,
    n: int = 2048,
    seed: int = 0,
    progress: bool = False,
    **options,
) -> list[dict]:
    """Sample `n` sequences at each number of token steps and score them: one row {system, lead, token_steps,
    latent_steps, nfe, **scores, seconds} per number, for `as_text` and `plots.frontier`.

    `task`: a task, or (held-out) text; then the bound of the sampler with these very steps (M12)
    comes along, on n of its sentences: `bound` ± `bound_se` in nats per token, given the length.
    `latent_steps`: None for the model's usual number (`model.knots`). `path`: None for the model's
    own. `options` of `model.sample`. Numbers above the length of the sequences are dropped, for
    then a step reveals less than one token. ValueError when none is left.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> [row["nfe"] for row in frontier(LatentDiffusion.exact(task), task, (1, 2, 16), n=64)]
    [1, 2]
    """
    path = path or model.path
    counts = [arguments.integer("token_steps", k, minimum=1) for k in token_steps]
    counts = [k for k in counts if k <= task.length]
    if not counts:
        raise ValueError(f"token_steps must hold a number of at most length={task.length}, got {token_steps!r}")
    rows = []
    for k in _bar(counts, progress):
        row, trace, seconds = timed_sample(model, n, k, latent_steps, path, seed, **options)
        row |= score_samples(task, trace.tokens, seed)
        if not has_scores(task):
            held = task.sample(n, seed)
            bound = model.nelbo(held, path, token_steps=k, latent_steps=latent_steps, seed=seed)
            row["bound"] = bound.nats_per_token
            row["bound_se"] = bound.total.stderr * bound.nats_per_token / bound.total.value
        rows.append({**row, "seconds": seconds})
    return rows


def timed_sample(
    model: Model, n: int, token_steps: int, latent_steps: int | None, path: Path | Curve, seed: int, **options
):
    """(row, Trace, seconds) of n samples at one number of token steps: the row has system, lead, token_steps,
    latent_steps and nfe.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> timed_sample(LatentDiffusion.exact(tasks.Binsaw(length=8)), 4, 2, None, Path(), 0)[0]["nfe"]
    2
    """
    started = time.perf_counter()
    trace = model.sample(n, token_steps=token_steps, latent_steps=latent_steps, path=path, seed=seed, **options)
    seconds = round(time.perf_counter() - started, 3)
    # a segment, one network call, may move both channels: latent steps are counted apart
    moved = sum(b[1] < a[1] for a, b in zip(trace.knots, trace.knots[1:], strict=False))
    row = {"system": model.name, "lead": path.lead, "token_steps": token_steps, "latent_steps": moved}
    return row | {"nfe": trace.nfe}, trace, seconds


def exact_limit(
    task: Task,
    token_steps=TOKEN_STEPS,
    n: int = 2048,
    seed: int = 0,
    progress: bool = False,
    order: str = "ancestral",
) -> list[dict]:
    """The same rows for the Bayes-optimal masked diffusion without latents, in even steps and in
    this `order` of revealing: the limit of such samplers, not of all masked diffusion (METHOD 8).

    >>> from lddm_lite.tasks import Binsaw
    >>> rows = exact_limit(Binsaw(length=16), (1, 16), n=512)
    >>> rows[0]["excess"] > rows[1]["excess"]
    True
    """
    from ..model import LatentDiffusion

    return frontier(LatentDiffusion.exact(task), task, token_steps, n=n, seed=seed, progress=progress, order=order)


def _bar(counts: list[int], show: bool):
    """tqdm: a widget in Jupyter, text in a terminal."""
    if not show:
        return counts
    from tqdm.auto import tqdm

    return tqdm(counts, desc="token steps", unit="count", leave=False, dynamic_ncols=True)

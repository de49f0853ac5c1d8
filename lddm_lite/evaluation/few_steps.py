"""Quality of samples against the number of steps, beside that of exact predictions without latents.

NFE, the number of network calls, is the price to compare at. On the joint path a call moves both
channels: with equal numbers of steps, as by default, NFE = token steps. On the sequential path NFE
= token steps + latent steps.
"""

from __future__ import annotations

import math
import time

import torch

from .._common import arguments
from .._common.progress import bar
from .._common.protocols import Data, Model, Task, has_scores
from ..diffusion.best_schedule import best_counts
from ..diffusion.paths import Curve, Path, Schedule
from ..networks.cost import forward_flops
from ..text.molecules import Molecules
from .measure_divergences import divergences
from .measure_visible_costs import visible_costs
from .metrics import unigram_entropy
from .molecule_scores import molecule_scores
from .search_schedule import best_schedule, costs_for

__all__ = ["checked_schedule", "exact_limit", "frontier", "score_samples", "timed_sample"]

TOKEN_STEPS = (1, 2, 4, 8, 16, 32, 64, 128)
BAR: dict = {"desc": "token steps", "unit": "count", "leave": False}
COSTS = 1024  # sequences on which the cost of a token given k others is measured
DRAWN = 1024  # latents at least, where the law of one token step is that of drawn ones


def score_samples(data: Data, x, seed: int = 0) -> dict[str, float]:
    """Scores of samples x [n, L]. A task's own exact scores (`task.score`); for text, which
    has none, `entropy`, the unigram entropy of the tokens in nats, and `entropy_data`, that of as
    many true sentences; for molecules besides how many are valid (`molecule_scores`).

    >>> from lddm_lite.tasks import Binsaw
    >>> task = Binsaw(length=8)
    >>> sorted(score_samples(task, task.sample(64)))[:2]
    ['coherent', 'coherent_fresh']
    """
    if has_scores(data):
        return data.score(torch.as_tensor(x), seed=seed + 1)
    pad, true = getattr(data, "pad_id", None), data.sample(len(x), seed)
    names = {"entropy": torch.as_tensor(x).long(), "entropy_data": true}
    found = {name: unigram_entropy(v, data.vocab, pad) for name, v in names.items()}
    return found | (molecule_scores([data.decode(row) for row in x]) if isinstance(data, Molecules) else {})


def frontier(
    model: Model,
    task: Data,
    token_steps=TOKEN_STEPS,
    latent_steps: int | None = None,
    path: Path | Curve | Schedule | None = None,
    n: int = 2048,
    seed: int = 0,
    progress: bool = False,
    schedule: str = "even",
    **options,
) -> list[dict]:
    """Speed-quality frontier: `n` samples at each number of token steps, and their scores: one row
    {system, lead, token_steps, latent_steps, nfe, **scores, seconds} per number, for `as_text` and
    `plots.frontier`.

    - `task`: a task; beside its scores stand the `divergences` of the sampler's law from it. Or
      (held-out) text; then the bound of the sampler with these very steps (M12)
      comes along, on n of its sentences: `bound` ± `bound_se` in nats per token, given the length;
    - `token_steps`: those above the length of the sequences are dropped, for then a step reveals
      less than one token; ValueError when none is left;
    - `latent_steps`: None for the model's usual number (`model.knots`);
    - `path`: None for the model's own;
    - `n`, `seed`: how many samples, and their seed;
    - `progress`: show a bar;
    - `schedule`: "best" takes `token_steps` for numbers of network calls in all, and for each the
      best schedule of the model (`best_schedule`), without `latent_steps` and `path`;
    - `options`: of `model.sample`.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> [row["nfe"] for row in frontier(LatentDiffusion.exact(task), task, (1, 2, 16), n=64)]
    [1, 2]
    """
    checked_schedule(schedule, latent_steps=latent_steps, path=path)
    if schedule == "best":
        options.setdefault("order", "even")
        costs = costs_for(model, task, seed)
        rows = []
        for k in bar(_counts(task, token_steps), show=progress, **BAR):
            best = best_schedule(model, task, k, costs, seed=seed + 1)
            rows.append({**_scored(model, task, n, None, None, best, seed, **options), "schedule": "best"})
        return rows
    path = path or model.path
    counts = bar(_counts(task, token_steps), progress, **BAR)
    return [_scored(model, task, n, k, latent_steps, path, seed, **options) for k in counts]


def timed_sample(
    model: Model,
    n: int,
    token_steps: int | None,
    latent_steps: int | None,
    path: Path | Curve | Schedule,
    seed: int,
    **options,
):
    """Samples with their time: (row, Trace, seconds) of n samples at one number of token steps, all
    arguments as in `model.sample`; the row has system, lead, token_steps, latent_steps, nfe as the
    field counts it, `calls` that are no constants (`Trace.calls`), and their operations for one
    sequence in millions, `mflop`, where the network is the library's.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> timed_sample(LatentDiffusion.exact(tasks.Binsaw(length=8)), 4, 2, None, Path(), 0)[0]["nfe"]
    2
    """
    started = time.perf_counter()
    trace = model.sample(n, token_steps=token_steps, latent_steps=latent_steps, path=path, seed=seed, **options)
    seconds = round(time.perf_counter() - started, 3)
    # a segment, one network call, may move both channels: each is counted apart
    steps, moved = (sum(b[i] < a[i] for a, b in zip(trace.knots, trace.knots[1:], strict=False)) for i in (0, 1))
    row = {"system": model.name, "lead": path.lead, "token_steps": steps, "latent_steps": moved}
    flops = sum(forward_flops(model.denoiser, b[0] < 1) for b in trace.knots[1 + trace.nfe - trace.calls :])
    row |= {"nfe": trace.nfe, "calls": trace.calls}
    return row | ({} if math.isnan(flops) else {"mflop": flops / 1e6}), trace, seconds


def exact_limit(
    task: Task,
    token_steps=TOKEN_STEPS,
    n: int = 2048,
    seed: int = 0,
    progress: bool = False,
    order: str | None = None,
    schedule: str = "even",
) -> list[dict]:
    """Exact limit of masked diffusion in these steps, under this schedule and order: the rows of
    `frontier` for the Bayes-optimal predictor without latents (METHOD 8).

    - `schedule`: "even", steps of equal length; or "best", those with the smallest bound in finite
      steps (`diffusion.best_counts`), which is a limit for all samplers that reveal counts fixed
      beforehand, at random places. Rows then also have `counts`, the tokens visible before each
      step.
    - `order`: None takes `ancestral` for even steps and `even`, equal counts, for the best ones.

    >>> from lddm_lite.tasks import Binsaw
    >>> even, best = (exact_limit(Binsaw(length=16), (2,), n=512, schedule=s)[0] for s in ("even", "best"))
    >>> best["counts"][0], even["excess"] > best["excess"]
    (0, True)
    """
    from ..model import LatentDiffusion

    model = LatentDiffusion.exact(task)
    checked_schedule(schedule)
    if schedule == "even":
        return frontier(model, task, token_steps, n=n, seed=seed, progress=progress, order=order or "ancestral")
    costs = visible_costs(model, task.sample(COSTS, seed + 1), seed).mean
    rows = []
    for k in bar(_counts(task, token_steps), progress, **BAR):
        counts = best_counts(costs, k)
        path = Schedule.of_counts(counts, task.length)
        row = _scored(model, task, n, k, None, path, seed, order=order or "even")
        rows.append({**row, "counts": counts, "schedule": "best"})
    return rows


def checked_schedule(schedule: str, **given) -> None:
    """ValueError unless `schedule` is "even" or "best", and for "best" unless nothing that decides
    about the steps is `given`."""
    if schedule not in ("even", "best"):
        raise ValueError(f"schedule must be even or best, got {schedule!r}")
    for name, value in given.items():
        if schedule == "best" and value is not None:
            raise ValueError(f"{name} must be left out with schedule='best', which decides about it; got {value!r}")


def _counts(task: Data, token_steps) -> list[int]:
    counts = [arguments.integer("token_steps", k, minimum=1) for k in token_steps]
    counts = [k for k in counts if k <= task.length]
    if not counts:
        raise ValueError(f"token_steps must hold a number of at most length={task.length}, got {token_steps!r}")
    return counts


def _scored(model: Model, task: Data, n: int, token_steps: int | None, latent_steps, path, seed, **options) -> dict:
    """One row of `frontier`."""
    row, trace, seconds = timed_sample(model, n, token_steps, latent_steps, path, seed, **options)
    row |= score_samples(task, trace.tokens, seed)
    if has_scores(task):
        how = {**options, "n": n, "seed": seed, "samples": trace.tokens, "drawn": max(n, DRAWN)}
        row |= divergences(model, task, token_steps, latent_steps, path, **how).row()
    else:
        held = task.sample(n, seed)
        order = "even" if options.get("order") == "even" else "ancestral"
        bound = model.nelbo(held, path, token_steps=token_steps, latent_steps=latent_steps, seed=seed, order=order)
        row["bound"], row["bound_se"] = bound.nats_per_token, bound.nats_per_token_se
    return {**row, "seconds": seconds}

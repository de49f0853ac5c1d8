"""Quality of samples against the number of steps, beside that of exact predictions without latents.

NFE, the number of network calls, is the price to compare at. On the joint path a call moves both
channels: with equal numbers of steps, as by default, NFE = token steps. On the sequential path NFE
= token steps + latent steps.
"""

from __future__ import annotations

import functools
import math
import time

import torch

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.progress import bar
from .._common.protocols import Data, Model, Task, has_scores, pad_id
from ..diffusion.paths import Curve, Path, Schedule
from ..networks.denoiser import forward_flops
from ..text.molecules import Molecules
from .measure_divergences import divergences
from .metrics import unigram_entropy
from .molecule_scores import molecule_scores
from .search_schedule import best_schedule, costs_for

__all__ = ["checked_schedule", "exact_limit", "frontier", "score_samples", "timed_sample"]

TOKEN_STEPS = (1, 2, 4, 8, 16, 32, 64, 128)
DRAWN = 1024  # latents at least, where the law of one token step is that of drawn ones


@schemas.checked("data", "seed")
def score_samples(data: Data, x, seed: int = 0) -> dict[str, float]:
    """Score samples x [n, L]. A task's own exact scores (`task.score`); for text, which
    has none, `entropy`, the unigram entropy of the tokens in nats, and `entropy_data`, that of as
    many true sentences; for molecules besides how many are valid (`molecule_scores`).

    >>> from lddm_lite.tasks import Binsaw
    >>> task = Binsaw(length=8)
    >>> sorted(score_samples(task, task.sample(64)))[:2]
    ['coherent', 'coherent_fresh']
    """
    if has_scores(data):
        return data.score(arguments.tensor("x", x), seed=seed + 1)
    x = schemas.ids("x", x)
    pad, true = pad_id(data), data.sample(len(x), seed)
    names = {"entropy": torch.as_tensor(x).long(), "entropy_data": true}
    found = {name: unigram_entropy(v, data.vocab, pad) for name, v in names.items()}
    return found | (molecule_scores([data.decode(row) for row in x]) if isinstance(data, Molecules) else {})


@schemas.checked(
    "model", "latent_steps", "path", "seed", "progress", task=schemas.data, token_steps=schemas.counts,
    n=schemas.whole(2, limit="samples"),
)  # fmt: skip
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

    - `model`: of the task's tokens and length;
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
      best schedule of the model (`best_schedule`), without `latent_steps` and `path`; rows of a model
      without latents then have `counts`, the tokens visible before each step;
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
        for k in _with_time(_counts(task, token_steps), 0, progress):
            best = best_schedule(model, task, k, costs, seed=seed + 1)
            row = {**_scored(model, task, n, None, None, best, seed, **options), "schedule": "best"}
            if model.latent_channel is None:
                row["counts"] = [round(task.length * (1 - knot.t_x)) for knot in best.knots()[:-1]]
            rows.append(row)
        return rows
    path = path or model.path
    counts = _with_time(_counts(task, token_steps), latent_steps or 0, progress)
    return [_scored(model, task, n, k, latent_steps, path, seed, **options) for k in counts]


def _with_time(counts: list[int], latent_steps: int, show: bool):
    """The counts one after the other under a bar, which goes by the steps to be walked: time does,
    and it doubles from row to row where the counts do."""
    total = sum(counts) + len(counts) * latent_steps
    with bar(total=total, show=show, desc="few steps", unit="steps", leave=False) as told:
        for k in counts:
            yield k
            told.update(k + latent_steps)


@schemas.checked(
    "model", "token_steps", "latent_steps", "seed", n=schemas.whole(1, limit="samples"), path=schemas.path,
    start=schemas.maybe(schemas.ids),
)  # fmt: skip
def timed_sample(
    model: Model,
    n: int,
    token_steps: int | None,
    latent_steps: int | None,
    path: Path | Curve | Schedule,
    seed: int,
    start: torch.Tensor | None = None,
    **options,
):
    """Samples with their time: (row, Trace, seconds); the row has system, lead, token_steps,
    latent_steps, nfe as the field counts it, `calls` that are no constants
    (`Trace.variable_calls`), and, where the network is the library's, their operations for one
    sequence in millions, `mflop`.

    - `model`, `n`: whose samples, and how many;
    - `token_steps`, `latent_steps`, `seed`, `options`: as for `model.sample`;
    - `path`: never None, for the row names its lead;
    - `start` [n, L]: ids, the mask where tokens are to be drawn; None for all of them.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> timed_sample(LatentDiffusion.exact(tasks.Binsaw(length=8)), 4, 2, None, Path(), 0)[0]["nfe"]
    2
    """
    started = time.perf_counter()
    draw = functools.partial(model.sample, n) if start is None else functools.partial(model.infill, start)
    trace = draw(token_steps=token_steps, latent_steps=latent_steps, path=path, seed=seed, **options)
    seconds = round(time.perf_counter() - started, 3)
    # a segment, one network call, may move both channels: each is counted apart
    steps, moved = (sum(b[i] < a[i] for a, b in zip(trace.knots, trace.knots[1:], strict=False)) for i in (0, 1))
    row = {"system": model.name, "lead": path.lead, "token_steps": steps, "latent_steps": moved}
    flops = sum(forward_flops(model.denoiser, b[0] < 1) for b in trace.knots[1 + trace.nfe - trace.variable_calls :])
    row |= {"nfe": trace.nfe, "calls": trace.variable_calls}
    return row | ({} if math.isnan(flops) else {"mflop": flops / 1e6}), trace, seconds


@schemas.checked(
    "task", "seed", "progress", token_steps=schemas.counts, n=schemas.whole(2, limit="samples"),
    order=schemas.maybe(schemas.choice("ancestral", "even")),
)  # fmt: skip
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

    - `task`: whose predictor it is, and what judges.
    - `token_steps`: numbers of steps, those above the length of the sequences dropped.
    - `n`, `seed`, `progress`: as for `frontier`.
    - `schedule`: "even", steps of equal length; or "best", those with the smallest bound in finite
      steps (`best_schedule`), which is a limit for all samplers that reveal counts fixed beforehand,
      at random places.
    - `order`: None takes `ancestral` for even steps and `even`, equal counts, for the best ones.

    >>> from lddm_lite.tasks import Binsaw
    >>> even, best = (exact_limit(Binsaw(length=16), (2,), n=512, schedule=s)[0] for s in ("even", "best"))
    >>> best["counts"][0], even["excess"] > best["excess"]
    (0, True)
    """
    from ..model import LatentDiffusion

    model = LatentDiffusion.exact(task)
    order = order or ("ancestral" if schedule == "even" else "even")
    return frontier(
        model, task, token_steps, n=n, seed=seed, progress=progress, schedule=schedule, order=order
    )  # fmt: skip


def checked_schedule(schedule: str, **given) -> None:
    """ValueError unless `schedule` is "even" or "best", and for "best" unless nothing that decides
    about the steps is `given`."""
    if schedule not in ("even", "best"):
        raise ValueError(f"schedule must be even or best, got {shown(schedule)}")
    for name, value in given.items():
        if schedule == "best" and value is not None:
            got = shown(value)
            raise ValueError(f"{name} must be left out with schedule='best', which decides about it; got {got}")


def _counts(task: Data, token_steps) -> list[int]:
    counts = [arguments.integer("token_steps", k, minimum=1) for k in token_steps]
    counts = [k for k in counts if k <= task.length]
    if not counts:
        raise ValueError(f"token_steps must hold a number of at most length={task.length}, got {shown(token_steps)}")
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

"""Comparison of systems at equal NFE, the same total number of network calls: one table, one JSON
file, one figure.

Gen PPL never stands without the token entropy beside it, and beside both stands what as many real
sentences have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any

import torch

from .._common import arguments, randomness, schemas
from .._common.arguments import shown
from .._common.data_contract import draw, read_text
from .._common.estimate import Estimate
from .._common.progress import bar as progress_bar
from .._common.protocols import Data, Judge, Model, Task, Text, has_rows, has_scores, pad_id, read_rows
from ..diffusion import nfe_budget
from ..diffusion.best_schedule import StepCosts
from ..diffusion.bound import each_term
from ..text.molecules import Molecules
from . import few_steps, tables
from .latents import batch_size, diagnose, latent_health
from .measure_divergences import divergences
from .molecule_scores import known_molecules, molecule_scores
from .search_schedule import best_schedule, costs_for
from .text_scores import copied, scores_of

__all__ = ["compare", "held_out", "over_seeds", "write"]

FORMAT, VERSION = "lddm-lite comparison", 1
BOUND, DRAWS = 1024, 4  # of the held-out bound: sequences, and noise draws of each
HEALTH = {"task": 1024, "text": 256, "judged": 64}  # sequences for the health of latents; judging takes longest


@schemas.checked(
    "data", "seed", "progress", judge=schemas.maybe(schemas.has("a Judge", "perplexity", "name")),
    latent_share=schemas.maybe(schemas.number(0.0, 1.0)), latent_steps=schemas.maybe(schemas.whole(1)),
    health=schemas.boolean, exact=schemas.boolean, bounds=schemas.boolean, save=schemas.maybe(schemas.function),
    schedule=schemas.choice("even", "best"), nfe=schemas.maybe(schemas.counts), n=schemas.whole(2, limit="samples"),
    latent_temperature=schemas.number(0.0, below=math.inf), real_latents=schemas.boolean,
    table=schemas.maybe(schemas.has("a Text", "sample", "labels")),
)  # fmt: skip
def compare(
    models: Mapping[str, Model],
    data: Task | Text,
    nfe=None,
    n: int = 256,
    judge: Judge | None = None,
    latent_share: float | None = None,
    latent_steps: int | None = None,
    order: str = "ancestral",
    temperature: float = 1.0,
    top_p: float | None = None,
    seed: int = 0,
    health: bool = True,
    exact: bool = True,
    bounds: bool = False,
    progress: bool = False,
    save=None,
    schedule: str = "even",
    latent_temperature: float = 1.0,
    real_latents: bool = False,
    table: Text | None = None,
) -> dict:
    """Compare models at equal NFE: sample from each at each total of network calls, and score.
    JSON-able.

    - `models`: {name: model}, all of the tokens and the length of the data.
    - `data`: a task, or held-out text (`TextData`, `TokenStore`) in the models' own tokens.
    - `nfe`: a total or several; None for powers of two up to 128, for tasks up to their length.
    - `n`: samples a row, at least 2.
    - `judge`: a `judge.Judge`, or None for no Gen PPL; not asked about tasks.
    - `latent_share`, `latent_steps`: how the calls are divided (`nfe_budget.split`); totals that
      `latent_steps` leaves no token step are `skipped`.
    - `order`, `temperature`, `top_p`: of `model.sample`.
    - `seed`: of samples, and of all that is measured.
    - `health`: False goes without a look at the latents.
    - `exact`: False goes without the exact predictor of a task.
    - `bounds`: `divergences` from a task also where only a bound on one is at hand; a row then
      takes about twice as long.
    - `progress`: show a bar.
    - `save`: called as save(report) after each row and each model; None for no calls.
    - `schedule`: "even", or "best", which gives each model the best schedule of all calls that it
      has (`best_schedule`; `order` is then `even` unless it is `confidence`), and the exact
      predictor in its best steps stands beside the one in even steps; totals that are more than
      there is to move are `skipped`. What is best is found for steps that reveal at random places,
      so that `confidence` may do better in even steps.
    - `latent_temperature`: of `model.sample`, for the models that have codes.
    - `real_latents`: True adds rows of what each model with latents does where it is given those of
      real sequences, at no call: what remains is what the law of the latents costs.
    - `table`: sequences of the training text; adds rows of each model with latents whose law is a
      table, the latents and the length of one of these, drawn at random. That counts as one call,
      for a model without latents has one, too, that is no work: its first. None for no such rows.

    The report: `rows`, one for each model and total, {model, system, lead, token_steps,
    latent_steps, nfe, seconds}, and for text `entropy` of the tokens in nats, `distinct_1`,
    `distinct_2`, `repetition`, `length`, `empty`, `gen_ppl` with `gen_ppl_se`, of molecules
    `valid`, `unique` and `novel` (`molecule_scores`); where an mdlm is among the models,
    `ppl_ratio` (with `_se`) to its Gen PPL at the same total, `entropy_diff` over it and
    `recovered` (with `_se`), the share of what `mdlm` loses between this total and the largest that
    the row has back (METHOD 9); with latents of sentences, `copied`, the share of their samples'
    runs of four tokens that are in these (`text_scores.copied`); for tasks their scores and the
    `divergences` from them. `real`: the same of as many held-out sentences, or the entropy of the
    task. `models`: {name: {system, parameters, bound, health}}; see `held_out`, `latents.diagnose`,
    `latent_health`.

    ValueError for no model, a model of other tokens than the data's, fewer real sentences than `n`,
    no row at all.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> found = compare({"co-seq": LatentDiffusion.preset("co-seq", task, width=16)}, task, (1, 4), n=16, health=False)
    >>> [(row["model"], row["token_steps"], row["latent_steps"]) for row in found["rows"]]
    [('co-seq', 1, 1), ('exact', 1, 0), ('co-seq', 2, 2), ('exact', 4, 0)]
    """
    totals = _totals(nfe, data)
    _check(models, data)
    if table is not None:
        if has_scores(data):
            raise ValueError("table: a task draws real sequences itself, so that real_latents=True is this; give None")
        _check(models, table, "the table")
        if has_rows(table) and len(table) < n:
            raise ValueError(f"n={n} needs as many sequences in table; it has {len(table)}")
    few_steps.checked_schedule(schedule, latent_share=latent_share, latent_steps=latent_steps)
    order = "even" if schedule == "best" and order == "ancestral" else order
    plans, skipped = _plans(models, totals, latent_share, latent_steps)
    held, real = _real(data, n, seed, judge)
    task = has_scores(data)
    options: dict[str, Any] = {
        "order": order, "temperature": temperature, "top_p": top_p, "latent_temperature": latent_temperature,
    }  # fmt: skip
    out: dict[str, Any] = {
        "format": FORMAT, "version": VERSION, "finished": False,
        "kind": "task" if task else "text", "data": repr(data), "n": n, "seed": seed, "nfe": totals,
        "judge": None if judge is None or task else judge.name,
        "options": {**options, "latent_share": latent_share, "latent_steps": latent_steps, "schedule": schedule},
        "models": {}, "real": real, "rows": [], "skipped": skipped,
    }  # fmt: skip
    given: list[tuple[str, Task | Text, int]] = [("real latents", data, 0)] if real_latents else []
    given += [] if table is None else [("table", table, 1)]  # whose latents, at how many calls
    save = save or (lambda report: None)
    limits = [k for k in totals if k <= data.length] if has_scores(data) and exact and "exact" not in models else []
    ahead = sum(total for _, _, total, _ in plans) + max(totals) * len(models) + sum(limits)  # about as time goes
    with progress_bar(total=ahead, show=progress, desc="compare", unit="network calls", leave=False) as bar:
        costs: dict[str, StepCosts] = {}
        for name, model, total, plan in plans:
            if schedule == "best":
                costs[name] = costs.get(name) or costs_for(model, data, seed)
                try:
                    plan = (None, None, best_schedule(model, data, total, costs[name], seed=seed + 1))
                except ValueError as e:  # more calls than there are tokens and latents to move
                    skipped.append({"model": name, "nfe": total, "why": str(e)})
                    continue
            out["rows"].append({"model": name, **_row(model, data, plan, n, seed, judge, bounds, options)})
            for kind, source, price in given if model.latent_channel is not None else ():
                if total > price:
                    x, rest = _sentences(source, n, seed), (total - price, None, model.path)
                    row = _row(model, data, rest, n, seed, judge, bounds, options, x)
                    out["rows"].append({"model": f"{name}, {kind}", **row, "nfe": total})
            save(_plain(out))
            bar.update(total)
        for name, model in models.items():
            out["models"][name] = _about(model, data, held[:BOUND], n, seed, judge, health)
            save(_plain(out))
            bar.update(max(totals))
        if has_scores(data):
            out["rows"] += _exact_rows(data, limits, n, seed, order, schedule)
    out["rows"].sort(key=lambda row: row["nfe"])  # a stable sort: models stay in their order
    _beside_mdlm(out["rows"])
    return _plain({**out, "finished": True})


def _row(
    model: Model,
    data: Task | Text,
    plan: tuple[Any, Any, Any],
    n: int,
    seed: int,
    judge: Judge | None,
    bounds: bool,
    options: dict,
    real: torch.Tensor | None = None,
) -> dict:
    """The row of one model at one total: `plan` is (token_steps, latent_steps, path), `real` [n, L]
    sequences whose latents it is given, or None."""
    if model.config.latent != "discrete":
        options = {**options, "latent_temperature": 1.0}
    options = {"batch": batch_size(model), **options}
    with_given: dict[str, Any] = {**options, **({} if real is None else _given(model, real))}
    row, trace, seconds = few_steps.timed_sample(model, n, *plan, seed, **with_given)
    if not has_scores(data):
        row |= _text_scores(data, trace.tokens, judge)
        return row | ({} if real is None else {"copied": _copied(data, trace.tokens, real)}) | {"seconds": seconds}
    scores = few_steps.score_samples(data, trace.tokens, seed)
    if real is None:  # else the law is not the sampler's own
        how = {"n": n, "seed": seed, "samples": trace.tokens, "drawn": max(n, few_steps.DRAWN), **options}
        how["bound"] = n if bounds else 0
        scores |= divergences(model, data, *plan, **how).row()
    return {**row, **scores, "seconds": seconds}


def _given(model: Model, x: torch.Tensor) -> dict:
    """What a sampler is given of real sequences x [n, L]: their latents and their lengths."""
    x = x.long().to(model.device)
    start = torch.where(model.valid(x), torch.full_like(x, model.token_channel.mask_id), x)
    return {"latents": model.encode(x), "start": start}


def _about(
    model: Model, data: Task | Text, held: torch.Tensor, n: int, seed: int, judge: Judge | None, health: bool
) -> dict:
    """What is said of one model: its size, its bound on `held` sequences, its latents."""
    size = sum(p.numel() for p in model.parameters())
    about = {"system": model.name, "parameters": size, "bound": held_out(model, held, seed)}
    if health and model.latent_channel is None:
        about["health"] = {}
    elif health and has_scores(data):
        about["health"] = diagnose(model, data, min(n, HEALTH["task"]), seed=seed).to_dict()
    elif health:
        few = min(n, HEALTH["text" if judge is None else "judged"], max(2, 4 * batch_size(model)))
        about["health"] = latent_health(model, data, (1, 4), few, judge, seed)
    return about


def _exact_rows(data: Task, totals: list[int], n: int, seed: int, order: str, schedule: str) -> list[dict]:
    """The exact predictor of a task without latents, and at its best beside even steps."""
    if not totals:
        return []
    if schedule == "best":
        kinds = {kind: few_steps.exact_limit(data, totals, n, seed, schedule=kind) for kind in ("even", "best")}
        return [{"model": f"exact, {kind} steps", **row} for kind, rows in kinds.items() for row in rows]
    # the order `confidence` does not draw from the law that the limit is about
    rows = few_steps.exact_limit(data, totals, n, seed, order="even" if order == "confidence" else order)
    return [{"model": "exact", **row} for row in rows]


@schemas.checked(reports=schemas.items(schemas.mapping(schemas.anything), least=2))
def over_seeds(reports: Sequence[dict]) -> dict:
    """Mean over seeds: one report from several of `compare` that differ by their seed alone: each
    number of a row is the mean over seeds, and what has an error the standard error of that mean,
    from how the seeds differ. `seeds` names them; what is said of the models is that of the first.
    ValueError for fewer than two, or rows that do not fit together.

    >>> rows = [{"model": "mdlm", "nfe": 1, "excess": v, "excess_se": 0.1} for v in (1.0, 3.0)]
    >>> found = over_seeds([{"seed": s, "rows": [row]} for s, row in enumerate(rows)])
    >>> found["seeds"], found["rows"][0]["excess"], found["rows"][0]["excess_se"]
    ([0, 1], 2.0, 1.0)
    """
    if len(reports) < 2:
        raise ValueError(f"reports must be of at least two seeds, got {len(reports)}")
    keys = [[(row["model"], row["nfe"]) for row in report["rows"]] for report in reports]
    if any(k != keys[0] for k in keys):
        raise ValueError("reports must have the same models and totals in each row")
    rows = []
    for same in zip(*(report["rows"] for report in reports), strict=True):
        row = dict(same[0])
        for name, v in same[0].items():
            values = [r.get(name) for r in same]
            if isinstance(v, bool) or not all(isinstance(u, int | float) for u in values):
                continue
            mean = Estimate.of(torch.tensor(values, dtype=torch.float64))
            if not name.endswith("_se"):
                row[name] = v if all(u == v for u in values) else mean.value
                if f"{name}_se" in row:
                    row[f"{name}_se"] = mean.stderr
        rows.append(row)
    return {**reports[0], "rows": rows, "seeds": [report["seed"] for report in reports]}


@schemas.checked("model", "seed", "draws")
def held_out(model: Model, x: torch.Tensor, seed: int = 0, draws: int = DRAWS) -> dict:
    """Held-out bound and perplexity: (M9) of `model` on sequences x [B, L], on its own path:
    `total` nats per token and its terms `tokens`, `latents`, `prior`, `perplexity`, their
    exponential, and nats `per_sequence`, each ± s.e.

    Errors are those of `nelbo`, from at least 16 groups of sequences (`draws` noise draws for
    each), and of a ratio where they are per token. All is given the lengths of the sequences.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> found = held_out(LatentDiffusion.preset("mdlm", task, width=16), task.sample(256))  # untrained: about 2
    >>> 1.8 < found["perplexity"].value < 2.2, found["latents"].value
    (True, 0.0)
    """
    x = model.check_tokens("x", x)
    terms, group, _ = each_term(model, x, draws=draws, seed=seed, batch=batch_size(model))
    valid = model.valid(x.to(model.device)).sum(1)
    parts = dict(zip(("tokens", "latents", "prior", "total"), (*terms, terms.sum(0)), strict=True))
    out: dict = {name: Estimate.of_groups(v, group, valid) for name, v in parts.items()}
    whole = Estimate.of_groups(parts["total"], group)
    return out | {"perplexity": out["total"].exp(), "per_sequence": whole, "sequences": len(x)}


@schemas.checked(report=schemas.record({"rows": tables.ANY_ROWS}, others=schemas.anything))
def write(report: dict, out, overwrite: bool = False) -> tuple[File, File]:
    """Write a comparison: (report.json, report.png) in folder `out`, each written whole or not at
    all. ValueError where report.json is none of ours, unless `overwrite`.

    >>> write(compare(models, data), "out")  # doctest: +SKIP
    (PosixPath('out/report.json'), PosixPath('out/report.png'))
    """
    import matplotlib.pyplot as plt

    from .. import plots
    from .._common import files

    out = files.user_path("out", out)
    places = out / "report.json", out / "report.png"
    there = files.read_json(places[0]) if places[0].exists() else {"format": FORMAT}
    if not arguments.truth("overwrite", overwrite) and (there is None or there.get("format") != FORMAT):
        raise ValueError(f"out: {places[0]} holds something else than a comparison; give another folder")
    files.write_json(places[0], report)
    figure = plots.comparison(report)[0].figure
    picture = plots.png(figure)
    plt.close(figure)
    files.write(places[1], picture)
    return places


# -- what is compared, and with what ------------------------------------------------------------------------------
def _totals(nfe, data: Data) -> list[int]:
    if nfe is None:
        return [k for k in few_steps.TOKEN_STEPS if not has_scores(data) or k <= data.length]
    totals = sorted({arguments.integer("nfe", k, minimum=1) for k in ([nfe] if isinstance(nfe, int) else nfe)})
    if not totals:
        raise ValueError("nfe must hold at least one total of network calls, got none")
    return totals


def _check(models: Mapping[str, Model], data: Data, name_of: str = "the data") -> None:
    if not isinstance(models, dict) or not models:
        raise ValueError(f"models must be a dictionary of at least one model by name, got {shown(models)}"[:200])
    for name, model in models.items():
        if list(model.labels) != list(data.labels) or model.config.length != data.length:
            raise ValueError(
                f"models[{name!r}] has other tokens than {name_of}, or another length, so that entropies and bounds "
                f"could not be compared: {model.config.vocab} tokens, length {model.config.length}, not "
                f"{data.vocab}, {data.length}"
            )


def _plans(
    models: Mapping[str, Model], totals: list[int], latent_share, latent_steps
) -> tuple[list[tuple[str, Model, int, tuple[Any, Any, Any]]], list[dict]]:
    """([(name, model, total, (token_steps, latent_steps, path))], what is left out and why)."""
    plans: list[tuple[str, Model, int, tuple[Any, Any, Any]]] = []
    skipped = []
    for total in totals:
        for name, model in models.items():
            try:
                plans.append((name, model, total, nfe_budget.split(model, total, latent_share, latent_steps)))
            except ValueError as e:
                if latent_steps is None or latent_share is not None or latent_steps < 1:
                    raise
                skipped.append({"model": name, "nfe": total, "why": str(e)})
    if not plans:
        raise ValueError(f"nothing is left to compare: {skipped[-1]['why']}")
    return plans, skipped


def _real(data: Task | Text, n: int, seed: int, judge: Judge | None) -> tuple[torch.Tensor, dict]:
    """(sequences [N, L] for bounds, what samples are compared with)."""
    if has_scores(data):
        return data.sample(BOUND, seed), {"entropy": data.entropy()}
    held = _sentences(data, max(n, BOUND), seed)
    if len(held) < n:
        raise ValueError(f"n={n} needs as many real sentences to compare with; the text has {len(held)} that fit")
    return held, _text_scores(data, held[:n], judge)


def _sentences(data: Task | Text, n: int, seed: int) -> torch.Tensor:
    """n different sentences of a text [n, L], all where it has fewer; draws from data that have no
    rows, and from a task."""
    if has_scores(data) or not has_rows(data):
        return draw(data, n, seed)
    at = torch.randperm(len(data), generator=randomness.generator(seed))[:n]
    return read_rows(data, at)


# -- scores -------------------------------------------------------------------------------------------------------
def _text_scores(data: Text, x, judge: Judge | None) -> dict:
    """What is said of texts [n, L] in ids; all but Gen PPL in the model's own tokens."""
    pad, x = pad_id(data), torch.as_tensor(x).long()
    rows = _filled(x, pad)
    texts = [read_text(data, row) for row in x]
    found = tables.flat(scores_of(rows, texts, judge))
    if isinstance(data, Molecules):
        found |= molecule_scores(texts, known_molecules(data.name) if data.name else None)
    return {k: v for k, v in found.items() if k not in ("texts", "tokens", "judge")}  # the same in all rows


def _filled(x, pad: int | None) -> list[list[int]]:
    return [[v for v in row if v != pad] for row in torch.as_tensor(x).tolist()]


def _copied(data: Text, x, real: torch.Tensor) -> float:
    """Share of the runs of four tokens of x [n, L] that are in the real sequence of the same row."""
    pad = pad_id(data)
    return copied(_filled(x, pad), _filled(real, pad), 4)


def _beside_mdlm(rows: list[dict]) -> None:
    """Adds what each row gains over the first mdlm at the same total. Errors as of independent
    samples."""
    name = next((row["model"] for row in rows if row["system"] == "mdlm"), None)
    base = {row["nfe"]: row for row in rows if row["model"] == name}
    for row in rows:
        other = base.get(row["nfe"])
        if other is None or row is other or "entropy" not in row:
            continue
        row["entropy_diff"] = row["entropy"] - other["entropy"]
        if "gen_ppl" not in row:
            continue
        best = base[max(base)]
        nats, few, most = ((math.log(r["gen_ppl"]), r["gen_ppl_se"] / r["gen_ppl"]) for r in (row, other, best))
        ratio = math.exp(nats[0] - few[0])
        row |= {"ppl_ratio": ratio, "ppl_ratio_se": ratio * math.hypot(nats[1], few[1])}
        if (lost := few[0] - most[0]) > 2 * math.hypot(few[1], most[1]):  # else there is nothing to win back
            share = (few[0] - nats[0]) / lost
            error = math.hypot(nats[1], (1 - share) * few[1], share * most[1]) / lost
            row |= {"recovered": share, "recovered_se": error}


def _plain(report: dict) -> dict:
    return json.loads(tables.as_json(report))

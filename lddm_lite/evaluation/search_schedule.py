"""The best schedule of a model at a number of network calls: systems compared at their best.

    python -m lddm_lite.evaluation.search_schedule --out data/results/binsaw-best-schedules.json

measures again what the course says of the five systems and their exact twins on Binsaw, as they
come and at their best.

What "best" means depends on what can be trusted. Without latents it is the smallest bound in finite
steps. For Gaussian latents that bound is a KL to factorised Gaussians, and useless at few steps: on
Binsaw, exact predictors, it charges 400 nats for one latent step whose samples are one nat off, and
is smallest where latents are ignored. Hence schedules from a few families are scored by samples; only
where nothing scores them does the bound choose.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from .._common import files, schemas
from .._common.arguments import shown
from .._common.protocols import Data, Model, has_scores, is_exact
from .._common.provenance import provenance
from ..diffusion import nfe_budget
from ..diffusion.best_schedule import MOVES, StepCosts
from ..diffusion.paths import Path, Schedule
from ..tasks import MixtureTask
from ..text.molecules import Molecules
from .measure_visible_costs import step_costs
from .molecule_scores import molecule_scores

__all__ = ["best_schedule", "candidates", "costs_for"]

COSTS, TRIED = 256, 256  # sequences that the costs are measured on; samples of each schedule that is tried
SEARCHED = 16  # calls up to which latent steps are searched; with more they stay as they are with so many
FAMILIES = {"even": 1.0, "early": 0.5}  # latent times 1 - (c / steps)^power


@schemas.checked(
    "model", "data", "seed", nfe=schemas.whole(1, limit="steps"), costs=schemas.maybe(schemas.is_a(StepCosts)),
    moves=schemas.maybe(schemas.choice(*MOVES)), n=schemas.whole(1, limit="samples"),
    score=schemas.maybe(schemas.function),
)  # fmt: skip
def best_schedule(
    model: Model,
    data: Data,
    nfe: int,
    costs: StepCosts | None = None,
    moves: str | None = None,
    score: Callable[[torch.Tensor], float] | None = None,
    n: int = TRIED,
    seed: int = 0,
    **options,
) -> Schedule:
    """The schedule of exactly `nfe` calls that is best for `model`, for `order="even"`.

    - `model`, `nfe`: for whom, and with how many calls in all, at least 1.
    - `data`: a task, or held-out text, which the costs of steps are measured on.
    - `costs`: of the model (`step_costs`), if they are known.
    - `moves`: None for "sequential" on a sequential model and "any" for others; see `candidates`.
    - `score`: of samples [n, L]; the smallest is best. None for a task's |excess| (one below zero
      has lost entropy), and for the share of molecules that are not valid. Text has none: there the
      bound decides, for Gaussian latents among sequential schedules.
    - `n`, `seed`: samples of each candidate; all randomness. Measure what was found with another
      seed.
    - `options`: of `model.sample`, such as `eta`.

    Without latents no samples are drawn. Above 16 calls the latents keep the steps that are best
    among 16, and tokens get the others. ValueError for more calls than tokens.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=16)
    >>> best_schedule(LatentDiffusion.exact(task), task, 2).knots()[1].t_x > 0.6
    True
    """
    costs = costs_for(model, data, seed) if costs is None else costs
    if model.latent_channel is None:
        return costs.schedule(costs.best(nfe))
    moves = moves or _own_moves(model)
    if score is None and isinstance(data, Molecules):
        molecules = data

        def score(x):
            return 1 - molecule_scores([molecules.decode(row) for row in x])["valid"]

    if score is None and not has_scores(data):
        loose = moves == "any" and model.config.latent == "continuous" and nfe > 1
        return costs.schedule(costs.best(nfe, "sequential" if loose else moves))
    names = _ranked(model, data, min(nfe, SEARCHED), costs, moves, score, n, seed, options)
    return _carried(costs, nfe, moves, names)[1]


def costs_for(model: Model, data: Data, seed: int = 0) -> StepCosts:
    """The costs of steps that `best_schedule` measures, to be shared between numbers of calls."""
    return step_costs(model, data.sample(COSTS, seed + 1), seed=seed)


def _own_moves(model: Model) -> str:
    return "sequential" if model.path == Path.sequential() else "any"


def _ranked(
    model: Model, data: Data, nfe: int, costs: StepCosts, moves: str, score, n: int, seed: int, options
) -> list[str]:
    """The names of the candidates, those whose samples have the smallest score first."""

    def tried(path: Schedule) -> float:
        x = torch.as_tensor(model.sample(n, path=path, seed=seed, **{"order": "even", **options}).tokens)
        if score is not None:
            return float(score(x))
        task: Any = data
        return abs(float(-task.log_prob(x).mean()) - task.entropy().value)

    found = candidates(costs, nfe, moves)
    return sorted(found, key=lambda name: tried(found[name])) if len(found) > 1 else list(found)


def _carried(costs: StepCosts, nfe: int, moves: str, names: list[str]) -> tuple[str, Schedule]:
    """The first of `names` that there is with `nfe` calls, and its schedule. Above those that are
    searched "bound" is another schedule, and left out."""
    names = [name for name in names if nfe <= SEARCHED or name != "bound"] or names
    found = candidates(costs, nfe, moves, names)
    return next((name, found[name]) for name in names if name in found)


def candidates(costs: StepCosts, nfe: int, moves: str = "any", names=None) -> dict[str, Schedule]:
    """Schedules of `nfe` calls among which the best is looked for, by name.

    "bound": the one with the smallest bound, where it is not one of the others. "even 3", "early 3":
    latents move in the first 3 calls, at even times or at 1 - (c / 3)^(1/2); tokens move where that
    is best for their part of the bound, in the same calls too. With "all", latents move in all
    calls, and the last one serves both; with "none" they stay noise until the last call. `moves`:
    "any"; "sequential": all latents move before the first token; "joint": tokens and latents move
    in each call. `names`: only these. ValueError for more calls than the table has steps for.

    >>> half = torch.tensor([1.0, 0.5, 0.0])
    >>> costs = StepCosts(half, half, 1 - half, 2 - (1 - half) + half.unsqueeze(1), torch.ones(3, 3))
    >>> sorted(candidates(costs, 2))
    ['even 1', 'even all', 'none']
    """
    if moves not in MOVES:
        raise ValueError(f"moves must be one of {', '.join(MOVES)}; got {shown(moves)}")
    if nfe == 1:
        return {"bound": costs.schedule(costs.best(1))}
    plans: dict[str, tuple[int, float]] = {"none": (0, 1.0)} if moves == "any" else {}
    if moves != "joint":
        calls = {k for k in (1, 2, 3, 4, 8, SEARCHED - 1) if k < nfe} | {min(nfe, SEARCHED) - 1}
        plans |= {f"{f} {k}": (k, p) for k in sorted(calls) for f, p in FAMILIES.items() if f == "even" or 1 < k <= 4}
    if moves != "sequential":
        plans |= {f"{f} all": (nfe, p) for f, p in FAMILIES.items()}

    def walk(name: str) -> list[tuple[int, int]]:
        if name == "bound":
            return costs.best(nfe, moves)
        k, power = plans[name]
        times = [1 - (c / k) ** power if c < k else float(k == 0) for c in range(nfe)]
        levels = [int((costs.t_z - t).abs().argmin()) for t in times]
        if k < nfe and len({*levels[:k]}) < k:
            raise ValueError(f"levels={levels} are too near to each other for so many latent steps")
        return costs.best_tokens(levels, moves)

    found: dict[str, list] = {}
    for name in [*plans, "bound"] if names is None else names:
        with contextlib.suppress(ValueError):  # too many steps for the grid
            if (points := walk(name)) not in found.values():
                found[name] = points
    if not found:
        raise ValueError(f"nfe={nfe} calls with {moves} moves are more than the table of costs has steps for")
    return {name: costs.schedule(points) for name, points in found.items()}


def excess_of(model: Model, task: MixtureTask, n: int, nfe: int, path: Schedule | None, seed: int, **options) -> dict:
    """Scores of samples of one schedule, or of the model's usual steps: {nfe, n} and those of
    `task`.

    - `model`, `n`, `seed`, `options`: whose samples, how many, and how (`model.sample`);
    - `task`: judges them;
    - `nfe`: the total of the usual steps (`nfe_budget.split`, ancestral order); a schedule has its
      own;
    - `path`: the schedule, in the order `even`; None for the usual steps.
    """
    if path is None:
        token_steps, latent_steps, usual = nfe_budget.split(model, nfe)
        trace = model.sample(n, token_steps, latent_steps, usual, seed=seed, **options)
    else:
        trace = model.sample(n, path=path, seed=seed, order="even", **options)
    return {"nfe": trace.nfe, "n": n, **task.score(trace.tokens, seed)}


def measure(
    model: Model, task: MixtureTask, totals, calls: int, n: int = 2048, seed: int = 0, tried: int = TRIED, told=None
) -> list[dict]:
    """Rows {arm, moves, eta, plan, nfe, n, excess, excess_se, mode_tv, mode_tv_fresh, knots,
    seconds} of a model as it comes and at its best, at each of `totals`.

    Joint models are searched among schedules that move both channels in each call, and among all.
    Of Gaussian latents, eta 0 (DDIM), too.

    - `model`, `task`: of the same tokens and length;
    - `totals`: numbers of network calls, rising: above 16 the kinds of schedule are taken that were
      best before;
    - `calls`: the most network calls of one sequence that a row may take; at many steps it has
      fewer samples, but 64 at least;
    - `n`: samples a row otherwise;
    - `seed`: of samples and costs;
    - `tried`: samples of each schedule that is tried;
    - `told`: called as told(row) after each row; None for no calls.
    """
    x = task.sample(COSTS if is_exact(model.denoiser) else COSTS // 4, seed + 1)
    costs = step_costs(model, x, seed=seed)
    etas = (1.0, 0.0) if model.config.latent == "continuous" else (1.0,)
    moves = ["any"] if model.latent_channel is None else [_own_moves(model)]
    moves = ["joint", "any"] if model.path.shared else moves
    rows = []
    for arm, how, eta in [("usual", "", 1.0), *(("best", m, e) for m in moves for e in etas)]:
        names: list[str] = []
        for nfe in totals:
            begin, plan, path = time.perf_counter(), None, None
            if arm == "best" and model.latent_channel is None:
                path = costs.schedule(costs.best(nfe))
            elif arm == "best":
                if not names or nfe <= SEARCHED:
                    tries = min(nfe, SEARCHED), costs, how, None, tried, seed + 1, {"eta": eta}
                    names = _ranked(model, task, *tries)
                plan, path = _carried(costs, nfe, how, names)
            row = {"arm": arm, "moves": how, "eta": eta, "plan": plan}
            row |= excess_of(model, task, max(64, min(n, calls // nfe)), nfe, path, seed, eta=eta)
            row["knots"] = None if path is None else [[round(v, 4) for v in (k.t_x, k.t_z)] for k in path.knots()]
            rows.append({**row, "seconds": round(time.perf_counter() - begin, 2)})
            if told is not None:
                told(rows[-1])
    return rows


def main(arguments=None) -> None:
    """Write what the five systems do on Binsaw, trained and exact, as they come and at their best.
    """
    from ..model import LatentDiffusion, load
    from ..tasks import Binsaw

    p = argparse.ArgumentParser(prog="python -m lddm_lite.evaluation.search_schedule", description=main.__doc__)
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write, after each model")
    p.add_argument("--nfe", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64], metavar="N", help="network calls")
    p.add_argument("-n", type=int, default=2048, help="samples (default: 2048)")
    p.add_argument("--calls", type=int, default=3072, help="of trained models: most calls of one sequence in a row")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--models", nargs="+", metavar="NAME", help="only these of exact-... and binsaw-...")
    o = p.parse_args(arguments)
    task = Binsaw()

    def exact(latent: str | None, lead: float, codes=None):
        return lambda: LatentDiffusion.exact(task, latent, lead, codes=codes)

    makers: dict[str, Callable[[], Any]] = {
        "exact-mdlm": exact(None, 0.5),
        "exact-co-joint": exact("shift", 0.0),
        "exact-co-seq": exact("shift", 0.5),
        "exact-di-joint": exact("shift-code", 0.0, 64),
        "exact-di-seq": exact("shift-code", 0.5, 64),
    }
    for name in ("mdlm", "co-joint", "co-seq", "di-joint", "di-seq"):
        makers[f"binsaw-{name}"] = functools.partial(load, f"binsaw-{name}")
    report: dict[str, Any] = {
        **provenance(p.prog, sys.argv[1:] if arguments is None else arguments),
        "data": repr(task),
        "seed": o.seed,
        "entropy": task.entropy().value,
        "rows": [],
    }
    for name in o.models or makers:
        model, trained = makers[name](), name.startswith("binsaw")
        found = measure(
            model, task, sorted(o.nfe), o.calls if trained else o.n * max(o.nfe), o.n, o.seed,
            TRIED // 2 if trained else TRIED, told=lambda row, name=name: print(_line(name, row), flush=True),
        )  # fmt: skip
        report["rows"] += [{"model": name, **row} for row in found]
        files.write_json(o.out, report)


def _line(name: str, row: dict) -> str:
    how = f"{row['arm']} {row['moves']} eta {row['eta']:.0f}"
    return (
        f"{name:15} {how:22} nfe {row['nfe']:3} excess {row['excess']:7.2f} ± {row['excess_se']:.2f} "
        f"mode tv {row['mode_tv']:.3f}, fresh {row['mode_tv_fresh']:.3f} {row['plan'] or ''} ({row['seconds']} s)"
    )


if __name__ == "__main__":
    main()

"""Quality-diversity frontier over steps, temperature, order and system: the figures of
`data/results/frontier.json`, which the frontier explorer shows.

    python -m lddm_lite.evaluation.measure_frontier --out data/results/frontier.json
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Mapping

import torch

from .._common import files, schemas
from .._common.estimate import Estimate
from .._common.progress import bar
from .._common.protocols import Model
from .._common.provenance import provenance
from ..diffusion.nfe_budget import split
from ..diffusion.unmasking_order import ORDERS
from ..tasks import MixtureTask
from .search_schedule import best_schedule, costs_for

__all__ = ["limits", "measure", "spread_of"]

NFE, TEMPERATURES = (2, 4, 8, 16), (0.7, 0.85, 1.0)


@schemas.checked(x=schemas.ids)
def spread_of(x) -> float:
    """Diversity of samples: the mean share of positions at which two different rows of x [n, L]
    differ.

    >>> spread_of([[0, 0], [0, 1]])
    0.5
    """
    x = torch.as_tensor(x).long()
    count = torch.nn.functional.one_hot(x).double().sum(0)  # [L, V]
    return float(1 - (count * (count - 1)).sum(-1).mean() / (len(x) * (len(x) - 1)))


def _scores(task: MixtureTask, tokens) -> dict:
    """What `task.score` says of quality and diversity, without what takes long; and `spread`."""
    x, entropy = torch.as_tensor(tokens).long(), task.entropy()
    nll = Estimate.of(-task.log_prob(x))
    found = {"excess": nll.value - entropy.value, "excess_se": math.hypot(nll.stderr, entropy.stderr)}
    return {**found, "mode_tv": task.mode_tv(x), "spread": spread_of(x)}


def measure(
    models: Mapping[str, Model], task: MixtureTask, nfe=NFE, temperatures=TEMPERATURES, orders=ORDERS,
    n: int = 512, seed: int = 0, progress: bool = False,
) -> list[dict]:  # fmt: skip
    """Samples of each model at each combination, judged: rows {model, nfe, token_steps,
    latent_steps, lead, temperature, order, excess, excess_se, mode_tv, spread}. Steps are divided
    as `nfe_budget.split` does.

    - `models`: by their names, of the tokens and length of the task;
    - `task`: it judges;
    - `nfe`, `temperatures`, `orders`: each combination of them is one row a model;
    - `n`, `seed`: samples a row; all have the same seed, so that a row's first samples can be drawn
      again alone;
    - `progress`: show a bar.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> rows = measure({"m": LatentDiffusion.exact(task)}, task, (2,), (0.5, 1.0), ("even",), n=64)
    >>> [(row["temperature"], row["token_steps"]) for row in rows]
    [(0.5, 2), (1.0, 2)]
    """
    rows = []
    plans = list(itertools.product(models.items(), nfe, temperatures, orders))
    for (name, model), calls, temperature, order in bar(plans, show=progress, desc="points", unit="point"):
        token_steps, latent_steps, path = split(model, calls)
        trace = model.sample(
            n, token_steps, latent_steps, path, seed=seed, temperature=float(temperature), order=order
        )  # fmt: skip
        about = {"model": name, "nfe": trace.nfe, "token_steps": token_steps, "latent_steps": latent_steps}
        about |= {"lead": path.lead, "temperature": float(temperature), "order": order}
        rows.append(about | _scores(task, trace.tokens))
    return rows


def limits(task: MixtureTask, nfe=NFE, n: int = 512, seed: int = 0) -> dict[str, list[dict]]:
    """The exact predictor without latents in `even` and in its `best` steps, equal counts a step:
    rows {nfe, excess, excess_se, mode_tv, spread}; and `true`, one row of as many true sequences.

    >>> from lddm_lite import tasks
    >>> sorted(limits(tasks.Binsaw(length=8), (2,), n=64))
    ['best', 'even', 'true']
    """
    from ..model import LatentDiffusion

    exact = LatentDiffusion.exact(task)
    costs = costs_for(exact, task, seed)
    out: dict[str, list[dict]] = {"even": [], "best": []}
    for calls in nfe:
        for name, path in (("even", None), ("best", best_schedule(exact, task, calls, costs, seed=seed + 1))):
            steps = {"token_steps": calls} if path is None else {"path": path}
            trace = exact.sample(n, seed=seed, order="even", **steps)
            out[name].append({"nfe": trace.nfe, **_scores(task, trace.tokens)})
    return {**out, "true": [_scores(task, task.sample(n, seed=seed + 1_000_003))]}


def main(arguments=None) -> None:
    """Measure the models that ship for tasks, by their checkpoints' names, and write a JSON file.
    """
    from .. import tasks
    from ..model import load

    words = sys.argv[1:] if arguments is None else arguments
    p = argparse.ArgumentParser(prog="python -m lddm_lite.evaluation.measure_frontier", description=main.__doc__)
    systems = ("mdlm", "co-seq", "co-joint", "di-seq", "di-joint")
    ships = [*(f"binsaw-{s}" for s in systems), "newswire-mdlm", "newswire-di-seq", "newswire-co"]
    p.add_argument("models", nargs="*", default=ships, metavar="NAME", help="checkpoints (default: all of tasks)")
    p.add_argument("-n", type=int, default=512, metavar="N", help="samples a point (default: 512)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the samples (default: 0)")
    p.add_argument("--nfe", default=",".join(map(str, NFE)), metavar="N,...", help="network calls")
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    o = p.parse_args(words)
    nfe = [int(v) for v in o.nfe.split(",")]
    groups: dict[str, dict] = {}
    for name in o.models:
        model = load(name)
        task = tasks.from_spec(model.data)
        groups.setdefault(repr(task), {"task": task, "models": {}})["models"][name.rstrip("/").split("/")[-1]] = model
    found = []
    for data, group in groups.items():
        rows = measure(group["models"], group["task"], nfe, n=o.n, seed=o.seed, progress=True)
        kinds = {name: model.config.system for name, model in group["models"].items()}
        found.append({"data": data, "systems": kinds, **limits(group["task"], nfe, o.n, o.seed), "rows": rows})
        print(f"{data}: {len(rows)} points", flush=True)
    about = {"format": "lddm-lite frontier", **provenance(p.prog, words), "n": o.n, "seed": o.seed}
    files.write_json(o.out, {**about, "tasks": found})


if __name__ == "__main__":
    main()

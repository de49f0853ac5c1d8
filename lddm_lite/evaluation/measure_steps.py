"""Saved models of a task, scored at chosen numbers of token and latent steps: the figures in
`data/results`.

    python -m lddm_lite.evaluation.measure_steps runs/a runs/b --steps 1+1,2+6 --out data/results/mine.json

Beside the task's own scores stands the papers' sliced Wasserstein distance.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from .._common import checkpoint, files
from .._common.arguments import shown
from .._common.protocols import Model, Task
from .._common.provenance import provenance
from ..tasks.scores import sliced_wasserstein
from .few_steps import score_samples, timed_sample
from .tables import as_text

__all__ = ["measure", "step_pairs"]


def step_pairs(text: str) -> list[tuple[int, int]]:
    """(token steps, latent steps) from text; no latent steps are for models without latents.
    ValueError for something else.

    >>> step_pairs("1+1,2+6,4+0")
    [(1, 1), (2, 6), (4, 0)]
    """
    try:
        pairs = [tuple(int(n) for n in pair.split("+")) for pair in text.split(",")]
    except ValueError:
        pairs = [()]
    if any(len(pair) != 2 or pair[0] < 1 or pair[1] < 0 for pair in pairs):
        raise ValueError(f"steps must be pairs token+latent like 1+1,2+6; got {shown(text)}")
    return pairs  # type: ignore[return-value]


def measure(model: Model, task: Task, pairs: list[tuple[int, int]], n: int = 4096, seed: int = 0) -> list[dict]:
    """Scores of samples in given numbers of token and latent steps: rows as those of `frontier`,
    and for bits `swd1` beside `swd1_fresh`, the distance W1 over 1,000 directions, of samples and
    of as many true sequences.

    - `model`, `task`: of the same tokens and length; the model walks its own path;
    - `pairs`: (token_steps, latent_steps) of each row;
    - `n`: samples a row;
    - `seed`: of the samples and the scores.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> rows = measure(LatentDiffusion.preset("di-seq", task, width=16), task, [(1, 1)], n=64)
    >>> rows[0]["nfe"], rows[0]["swd1"] > rows[0]["swd1_fresh"]
    (2, True)
    """
    rows = []
    for token_steps, latent_steps in pairs:
        row, trace, _ = timed_sample(model, n, token_steps, latent_steps, model.path, seed)
        x = torch.as_tensor(trace.tokens)
        row |= score_samples(task, x, seed)
        if task.vocab == 2:
            true, fresh = (task.sample(n, seed=start + seed) for start in (3_000_003, 4_000_003))
            for name, found in (("swd1", x), ("swd1_fresh", fresh)):
                row[name] = sliced_wasserstein(found, true, directions=1000, seed=seed, p=1)
        rows.append(row)
    return rows


def main(arguments=None) -> None:
    """Score saved models of tasks, and write a JSON file with what it takes to do so again."""
    from .. import tasks
    from ..model import LatentDiffusion

    words = sys.argv[1:] if arguments is None else arguments
    p = argparse.ArgumentParser(prog="python -m lddm_lite.evaluation.measure_steps", description=main.__doc__)
    p.add_argument("models", nargs="+", metavar="DIR", help="folders written by train")
    p.add_argument("--steps", required=True, type=step_pairs, metavar="K+K,...", help="token+latent steps: 1+1,2+6")
    p.add_argument("-n", type=int, default=4096, metavar="N", help="samples (default: 4096)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the samples (default: 0)")
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    o = p.parse_args(words)
    found = []
    for folder in map(Path, o.models):
        model, run = LatentDiffusion.load(folder), files.read_json(folder / "run.json") or {}
        rows = measure(model, tasks.from_spec(model.data), o.steps, o.n, o.seed)
        last = (checkpoint.read(folder)[1].get("history", {}).get("rows") or [{}])[-1]
        state = {"trained": run.get("command"), "step": last.get("step"), "stage": last.get("stage")}
        found.append({"model": folder.name, **state, "rows": rows})
        print(folder.name, as_text(rows), sep="\n", flush=True)
    about = {**provenance(p.prog, words), "n": o.n, "seed": o.seed}
    files.write_json(o.out, {**about, "models": found})


if __name__ == "__main__":
    main()

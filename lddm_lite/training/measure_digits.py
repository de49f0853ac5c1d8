"""Handwritten digits as 8 × 8 tokens: systems trained alike, judged by a classifier at equal network
calls.

    python -m lddm_lite.training.measure_digits --seeds 0,1,2 --out data/results/digits.json

trains the systems of `SYSTEMS` on scikit-learn's digits, black or white, with their class in front,
and has them draw digits, draw the class that is asked for, and fill in a lower half. What a system may
choose, it chooses on other samples and other pictures than those that are reported.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from typing import Any

import numpy as np
import torch

from .._common import files
from .._common.protocols import Model
from .._common.provenance import provenance
from ..evaluation import best_schedule
from ..model import LatentDiffusion
from ..tasks.arrays import ArrayData, from_arrays
from .loop import fit

__all__ = ["SYSTEMS", "Digits", "measure", "plans"]

SIZE: dict[str, Any] = dict(width=64, blocks=2)
OFTEN = dict(own_share=0.4, off_path_share=0.4)  # infilling meets latents and tokens off every path
SYSTEMS: dict[str, dict] = {  # name -> arguments of `preset`
    "mdlm": dict(system="mdlm"),
    "co-seq": dict(system="co-seq", **OFTEN),
    "di-seq": dict(system="di-seq", codes=64, encoder="mixture", **OFTEN),
}
HOW: dict[str, Any] = dict(batch=32, warmup=50, lr=5e-3)


class Digits:
    """scikit-learn's 1,797 digits as black and white: `data` of 1,437 for training, 360 others as `held`
    [360, 65], and a `judge`, a support vector machine, that says which digit a picture shows.

    >>> digits = Digits()
    >>> digits.data, digits.held.shape
    (ArrayData(1,437 sequences of 65 tokens, vocabulary 12, pictures of 8 x 8, 10 classes), torch.Size([360, 65]))
    """

    def __init__(self):
        from sklearn.datasets import load_digits
        from sklearn.svm import SVC

        found: Any = load_digits()
        x, y = (found.images > 7).astype(int), found.target
        order = np.random.default_rng(0).permutation(len(x))
        old, new = order[:1437], order[1437:]
        self.data: ArrayData = from_arrays(x[old], classes=y[old], names=[str(k) for k in range(10)])
        self.held = from_arrays(x[new], classes=y[new], names=[str(k) for k in range(10)]).rows.long()
        self.judge = SVC().fit(x[old].reshape(-1, 64), y[old])
        self.half = self.held.clone()  # their lower half is masked, and so is the class
        self.half[:, 33:] = self.half[:, 0] = self.data.vocab

    def classes(self, x) -> np.ndarray:
        """The classes that stand in front of pictures x [n, 65]: [n]."""
        return np.asarray(x)[:, 0] - 2

    def read(self, x) -> np.ndarray:
        """The digits that the judge sees in pictures x [n, 65]: [n]."""
        return self.judge.predict(np.asarray(x)[:, 1:].clip(0, 1))

    def spread(self, x, of) -> float:
        """How different pictures x [n, 65] of a class are: the mean share of pixels in which two of the
        same class `of` [n] differ. Less than that of data says that entropy was lost."""
        pixels, apart = np.asarray(x)[:, 1:].clip(0, 1), []
        for k in range(10):
            p = pixels[np.asarray(of) == k]
            if len(p) > 1:
                ones = p.mean(0)
                apart.append(float((2 * ones * (1 - ones)).mean() * len(p) / (len(p) - 1)))
        return float(np.mean(apart))


def plans(model: Model, digits: Digits, calls: int) -> dict[str, dict]:
    """What a system may do with so many network calls, by name: options of `sample` and `infill`.
    mdlm its calls evenly, by the schedule with the smallest bound, or the surest tokens first; a
    system with latents any split, evenly.

    >>> list(plans(LatentDiffusion.preset("mdlm", (digits := Digits()).data, width=16), digits, 2))
    ['even', 'best schedule', 'confidence']
    """
    if model.latent_channel is None:
        best = best_schedule(model, digits.data, calls)
        return {
            "even": dict(token_steps=calls, order="even"),
            "best schedule": dict(path=best, order="even"),
            "confidence": dict(token_steps=calls, order="confidence"),
        }
    most = calls - 1 if model.config.latent == "continuous" else min(calls - 1, model.config.slots)
    return {f"{calls - k} + {k}": dict(token_steps=calls - k, latent_steps=k, order="even") for k in range(1, most + 1)}


def measure(model: LatentDiffusion, digits: Digits, calls: int, n: int = 30, seed: int = 0) -> dict:
    """What the judge says at so many network calls, each in the plan that was best on other samples:

    - `class`: share of n pictures of each class asked for that show it, and their `spread`;
    - `free`: share of 10 n pictures that show the class which was drawn in front of them;
    - `half`: share of 180 lower halves, filled in, that are read as what they were.

    Of each the plan and a standard error.

    - `model`, `digits`: trained on them, and what judges;
    - `calls`: network calls a picture;
    - `n`: pictures of each class;
    - `seed`: of all draws.
    """
    tried = plans(model, digits, calls)
    odd = torch.arange(len(digits.held)) % 2 == 1

    def of_class(how: dict, at: int, each: int) -> tuple[np.ndarray, float]:
        x = np.concatenate([model.sample(each, label=k, seed=at + k, **how).tokens for k in range(10)])
        asked = np.repeat(np.arange(10), each)
        return digits.read(x) == asked, digits.spread(x, asked)

    def free(how: dict, at: int, each: int) -> tuple[np.ndarray, None]:
        x = model.sample(10 * each, seed=at, **how).tokens
        return digits.read(x) == digits.classes(x), None

    def half(how: dict, at: int, each: int) -> tuple[np.ndarray, None]:
        chosen = odd if at >= 1000 else ~odd
        x = model.infill(digits.half[chosen], seed=at, **how).tokens
        return digits.read(x) == digits.classes(digits.held[chosen]), None

    out: dict[str, Any] = {"nfe": calls}
    for name, f in (("class", of_class), ("free", free), ("half", half)):
        some = {k: v for k, v in tried.items() if k != "confidence" or name == "half"}  # it would cost entropy
        best = max(some, key=lambda k: float(f(some[k], 100 * seed, n // 2)[0].mean())) if len(some) > 1 else [*some][0]
        right, spread = f(some[best], 1000 + 100 * seed, n)
        share = float(right.mean())
        out[name] = {"share": share, "se": (share * (1 - share) / len(right)) ** 0.5, "plan": best}
        out[name] |= {} if spread is None else {"spread": spread}
    return out


def main(arguments=None) -> None:
    """Train the systems on digits and write what a classifier says of what they draw."""
    words = sys.argv[1:] if arguments is None else arguments
    p = argparse.ArgumentParser(prog="python -m lddm_lite.training.measure_digits", description=main.__doc__)
    whole = functools.partial(p.add_argument, type=int, metavar="N")
    p.add_argument("--seeds", default="0,1,2", metavar="K,...", help="training seeds (default: 0,1,2)")
    p.add_argument("--systems", default=",".join(SYSTEMS), metavar="NAME,...", help="of them (default: all)")
    whole("--steps", default=1000, help="training steps (default: 1000)")
    whole("-n", default=30, help="pictures of each class (default: 30)")
    p.add_argument("--calls", default="4,16", metavar="K,...", help="network calls (default: 4,16)")
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    o = p.parse_args(words)
    digits, rows = Digits(), []
    for seed in map(int, o.seeds.split(",")):
        for name in o.systems.split(","):
            begun = time.process_time()
            model = LatentDiffusion.preset(data=digits.data, seed=seed, **SIZE, **SYSTEMS[name])
            fit(model, digits.data, steps=o.steps, seed=seed, progress=False, **HOW)
            cpu, bound = time.process_time() - begun, model.nelbo(digits.held).total
            about = {
                "model": name,
                "seed": seed,
                "cpu_seconds": round(cpu),
                "bound": bound.value,
                "bound_se": bound.stderr,
            }
            for calls in map(int, o.calls.split(",")):
                rows.append({**about, **measure(model, digits, calls, o.n, seed)})
                shown = ", ".join(f"{k} {rows[-1][k]['share']:.3f}" for k in ("class", "free", "half"))
                print(f"{name}, seed {seed}, bound {bound}, {calls} calls: {shown}", flush=True)
    pictures = digits.data.rows.long()
    about = {
        "judge": float((digits.read(digits.held) == digits.classes(digits.held)).mean()),
        "spread": digits.spread(pictures, digits.classes(pictures)), "steps": o.steps,
    }  # fmt: skip
    files.write_json(
        o.out, {**provenance(p.prog, words), **about, "systems": SYSTEMS, "size": SIZE, "how": HOW, "rows": rows}
    )


if __name__ == "__main__":
    main()

"""Quality against step budget, beside the best that any factorised sampler could do; health of the latents.

NFE, the number of network calls, is the price to compare at. On the joint path a call moves both channels: with
equal budgets, as by default, NFE = token steps. On the sequential path NFE = token steps + latent steps.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import fields, is_dataclass

import torch

from . import checks
from .estimate import Estimate
from .metrics import unigram_entropy, z_response
from .paths import Path

__all__ = ["as_json", "as_text", "exact_limit", "frontier", "health", "run", "score_samples"]

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128)


def score_samples(data, x, seed: int = 0) -> dict[str, float]:
    """What is said of samples x [n, L]. A task's own exact scores (`task.score`); for text, which has none,
    `entropy`, the unigram entropy of the tokens in nats, and `entropy_data`, that of as many true sentences.

    >>> from lddm_lite.tasks import Binsaw
    >>> task = Binsaw(length=8)
    >>> sorted(score_samples(task, task.sample(64)))[:2]
    ['coherent', 'coherent_fresh']
    """
    if hasattr(data, "score"):
        return data.score(torch.as_tensor(x), seed=seed + 1)
    pad, true = getattr(data, "pad_id", None), data.sample(len(x), seed)
    names = {"entropy": torch.as_tensor(x).long(), "entropy_data": true}
    return {name: unigram_entropy(v, data.vocab, pad) for name, v in names.items()}


def frontier(
    model,
    task,
    token_steps=BUDGETS,
    latent_steps: int | None = None,
    path: Path | None = None,
    n: int = 2048,
    seed: int = 0,
    progress: bool = False,
    **options,
) -> list[dict]:
    """Sample `n` sequences at each budget and score them: one row {system, lead, token_steps, latent_steps, nfe,
    **scores, seconds} per budget, for `as_text` and `plots.frontier`.

    `task`: a task, or (held-out) text; then the bound of the sampler with these very steps (M12) comes along,
    on n of its sentences: `bound` ± `bound_se` in nats per token, given the length. `latent_steps`: None for
    the model's usual number (`model.knots`). `path`: None for the model's own. `options` of `model.sample`.
    Budgets above the length of the sequences are dropped, for then a step reveals less than one token. ValueError when
    none is left.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> [row["nfe"] for row in frontier(LatentDiffusion.exact(task), task, (1, 2, 16), n=64)]
    [1, 2]
    """
    path = path or model.path
    budgets = [checks.integer("token_steps", k, minimum=1) for k in token_steps]
    budgets = [k for k in budgets if k <= task.length]
    if not budgets:
        raise ValueError(f"token_steps must hold a budget of at most length={task.length}, got {token_steps!r}")
    rows = []
    for k in _bar(budgets, progress):
        row, trace, seconds = run(model, n, k, latent_steps, path, seed, **options)
        row |= score_samples(task, trace.tokens, seed)
        if not hasattr(task, "score"):
            held = task.sample(n, seed)
            bound = model.nelbo(held, path, token_steps=k, latent_steps=latent_steps, seed=seed)
            row["bound"] = bound.nats_per_token
            row["bound_se"] = bound.total.stderr * bound.nats_per_token / bound.total.value
        rows.append({**row, "seconds": seconds})
    return rows


def run(model, n: int, token_steps: int, latent_steps: int | None, path: Path, seed: int, **options):
    """(row, Trace, seconds) of n samples at one budget: the row has system, lead, token_steps, latent_steps and nfe.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> run(LatentDiffusion.exact(tasks.Binsaw(length=8)), 4, 2, None, Path(), 0)[0]["nfe"]
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
    task, token_steps=BUDGETS, n: int = 2048, seed: int = 0, progress: bool = False, order: str = "ancestral"
) -> list[dict]:
    """The same rows for the Bayes-optimal masked diffusion without latents: the best possible at each budget for
    any sampler whose steps draw the tokens independently (METHOD 8), in this `order` of revealing them.

    >>> from lddm_lite.tasks import Binsaw
    >>> rows = exact_limit(Binsaw(length=16), (1, 16), n=512)
    >>> rows[0]["excess"] > rows[1]["excess"]
    True
    """
    from .model import LatentDiffusion

    return frontier(LatentDiffusion.exact(task), task, token_steps, n=n, seed=seed, progress=progress, order=order)


@torch.no_grad()
def health(model, data, n: int = 1024, seed: int = 0) -> dict:
    """Do the latents carry something, and can the model draw them? {} for a model without latents. METHOD 5.

    - `z_response`: relative rise of the one-step token loss when z is swapped between sequences; 0 = ignored.
    - `spread`: mean standard deviation of a coordinate of z_0 across inputs (unit scale; 0 = collapsed), and
      `cosine`: mean cosine between the latents of two inputs (0 = in all directions, 1 = collapsed).
    - `perplexity` (discrete): codes effectively in use; `codes`: how many there are.
    - `one_step` (tasks): excess nats of sequences drawn in one token step, given latents: `own`, sampled by the
      model on the sequential path; `encoder`, those of fresh data: the best the token half can do; `zeroed` (all
      masked when discrete); `half` with half of the fresh data's tokens given, and `half_swapped`, with the latents
      of another sequence. `own` far above `encoder`: the latent half is to blame. `encoder` near `zeroed`, or
      `half_swapped` near `half`: z is ignored.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> sorted(health(LatentDiffusion.preset("co-seq", task, width=16), task, n=64))
    ['cosine', 'one_step', 'spread', 'z_response']
    """
    if model.latents is None or model.encoder is None:
        return {}
    was_training = model.training
    model.eval()
    g = checks.generator(seed, model.device)
    x0 = data.sample(checks.integer("n", n, minimum=2), checks.generator(seed)).to(model.device)
    z0 = torch.cat([model.encode(rows, g) for rows in x0.split(512)])
    discrete = model.config.latent == "discrete"
    v = (model.encoder.codebook[z0] if discrete else z0).double()  # [n, m, d]
    unit = torch.nn.functional.normalize(v, dim=-1)
    pairs = (unit.sum(0).pow(2).sum(-1) - n) / (n * (n - 1))  # mean over pairs i != j, per slot
    out = {
        "z_response": z_response(model, x0[:512], seed),
        "spread": float(v.std(0).mean()),
        "cosine": float(pairs.mean()),
    }
    if discrete:
        out |= {"perplexity": model.encoder.perplexity(x0), "codes": len(model.encoder.codebook)}
    if hasattr(data, "score"):
        own = model.sample(n, token_steps=1, path=Path.sequential(), seed=seed).tokens
        zeros = torch.full_like(z0, model.latents.mask_id) if discrete else torch.zeros_like(z0)
        t = torch.ones(n, device=x0.device)
        z = z0 if discrete else model.latents.corrupt(z0, 0 * t, g)
        blank, half = (model.tokens.corrupt(x0, share * t, g) for share in (1.0, 0.5))
        given = {"encoder": (blank, z), "zeroed": (blank, zeros), "half": (half, z)}
        given["half_swapped"] = (half, z.roll(1, 0))
        drawn = {"own": torch.as_tensor(own)} | {k: _one_step(model, *v, g).cpu() for k, v in given.items()}
        scores = {name: data.score(x, seed=seed + 1) for name, x in drawn.items()}
        out["one_step"] = {name: Estimate(s["excess"], s["excess_se"]) for name, s in scores.items()}
    model.train(was_training)
    return out


def _one_step(model, x, z, g, batch: int = 512) -> torch.Tensor:
    """Sequences [n, L] with all masks of x filled at once, given finished latents z."""
    out = []
    for x_t, z_t in zip(x.split(batch), z.split(batch), strict=True):
        where, t_z = x_t == model.tokens.mask_id, torch.zeros(len(x_t), device=x_t.device)
        said = model.predict(x_t, z_t, t_z, where, need_latents=False)
        out.append(model.tokens.reverse_step(x_t, said.tokens, where, g))
    return torch.cat(out)


def _bar(budgets: list[int], show: bool):
    """tqdm: a widget in Jupyter, text in a terminal."""
    if not show:
        return budgets
    from tqdm.auto import tqdm

    return tqdm(budgets, desc="budgets", unit="budget", leave=False, dynamic_ncols=True)


# -- showing it ------------------------------------------------------------------------------------------
def _pm(name: str, digits: int):
    return lambda r: f"{r[name]:.{digits}f} ± {r[name + '_se']:.{digits}f}"


def _beside(name: str, fresh: str, form: str):
    """A value, and in brackets what true data show."""
    return lambda r: f"{r[name]:{form}}" + (f" ({r[fresh]:{form}})" if fresh in r else "")


_COLUMNS = {  # heading -> (key that a row must have, how to write it)
    "system": ("system", lambda r: r["system"]),
    "token steps": ("token_steps", lambda r: f"{r['token_steps']}"),
    "latent steps": ("latent_steps", lambda r: f"{r['latent_steps']}"),
    "NFE": ("nfe", lambda r: f"{r['nfe']}"),
    "excess nats": ("excess", _pm("excess", 2)),
    "mode TV (fresh)": ("mode_tv", _beside("mode_tv", "mode_tv_fresh", ".3f")),
    "coherent (fresh)": ("coherent", _beside("coherent", "coherent_fresh", ".1%")),
    "SWD (fresh)": ("swd", _beside("swd", "swd_fresh", ".3f")),
    "bound, nats/token": ("bound", _pm("bound", 3)),
    "token entropy (data)": ("entropy", _beside("entropy", "entropy_data", ".3f")),
    "sec": ("seconds", lambda r: f"{r['seconds']:.1f}"),
}


def as_text(rows: list[dict], columns: dict | None = None) -> str:
    """Rows of `frontier` as a table for a terminal; a column that no row has is left out. `columns`: others than the
    usual ones, {heading: (key that a row must have, row -> text)}.

    >>> print(as_text([{"system": "mdlm", "token_steps": 1, "nfe": 1, "excess": 44.0, "excess_se": 0.2}]))
    system  token steps  NFE   excess nats
    mdlm              1    1  44.00 ± 0.20
    """
    kept = {h: c for h, c in (columns or _COLUMNS).items() if any(c[0] in r for r in rows)}
    lines = [list(kept)] + [[write(r) if key in r else "" for key, write in kept.values()] for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = []
    for line in lines:
        cells = [w.ljust(k) if i == 0 else w.rjust(k) for i, (w, k) in enumerate(zip(line, widths, strict=True))]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def as_json(value) -> str:
    """Rows, health or a bound as JSON text: an `Estimate` becomes {value, stderr}, what is not finite null.

    >>> as_json({"excess": Estimate(0.5, 0.1), "swd": float("nan")})
    '{"excess": {"value": 0.5, "stderr": 0.1}, "swd": null}'
    """
    return json.dumps(_plain(value))


def _plain(v):
    if isinstance(v, dict):
        return {str(k): _plain(w) for k, w in v.items()}
    if isinstance(v, list | tuple):
        return [_plain(w) for w in v]
    if is_dataclass(v):
        return {f.name: _plain(getattr(v, f.name)) for f in fields(v)}
    return None if isinstance(v, float) and not math.isfinite(v) else v

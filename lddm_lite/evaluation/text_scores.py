"""Generated text, measured: Gen PPL never without token entropy, and what the latents of a text model are good for.

Entropy and distinct-n grow with the amount of text, so a reference is cut to as many texts as there are samples.
"""

from __future__ import annotations

import math

import torch

from . import checks
from .estimate import Estimate
from .judge import perplexity_of
from .metrics import unigram_entropy

__all__ = ["as_text", "distinct_n", "generation_report", "latent_health", "repetition"]

BATCH = 512  # sequences in one network call


def _ngrams(row, n: int) -> list[tuple]:
    row = list(row.split() if isinstance(row, str) else row)
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def distinct_n(texts, n: int) -> float:
    """Different n-grams over all n-grams, all texts together (Li et al. 2016, arXiv 1510.03055); nan if there are none.

    `texts`: strings, whose words are taken, or lists of tokens. n-grams do not reach from one text into the next.

    >>> distinct_n(["the bank of the river", "the bank"], 2)
    0.8
    """
    checks.integer("n", n, minimum=1)
    found = [gram for row in texts for gram in _ngrams(row, n)]
    return len(set(found)) / len(found) if found else math.nan


def repetition(texts, n: int = 2) -> float:
    """Share of n-grams that occurred before in the same text: seq-rep-n (Welleck et al. 2020, arXiv 1908.04319), pooled
    over texts; nan if there are none.

    >>> repetition(["rain rain rain", "the bank"], 1)
    0.4
    """
    checks.integer("n", n, minimum=1)
    rows = [_ngrams(row, n) for row in texts]
    total = sum(map(len, rows))
    return 1 - sum(len(set(row)) for row in rows) / total if total else math.nan


def _entropy(tokens: list) -> float:
    """`metrics.unigram_entropy` of tokens of any kind."""
    ids: dict = {}
    x = torch.tensor([ids.setdefault(t, len(ids)) for t in tokens], dtype=torch.long)
    return unigram_entropy(x, max(1, len(ids)))


def _describe(texts: list[str], judge, tokenise, progress: bool) -> dict:
    rows = [list(tokenise(t)) for t in texts]
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


def generation_report(texts, judge=None, reference=None, tokenise=str.split, progress: bool = True) -> dict:
    """What is to be said of generated texts, JSON-able by `evaluate.as_json`:

    - `texts`, `empty` ones among them (left to no judge), `tokens`, `length`: mean tokens per text ± s.e.;
    - `entropy`: of the token frequencies in all texts together, nats; `entropy_text`: mean of each text's own, nats;
    - `distinct_1`, `distinct_2` (`distinct_n`), `repetition` of pairs;
    - with a `judge` (`judge.Judge`, or anything with `name` and `perplexity`): `gen_ppl` ± s.e., and its name;
    - with `reference`, real texts: `reference`, the same of as many of them. Samples that have a lower Gen PPL than
      others at a lower entropy than the reference's are duller, not better.

    `tokenise`: text -> tokens; words by default. ValueError when there are no texts, or fewer in `reference`.

    >>> report = generation_report(["the bank opened .", "the bank fell ."], None, ["rain fell .", "the sun rose ."])
    >>> round(report["entropy"], 3), round(report["reference"]["entropy"], 3)
    (1.56, 1.748)
    """
    texts = _list("texts", texts)
    out = _describe(texts, judge, tokenise, progress)
    if reference is not None:
        reference = _list("reference", reference)
        if len(reference) < len(texts):
            raise ValueError(f"reference must hold as many texts as there are, {len(texts)}; got {len(reference)}")
        out["reference"] = _describe(reference[: len(texts)], judge, tokenise, progress)
    return out


def _list(name: str, texts) -> list[str]:
    if isinstance(texts, str):
        raise ValueError(f"{name} must be a list of texts, got one text")
    texts = list(texts)
    if not texts or not all(isinstance(t, str) for t in texts):
        raise ValueError(f"{name} must be a list of texts, got {'none' if not texts else 'something else in it'}")
    return texts


_ROWS = {
    "gen_ppl": ("Gen PPL", ".1f"),
    "entropy": ("token entropy, nats", ".3f"),
    "entropy_text": ("... within a text", ".3f"),
    "distinct_1": ("distinct-1", ".3f"),
    "distinct_2": ("distinct-2", ".3f"),
    "repetition": ("repeated pairs", ".3f"),
    "length": ("tokens per text", ".1f"),
    "empty": ("empty texts", "d"),
}


def as_text(report: dict, names: tuple[str, str] = ("samples", "real")) -> str:
    """A `generation_report` as a table for a terminal, the reference beside the samples.

    >>> print(as_text(generation_report(["a b", "a c"])).splitlines()[1])
    token entropy, nats        1.040
    """
    sides = [report] + ([report["reference"]] if "reference" in report else [])
    lines = [["", *names[: len(sides)]]]
    for key, (heading, form) in _ROWS.items():
        if key in report:
            cells = [side[key] for side in sides]
            lines.append([heading] + [
                f"{v.value:{form}} ± {v.stderr:{form}}" if isinstance(v, Estimate) else f"{v:{form}}" for v in cells
            ])
    wide = max(len(cell) for line in lines for cell in line[1:])
    out = [f"{line[0]:<22}" + "".join(f"  {cell:>{max(wide, 8)}}" for cell in line[1:]) for line in lines]
    if "judge" in report:
        out.append(f"judge: {report['judge']}")
    return "\n".join(line.rstrip() for line in out)


# -- latents ---------------------------------------------------------------------------------------------------------
@torch.no_grad()
def latent_health(model, data, token_steps=(1, 4), n: int = 256, judge=None, seed: int = 0, decode=None,
                  progress: bool = False) -> dict:
    """Beside `evaluate.health` (`z_response`, `spread`, `cosine`, ...), for a model of text, at each budget of token
    steps taken after all latent steps (the sequential path):

    - `nll`: what the token steps cost on real sequences (M4), nats per token ± s.e., given `encoder`, the sequence's
      own z at the noise floor; `shuffled`, that of another sequence; `zeroed` (all masked when discrete). The first far
      below the others: z is used. Shuffled above zeroed: it is trusted, also when it misleads.
    - `samples`: a `generation_report` of n sequences drawn in these steps given `encoder`, z of real sequences: the
      best that the token half can do; `own`, z drawn by the model: far from it, the latent half is to blame; `zeroed`;
      and with several slots `mixed`, each slot of another sequence. Their lengths are those of the real sequences, but
      `own`'s are drawn.

    Returns {**health, "real": report, "token_steps": {steps: {"nll": {...}, "samples": {...}}}}, or {} for a model
    without latents. `decode`: ids -> text, by default that of `data`. ValueError for budgets below 1, and data that
    cannot be decoded.

    >>> from lddm_lite import LatentDiffusion, text
    >>> data = text.from_lines(["the bank opened .", "rain fell .", "the river rose ."], length=6)
    >>> model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    >>> found = latent_health(model, data, (1,), n=8)
    >>> sorted(found["token_steps"][1]["nll"])
    ['encoder', 'shuffled', 'zeroed']
    """
    from .evaluate import health  # which needs nothing from here
    from .paths import Path

    decode = decode or getattr(data, "decode", None)
    if decode is None:
        raise ValueError(f"data must have `decode`, or `decode` must be given: {type(data).__name__} has none")
    budgets = [checks.integer("token_steps", k, minimum=1) for k in token_steps]
    out = health(model, data, n, seed)
    if not out:
        return {}
    was_training = model.training
    model.eval()
    g = checks.generator(seed, model.device)
    x0 = data.sample(n, checks.generator(seed)).to(model.device)
    given = _latents(model, x0, g)
    real = [decode(row) for row in x0.cpu()]
    out["real"], out["token_steps"] = generation_report(real, judge, progress=progress), {}
    for k in budgets:
        nll, samples = {}, {}
        for name, z in given.items():  # the same noise for all, so that their differences are the latents'
            if name != "mixed":
                nll[name] = _nll(model, x0, z, k, checks.generator(seed + 1, model.device))
            if name != "shuffled":
                samples[name] = _draw(model, x0, z, k, checks.generator(seed + 2, model.device))
        samples["own"] = torch.as_tensor(model.sample(n, token_steps=k, path=Path.sequential(), seed=seed).tokens)
        written = {name: [decode(row) for row in x.cpu()] for name, x in samples.items()}
        about = {name: generation_report(texts, judge, progress=progress) for name, texts in written.items()}
        out["token_steps"][k] = {"nll": nll, "samples": about}
    model.train(was_training)
    return out


@torch.no_grad()
def _latents(model, x0, g) -> dict[str, torch.Tensor]:
    """The finished latents that the token half is given; see `latent_health`."""
    z = torch.cat([model.encode(rows, g) for rows in x0.split(BATCH)])
    if model.config.latent == "discrete":
        zeroed = torch.full_like(z, model.latents.mask_id)
    else:
        z, zeroed = model.latents.corrupt(z, torch.zeros(len(z), device=z.device), g), torch.zeros_like(z)
    out = {"encoder": z, "shuffled": z.roll(1, 0), "zeroed": zeroed}
    if z.shape[1] > 1:
        out["mixed"] = torch.stack([z[:, j].roll(j, 0) for j in range(z.shape[1])], 1)
    return out


@torch.no_grad()
def _nll(model, x0, z, steps: int, g) -> Estimate:
    """Nats per token of the steps t = 1, 1 - 1/K, ..., 1/K at t_z = 0 (M4)."""
    cost = []
    for x, z_0 in zip(x0.split(BATCH), z.split(BATCH), strict=True):
        clean, total = torch.zeros(len(x), device=x.device), 0.0
        for j in range(steps, 0, -1):
            t, s = clean + j / steps, clean + (j - 1) / steps
            x_t = model.tokens.corrupt(x, t, g, keep=~model.valid(x))
            said = model.predict(x_t, z_0, clean, x_t == model.tokens.mask_id, need_latents=False)
            total = total + model.tokens.step_cost(x, x_t, said.tokens, t, s).double()
        cost.append(total)
    return perplexity_of(torch.cat(cost).cpu(), model.valid(x0).sum(1).cpu()).nats


@torch.no_grad()
def _draw(model, x0, z, steps: int, g) -> torch.Tensor:
    """Sequences of the lengths of x0, drawn given finished latents (M2)."""
    out = []
    for x, z_0 in zip(x0.split(BATCH), z.split(BATCH), strict=True):
        x, clean = x.masked_fill(model.valid(x), model.tokens.mask_id), torch.zeros(len(x), device=x.device)
        for j in range(steps, 0, -1):
            where = model.tokens.to_reveal(x, j / steps, (j - 1) / steps, g)
            if where.any():
                said = model.predict(x, z_0, clean, where, need_latents=False)
                x = model.tokens.reverse_step(x, said.tokens, where, g)
        out.append(x)
    return torch.cat(out)

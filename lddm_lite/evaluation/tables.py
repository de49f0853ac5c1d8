"""Rows, reports of generated text and comparisons as tables for a terminal, and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass

from .._common import schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.words import counted

__all__ = ["as_json", "as_text", "comparison_table", "diagnosis_lines", "flat", "generation_table"]

_COLUMNS = {  # key of a row -> heading, and how its numbers are written
    "model": ("model", ""),
    "system": ("system", ""),
    "of": ("", ""),
    "token_steps": ("token steps", ""),
    "latent_steps": ("latent steps", ""),
    "nfe": ("NFE", ""),
    "calls": ("calls", ""),  # that are no constants
    "mflop": ("MFLOP", ",.0f"),
    "excess": ("excess nats", ".2f"),
    "kl_forward": ("KL(p*||q)", ".2f"),  # q is the law of the samples
    "kl_reverse": ("KL(q||p*)", ".2f"),
    "entropy_gap": ("H(q) - H(p*)", ".2f"),
    "mode_tv": ("mode TV", ".3f"),
    "coherent": ("coherent", ".1%"),
    "valid": ("valid", ".1%"),
    "unique": ("unique", ".1%"),
    "novel": ("novel", ".1%"),
    "swd": ("SWD", ".3f"),
    "swd1": ("SWD, p=1", ".3f"),
    "bound": ("bound, nats/token", ".3f"),
    "gen_ppl": ("Gen PPL", ".1f"),
    "entropy": ("entropy, nats", ".3f"),
    "entropy_text": ("within a text", ".3f"),
    "ppl_ratio": ("Gen PPL / mdlm", ".2f"),
    "recovered": ("recovered", ".2f"),
    "entropy_diff": ("entropy - mdlm", "+.3f"),
    "distinct_1": ("distinct-1", ".3f"),
    "distinct_2": ("distinct-2", ".3f"),
    "repetition": ("repeated", ".3f"),
    "copied": ("copied", ".1%"),
    "length": ("tokens per text", ".1f"),
    "empty": ("empty", ""),
    "seconds": ("seconds", ".1f"),
}
ANY_ROWS = schemas.items(schemas.mapping(schemas.anything))
ROWS = schemas.items(schemas.mapping(schemas.anything), least=1)
REPORT = schemas.record(
    {"kind": schemas.choice("task", "text"), "data": schemas.text(), "n": schemas.whole(0), "seed": schemas.whole(0),
     "rows": schemas.items(schemas.mapping(schemas.anything))},
    {"seeds": schemas.items(schemas.whole(0)), "options": schemas.mapping(schemas.anything),
     "models": schemas.mapping(schemas.mapping(schemas.anything)),
     "real": schemas.mapping(schemas.anything), "skipped": schemas.items(schemas.mapping(schemas.anything))},
    others=schemas.anything)  # fmt: skip
_LAWS = ("kl_forward", "kl_reverse", "entropy_gap")  # without an error where the law is enumerated
_BESIDE = ("fresh", "data")  # `key_fresh`, `key_data`: what true samples or sentences show, in brackets


@schemas.checked(report=REPORT)
def comparison_table(report: dict) -> str:
    """A comparison as text: the rows by total NFE, then what stands beside them, then each model's
    bound and latents. `report`: as `compare` returns it, or as read from its JSON file.

    >>> row = {"model": "mdlm", "nfe": 1, "token_steps": 1, "latent_steps": 0, "excess": 44.0, "excess_se": 0.2}
    >>> print(comparison_table({"kind": "task", "data": "Binsaw()", "n": 64, "seed": 0, "rows": [row]}))
    Binsaw(): 64 samples a row, seed 0
    <BLANKLINE>
    model  token steps  latent steps  NFE   excess nats
    mdlm             1             0    1  44.00 ± 0.20
    """
    text = report["kind"] == "text"
    seeds = report.get("seeds")
    of = f"seed {report['seed']}" if seeds is None else f"means of seeds {', '.join(map(str, seeds))}"
    head = f"{report['data']}: {report['n']:,} samples a row, {of}"
    usual = {"order": "ancestral", "temperature": 1, "latent_temperature": 1, "schedule": "even"}
    given = {k: v for k, v in report.get("options", {}).items() if v is not None and v != usual.get(k)}
    head += "".join(f", {k.replace('_', ' ')} {v}" for k, v in given.items())
    left_out = ("system", "entropy_text", "length")  # a model has a line of its own below; entropy and length suffice
    rows = [{k: v for k, v in row.items() if k not in left_out} for row in report["rows"]]
    parts = [head, "", as_text(rows)]
    real = report.get("real")
    if real and text:
        ppl = "" if "gen_ppl" not in real else f"Gen PPL {_cell(real, 'gen_ppl', '.1f')}, "
        shares = ", ".join(f"{k.replace('_', '-')} {_number(real[k], '.3f')}" for k in ("distinct_1", "distinct_2"))
        shares += f", repeated {_number(real['repetition'], '.3f')}, {_number(real['length'], '.1f')} tokens each"
        parts += ["", f"as many real sentences: {ppl}token entropy {_number(real['entropy'], '.3f')} nats, {shares}"]
        if report.get("judge"):
            parts.append(f"judge of Gen PPL: {report['judge']}; no two judges agree")
    elif real:
        parts += ["", f"entropy of the task: {_estimate(real['entropy'])} nats/sequence; no bound can be lower"]
    if any("ppl_ratio" in row or "entropy_diff" in row for row in report["rows"]):
        parts.append("beside mdlm: at the same total NFE. Lower Gen PPL at lower entropy is duller, not better")
    if any("recovered" in row for row in report["rows"]):
        parts.append("recovered: the share of what mdlm loses against its largest NFE here, in nats of the judge")
    parts += [f"left out: {s['model']} at NFE {s['nfe']}: {s['why']}" for s in report.get("skipped", [])]
    for name, about in report.get("models", {}).items():
        parts += ["", *_about(name, about, text)]
    if report.get("finished") is False:
        parts += ["", "not finished: rows are missing"]
    return "\n".join(parts)


def _about(name: str, about: dict, text: bool):
    bound = about["bound"]
    yield f"{name}: {about['system']}, {about['parameters']:,} parameters"
    terms = " + ".join(f"{term} {_estimate(bound[term])}" for term in ("tokens", "latents", "prior"))
    yield f"  held-out bound, nats/token: {_estimate(bound['total'])} = {terms}"
    if text:
        ppl = _estimate(bound["perplexity"], ".1f")
        yield f"  perplexity at most {ppl}, given lengths ({bound['sequences']:,} sentences)"
    else:
        yield f"  nats/sequence: {_estimate(bound['per_sequence'])}"
    health = about.get("health") or {}
    if "costs" in health:
        yield from (f"  {line}" for line in diagnosis_lines(health))
    elif numbers := [f"{k.replace('_', ' ')} {v:.3g}" for k, v in health.items() if isinstance(v, int | float)]:
        yield "  latents: " + ", ".join(numbers)
    if "one_step" in health:
        found = ", ".join(f"{k} {_estimate(v, '.2f')}" for k, v in health["one_step"].items())
        yield f"  excess of one token step from z: {found}"
    for steps, found in health.get("token_steps", {}).items():
        taken = counted(int(steps), "token step")
        nll = ", ".join(f"{k} {_estimate(v)}" for k, v in found["nll"].items())
        yield f"  nats/token of {taken} given z: {nll}"
        drawn = ", ".join(f"{k} {_sample(v)}" for k, v in found["samples"].items())
        yield f"  samples of {taken} given z: {drawn}"


def diagnosis_lines(found: dict) -> list[str]:
    """A `latents.Diagnosis` as lines of text. `found`: its `to_dict`, or as read from JSON."""
    found = _plain(found)
    kinds = list(next(iter(found["costs"].values())))
    of = "latents" if found.get("left") else "tokens"
    head = f"{of} of {found['n']:,} sequences, nats"
    rows = []
    for title, values in (("a token", found["costs"]), ("excess of one step", found.get("excess", {}))):
        rows += [(f"{title} at mask rate {float(rate):g}", of) for rate, of in values.items()]
    rows.append(("total correlation left", {"true": found.get("left"), "none": found["left_none"]}))
    columns = [[head, *(title for title, _ in rows)]]
    columns += [[k, *("" if of.get(k) is None else _estimate(of[k]) for _, of in rows)] for k in kinds]
    out = _aligned(columns)
    if "shared" in found:
        out.append(f"shared by the tokens of the task: {found['shared']:.3f} nats")
    if "told" in found:
        out.append(f"told by z: {_estimate(found['told'])} nats; lost by the law of z: {_estimate(found['law_loses'])}")
    names = ("spread", "cosine", "z_response", "perplexity", "codes")
    numbers = [f"{k.replace('_', ' ')} {found[k]:.3g}" for k in names if found.get(k) is not None]
    return out + ([", ".join(numbers)] if numbers else [])


def _sample(about: dict) -> str:
    ppl = f"Gen PPL {_estimate(about['gen_ppl'], '.1f')}, " if "gen_ppl" in about else ""
    return f"({ppl}word entropy {_number(about['entropy'], '.3f')})"


# -- numbers, of which those that are not finite are None in JSON --------------------------------------------------
def _number(v, form: str) -> str:
    return "–" if v is None else f"{v:{form}}"


def _estimate(v: dict, form: str = ".3f") -> str:
    if v["value"] is None or v["stderr"] == 0:
        return _number(v["value"], form)
    return f"{v['value']:{form}} ± {_number(v['stderr'], form)}"


def _cell(row: dict, key: str, form: str) -> str:
    """A value of a row, "≤" before a bound, its standard error, and in brackets what true data show."""
    out = ("≤ " if row.get(f"{key}_upper") else "") + _number(row[key], form)
    error = row.get(f"{key}_se", 0.0)
    exact = key in _LAWS and (not error or not math.isfinite(error))
    if f"{key}_se" in row and not exact:
        out += f" ± {_number(error, form)}"
    beside = [v for word in _BESIDE if (v := row.get(f"{key}_{word}")) is not None]
    return out + "".join(f" ({_number(v, form)})" for v in beside)


@schemas.checked(rows=ROWS)
def as_text(rows: list[dict]) -> str:
    """Rows of `frontier`, of a comparison or of reports as a table for a terminal: the columns that
    some row has, of those known here.

    >>> print(as_text([{"system": "mdlm", "token_steps": 1, "nfe": 1, "excess": 44.0, "excess_se": 0.2}]))
    system  token steps  NFE   excess nats
    mdlm              1    1  44.00 ± 0.20
    """
    columns = []
    for key, (heading, form) in _COLUMNS.items():
        if any(key in r for r in rows):
            heading += "".join(f" ({word})" for word in _BESIDE if any(f"{key}_{word}" in r for r in rows))
            columns.append([heading] + [_cell(r, key, form) if key in r else "" for r in rows])
    return "\n".join(_aligned(columns))


def _aligned(columns: list[list[str]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in columns]
    out = []
    for line in zip(*columns, strict=True):
        first, *others = (cell.rjust(wide) for cell, wide in zip(line, widths, strict=True))
        out.append("  ".join([line[0].ljust(widths[0]), *others]).rstrip())
    return out


def as_json(value) -> str:
    """Rows, health or a bound as JSON text: an `Estimate` becomes {value, stderr}, what is not
    finite null.

    >>> as_json({"excess": Estimate(0.5, 0.1), "swd": float("nan")})
    '{"excess": {"value": 0.5, "stderr": 0.1}, "swd": null}'
    """
    try:
        return json.dumps(_plain(value))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"value must be what JSON can hold, and Estimates, got {shown(value)}") from None


def _plain(v):
    if isinstance(v, dict):
        return {str(k): _plain(w) for k, w in v.items()}
    if isinstance(v, list | tuple):
        return [_plain(w) for w in v]
    if is_dataclass(v) and not isinstance(v, type):
        return {f.name: _plain(getattr(v, f.name)) for f in fields(v)}
    return None if isinstance(v, float) and not math.isfinite(v) else v


@schemas.checked(report=schemas.mapping(schemas.anything), names=schemas.items(schemas.text(), 2, 2))
def generation_table(report: dict, names: tuple[str, str] = ("samples", "real")) -> str:
    """A `generation_report` as a table for a terminal, the reference below the samples.

    >>> from lddm_lite.evaluation import generation_report
    >>> print(generation_table(generation_report(["a b", "a c"])).split("repeated")[0])
             entropy, nats  within a text  distinct-1  distinct-2
    """
    sides = [report, *([report["reference"]] if "reference" in report else [])]
    out = as_text([{"of": name, **flat(side)} for side, name in zip(sides, names, strict=False)])
    return out + (f"\njudge: {report['judge']}" if "judge" in report else "")


def flat(scores: dict) -> dict:
    """Scores as the columns of a row: an `Estimate` becomes a number and, beside it, its error.

    >>> flat({"excess": Estimate(0.5, 0.1), "n": 4})
    {'excess': 0.5, 'excess_se': 0.1, 'n': 4}
    """
    out: dict = {}
    for name, v in scores.items():
        out |= {name: v.value, f"{name}_se": v.stderr} if isinstance(v, Estimate) else {name: v}
    return out

"""Rows, reports of generated text and comparisons as tables for a terminal, and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass

from .._common.estimate import Estimate
from .._common.words import counted

__all__ = ["as_json", "as_text", "comparison_table", "generation_table"]

_GENERATION = {
    "gen_ppl": ("Gen PPL", ".1f"),
    "entropy": ("token entropy, nats", ".3f"),
    "entropy_text": ("... within a text", ".3f"),
    "distinct_1": ("distinct-1", ".3f"),
    "distinct_2": ("distinct-2", ".3f"),
    "repetition": ("repeated pairs", ".3f"),
    "length": ("tokens per text", ".1f"),
    "empty": ("empty texts", "d"),
}


def comparison_table(report: dict) -> str:
    """The rows by total NFE, then what stands beside them, then each model's bound and latents.
    `report`: as `compare` returns it, or as read from its JSON file.

    >>> row = {"model": "mdlm", "nfe": 1, "token_steps": 1, "latent_steps": 0, "excess": 44.0, "excess_se": 0.2}
    >>> print(comparison_table({"kind": "task", "data": "Binsaw()", "n": 64, "seed": 0, "rows": [row]}))
    Binsaw(): 64 samples a row, seed 0
    <BLANKLINE>
    model  NFE  token steps  latent steps   excess nats
    mdlm     1            1             0  44.00 ± 0.20
    """
    text = report["kind"] == "text"
    head = f"{report['data']}: {report['n']:,} samples a row, seed {report['seed']}"
    head += "".join(
        f", {k.replace('_', ' ')} {v}" for k, v in report.get("options", {}).items() if v not in (None, 1, "ancestral")
    )
    parts = [head, "", as_text(report["rows"], _COMPARISON)]
    real = report.get("real")
    if real and text:
        ppl = "" if "gen_ppl" not in real else f"Gen PPL {_pm(real, 'gen_ppl', 1)}, "
        shares = ", ".join(f"{k.replace('_', '-')} {_number(real[k], '.3f')}" for k in ("distinct_1", "distinct_2"))
        shares += f", repeated {_number(real['repetition'], '.3f')}, {_number(real['length'], '.1f')} tokens each"
        parts += ["", f"as many real sentences: {ppl}token entropy {_number(real['entropy'], '.3f')} nats, {shares}"]
        if report.get("judge"):
            parts.append(f"judge of Gen PPL: {report['judge']}; no two judges agree")
    elif real:
        parts += ["", f"entropy of the task: {_estimate(real['entropy'])} nats/sequence; no bound can be lower"]
    if any("ppl_ratio" in row or "entropy_diff" in row for row in report["rows"]):
        parts.append("beside mdlm: at the same total NFE. Lower Gen PPL at lower entropy is duller, not better")
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
    if numbers := [f"{k.replace('_', ' ')} {v:.3g}" for k, v in health.items() if isinstance(v, int | float)]:
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


def _sample(about: dict) -> str:
    ppl = f"Gen PPL {_estimate(about['gen_ppl'], '.1f')}, " if "gen_ppl" in about else ""
    return f"({ppl}word entropy {_number(about['entropy'], '.3f')})"


# -- numbers, of which those that are not finite are None ----------------------------------------------------------
def _number(v, form: str) -> str:
    return "–" if v is None else f"{v:{form}}"


def _estimate(v: dict, form: str = ".3f") -> str:
    if v["value"] is None or v["stderr"] == 0:
        return _number(v["value"], form)
    return f"{v['value']:{form}} ± {_number(v['stderr'], form)}"


def _pm(row: dict, name: str, digits: int) -> str:
    return f"{_number(row[name], f'.{digits}f')} ± {_number(row.get(name + '_se'), f'.{digits}f')}"


def _beside(name: str, form: str):
    """A value, and in brackets what as many true samples show."""

    def write(row):
        fresh = row.get(f"{name}_fresh")
        return _number(row[name], form) + ("" if fresh is None else f" ({_number(fresh, form)})")

    return write

_COMPARISON = {  # heading -> (key that a row must have, how to write it)
    "model": ("model", lambda r: r["model"]),
    "NFE": ("nfe", lambda r: f"{r['nfe']}"),
    "token steps": ("token_steps", lambda r: f"{r['token_steps']}"),
    "latent steps": ("latent_steps", lambda r: f"{r['latent_steps']}"),
    "Gen PPL": ("gen_ppl", lambda r: _pm(r, "gen_ppl", 1)),
    "entropy, nats": ("entropy", lambda r: _number(r["entropy"], ".3f")),
    "Gen PPL / mdlm": ("ppl_ratio", lambda r: _pm(r, "ppl_ratio", 2)),
    "entropy - mdlm": ("entropy_diff", lambda r: _number(r["entropy_diff"], "+.3f")),
    "distinct-1": ("distinct_1", lambda r: _number(r["distinct_1"], ".3f")),
    "distinct-2": ("distinct_2", lambda r: _number(r["distinct_2"], ".3f")),
    "repeated": ("repetition", lambda r: _number(r["repetition"], ".3f")),
    "empty": ("empty", lambda r: f"{r['empty']}"),
    "excess nats": ("excess", lambda r: _pm(r, "excess", 2)),
    "coherent (fresh)": ("coherent", _beside("coherent", ".1%")),
    "mode TV (fresh)": ("mode_tv", _beside("mode_tv", ".3f")),
    "seconds": ("seconds", lambda r: _number(r["seconds"], ".1f")),
}


# -- showing it ------------------------------------------------------------------------------------------
def _value_pm(name: str, digits: int):
    return lambda r: f"{r[name]:.{digits}f} ± {r[name + '_se']:.{digits}f}"


def _value_beside(name: str, fresh: str, form: str):
    """A value, and in brackets what true data show."""
    return lambda r: f"{r[name]:{form}}" + (f" ({r[fresh]:{form}})" if fresh in r else "")


_FRONTIER = {  # heading -> (key that a row must have, how to write it)
    "system": ("system", lambda r: r["system"]),
    "token steps": ("token_steps", lambda r: f"{r['token_steps']}"),
    "latent steps": ("latent_steps", lambda r: f"{r['latent_steps']}"),
    "NFE": ("nfe", lambda r: f"{r['nfe']}"),
    "excess nats": ("excess", _value_pm("excess", 2)),
    "mode TV (fresh)": ("mode_tv", _value_beside("mode_tv", "mode_tv_fresh", ".3f")),
    "coherent (fresh)": ("coherent", _value_beside("coherent", "coherent_fresh", ".1%")),
    "SWD (fresh)": ("swd", _value_beside("swd", "swd_fresh", ".3f")),
    "SWD, p=1 (fresh)": ("swd1", _value_beside("swd1", "swd1_fresh", ".3f")),
    "bound, nats/token": ("bound", _value_pm("bound", 3)),
    "token entropy (data)": ("entropy", _value_beside("entropy", "entropy_data", ".3f")),
    "sec": ("seconds", lambda r: f"{r['seconds']:.1f}"),
}


def as_text(rows: list[dict], columns: dict | None = None) -> str:
    """Rows of `frontier` as a table for a terminal; a column that no row has is left out.
    `columns`: others than the usual ones, {heading: (key that a row must have, row -> text)}.

    >>> print(as_text([{"system": "mdlm", "token_steps": 1, "nfe": 1, "excess": 44.0, "excess_se": 0.2}]))
    system  token steps  NFE   excess nats
    mdlm              1    1  44.00 ± 0.20
    """
    kept = {h: c for h, c in (columns or _FRONTIER).items() if any(c[0] in r for r in rows)}
    lines = [list(kept)] + [[write(r) if key in r else "" for key, write in kept.values()] for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = []
    for line in lines:
        cells = [w.ljust(k) if i == 0 else w.rjust(k) for i, (w, k) in enumerate(zip(line, widths, strict=True))]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def as_json(value) -> str:
    """Rows, health or a bound as JSON text: an `Estimate` becomes {value, stderr}, what is not
    finite null.

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


def generation_table(report: dict, names: tuple[str, str] = ("samples", "real")) -> str:
    """A `generation_report` as a table for a terminal, the reference beside the samples.

    >>> from lddm_lite.evaluation import generation_report
    >>> print(generation_table(generation_report(["a b", "a c"])).splitlines()[1])
    token entropy, nats        1.040
    """
    sides = [report] + ([report["reference"]] if "reference" in report else [])
    lines = [["", *names[: len(sides)]]]
    for key, (heading, form) in _GENERATION.items():
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

"""README.md: its tables of results are those of data/results."""

import json
import math
import statistics

import pytest

from tests.support import ROOT

README = (ROOT / "README.md").read_text("utf-8").splitlines()
CALLS = (2, 4, 8, 16)
NAMES = {
    "exact, even steps": "exact predictor, no latents, even steps, ancestral order",
    "exact, best steps": "exact predictor, no latents, best steps, equal counts",
}


def read(name: str) -> dict:
    return json.loads((ROOT / "data" / "results" / f"{name}.json").read_text("utf-8"))


def number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def excess(row: dict) -> str:
    return f"{number(row['excess'])} ± {row['excess_se']:.2f}"


def coherent(row: dict) -> str:
    return f"{row['coherent']:.1%} · {number(row['excess'])}".replace("%", " %")


def best_table(name: str, cell) -> list[str]:
    """A line for each model of a comparison at its best, a cell for each number of calls; with
    latents the cell also has the token and the latent steps."""
    rows = read(name)["rows"]
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        of = {row["nfe"]: row for row in rows if row["model"] == model}
        split = {k: f" ({r['token_steps']} + {r['latent_steps']})" if r["latent_steps"] else "" for k, r in of.items()}
        cells = [cell(of[k]) + split[k] for k in CALLS]
        lines.append(f"| {NAMES.get(model, f'`{model}`')} | {' | '.join(cells)} |")
    return lines


def law_table() -> list[str]:
    """A line for each row whose law is at hand: its divergences from the task, both ways."""
    keys = ("kl_forward", "kl_reverse", "entropy_gap")
    lines = []
    for row in read("binsaw-compared")["rows"]:
        if row.get("kl_reverse") is not None and row["latent_steps"] and row["excess"] < 1:
            cells = [f"{number(row[k])} ± {row[k + '_se']:.2f}" for k in keys]
            steps = f"{row['token_steps']} + {row['latent_steps']}"
            lines.append(f"| `{row['model']}`, {steps} | {excess(row)} | {' | '.join(cells)} |")
    return lines


def in_better_order(name: str) -> dict[tuple[str, int], dict]:
    """{(model, calls): its row in the order and the steps in which more of its strings are valid}, of
    the comparisons `name`-even and `name`-confidence, in best steps, and `name`-steps: confidence in
    even ones."""
    best: dict[tuple[str, int], dict] = {}
    for order in ("even", "confidence", "steps"):
        for row in read(f"{name}-{order}")["rows"]:
            key = row["model"], row["nfe"]
            best[key] = max(row, best.get(key, row), key=lambda r: r["valid"])
    return best


def molecule_table() -> list[str]:
    """A line for each system trained on QM9: the share of valid strings, in the order in which more
    are valid, mean and spread over training seeds; and the share of different ones among them."""
    best = in_better_order("qm9")
    lines = []
    for system in ("mdlm", "di-seq"):
        own = [(key, row) for key, row in best.items() if row["system"] == system]
        cells = [over_seeds([row for (_, calls), row in own if calls == k]) for k in MOLECULE_CALLS]
        lines.append(f"| `{system}` | {' | '.join(cells)} |")
    empty = " – |" * (len(MOLECULE_CALLS) - 1)
    return [*lines, f"| causal transformer, a symbol a call |{empty} {over_seeds(read('qm9-causal')['rows'])} |"]


def one_training(name: str, calls: tuple[int, ...], called: dict[str, str]) -> list[str]:
    """A line for each model of a comparison, one training of each: the share of valid strings and of
    different ones among them, in the order in which more are valid."""
    best = in_better_order(name)
    return [f"| {text} | {' | '.join(share(best[model, k]) for k in calls)} |" for model, text in called.items()]


def share(row: dict) -> str:
    return f"{row['valid']:.1%} · {row['unique']:.0%}".replace("%", " %")


def more_molecules() -> list[str]:
    """Lines of the other systems on QM9, and of longer trainings there."""
    systems = {s: f"`{s}`, 4,000 steps" for s in ("co-joint", "co-seq", "di-joint")}
    long = {"mdlm": "`mdlm`, 20,000 steps", "di-seq": "`di-seq`, 10,000 steps"}
    lines = [*one_training("qm9-systems", MOLECULE_CALLS, systems), *one_training("qm9-long", MOLECULE_CALLS, long)]
    for name in ("qm9-long", "qm9-longer"):
        if name == "qm9-longer":
            lines += one_training(name, MOLECULE_CALLS, {"di-seq": "`di-seq`, 20,000 steps"})
        cold = read(f"{name}-cold")
        heat, rows = cold["options"]["latent_temperature"], {row["nfe"]: row for row in cold["rows"]}
        lines.append(f"| … its codes at temperature {heat} | {' | '.join(share(rows[k]) for k in MOLECULE_CALLS)} |")
    return lines


MOLECULE_CALLS = (2, 4, 8, 20)
MOSES_CALLS = (4, 8, 16, 64)
TEXT_CALLS = (2, 4, 8, 32)
TEXT = {
    ("lm1b-compared", "mdlm"): "`lm1b-mdlm`",
    ("lm1b-best", "mdlm"): "… in its best steps (`--schedule best`)",
    ("lm1b-control", "control"): "… trained on for 900 steps, without a latent: the control",
    ("lm1b-compared", "co-seq"): "`lm1b-co-seq`: a frozen encoder's vector",
    ("lm1b-compared", "co-seq, table"): "… drawn from those of training sentences, one call",
    ("lm1b-compared", "co-seq, real latents"): "… those of held-out sentences, no call",
    ("lm1b-codes", "one-code"): "`di-seq`: one code of 4,096 of that vector",
    ("lm1b-codes", "one-code, real latents"): "… those of held-out sentences, no call",
    ("lm1b-learned", "di-seq"): "`di-seq`: four learned codes of 512",
    ("lm1b-learned", "di-seq, real latents"): "… those of held-out sentences, no call",
    ("lm1b-codes", "token-codes"): "`di-seq`: a learned code of 64 for each piece",
    ("lm1b-codes", "token-codes, real latents"): "… those of held-out sentences, no call",
    ("lm1b-learned", "co-joint"): "`co-joint`: 16 learned numbers for each piece",
    ("lm1b-learned", "co-joint, real latents"): "… those of held-out sentences, no call",
}


def per_sentence(bound: dict, *terms: str) -> float:
    """Nats of a sentence in these terms of a bound, which are nats a token."""
    tokens = bound["per_sequence"]["value"] / bound["total"]["value"]
    return tokens * sum(bound[term]["value"] for term in terms)


def says_and_costs(found: dict, model: str) -> tuple[float, float]:
    """Nats of a sentence: what a model's latents save its words, beside the first model of a comparison,
    and what they cost."""
    words, own = (found["models"][name]["bound"] for name in (next(iter(found["models"])), model))
    return per_sentence(words, "tokens") - per_sentence(own, "tokens"), per_sentence(own, "latents", "prior")


def text_table() -> list[str]:
    """A line for each model of real text: what its latents save the words and what they cost, in nats
    of a sentence; Gen PPL, and R(N), the share of what few steps cost mdlm that it has back."""
    lines = []
    for (name, model), text in TEXT.items():
        found = read(name)
        rows = [row for row in found["rows"] if row["model"] == model and row["nfe"] in TEXT_CALLS]
        back = [f" · {number(row['recovered'])}" if "recovered" in row else "" for row in rows]
        nats = ["–", "–"]
        if model in list(found["models"])[1:]:
            nats = [number(v, 1) for v in says_and_costs(found, model)]
        cells = [f"{row['gen_ppl']:,.0f}{share}" for row, share in zip(rows, back, strict=True)]
        lines.append(f"| {text} | {' | '.join([*nats, *cells])} |")
    return lines


CURVE = {  # width and blocks, steps: the comparison
    ("128 × 4", 1000): "lm1b-curve-128x4-1000",
    ("128 × 4", 3000): "lm1b-curve-128x4-3000",
    ("256 × 6", 1000): "lm1b-curve-256x6-1000",
    ("256 × 6", 3000): "lm1b-curve-256x6-3000",
    ("384 × 6, from MiniLM", 4500): "lm1b-curve-384x6-4500",
    ("384 × 6, from MiniLM", 13500): "lm1b-compared",
}


def curve_table() -> list[str]:
    """A line for each size and training: what few steps cost, and what a real sentence's vector wins back."""
    lines = []
    for (size, steps), name in CURVE.items():
        found = read(name)
        rows = {(row["model"], row["nfe"]): row for row in found["rows"]}
        about = found["models"]["mdlm"]
        seen = steps * 64 * about["bound"]["per_sequence"]["value"] / about["bound"]["total"]["value"] / 1e6
        few, many, real = rows["mdlm", 4], rows["mdlm", 32], rows["co-seq, real latents", 4]
        cells = [
            f"{about['parameters'] / 1e6:.1f}", f"{seen:.1f}", number(about["bound"]["total"]["value"]),
            f"{few['gen_ppl']:,.0f}", f"{many['gen_ppl']:,.0f}", number(math.log(few["gen_ppl"] / many["gen_ppl"])),
            number(real["recovered"]) if "recovered" in real else "–",
        ]  # fmt: skip
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return lines


def beside_the_control(row: dict) -> float:
    """R of a row whose training the control shares: what it has back of what few steps cost that one."""
    ppl = {r["nfe"]: r["gen_ppl"] for r in read("lm1b-control")["rows"] if r["model"] == "control"}
    k = row["nfe"]
    return math.log(ppl[k] / row["gen_ppl"]) / math.log(ppl[k] / ppl[32])


def moses_table() -> list[str]:
    """Lines of the three systems on MOSES."""
    lines = one_training("moses", MOSES_CALLS, {"mdlm": "`mdlm`", "di-seq": "`di-seq`, one code of 3,072"})
    cold = read("moses-cold")
    rows = {row["nfe"]: row for row in cold["rows"]}
    heat = cold["options"]["latent_temperature"]
    lines.append(f"| … its codes at temperature {heat} | {' | '.join(share(rows[k]) for k in MOSES_CALLS)} |")
    return [*lines, *one_training("moses-co-seq", MOSES_CALLS, {"co-seq": "`co-seq`, 16 numbers"})]


def over_seeds(rows: list[dict]) -> str:
    assert len(rows) == 3
    valid = [row["valid"] for row in rows]
    different = sum(row["unique"] for row in rows) / len(rows)
    return f"{statistics.mean(valid):.1%} ± {100 * statistics.stdev(valid):.1f} · {different:.0%}".replace("%", " %")


@pytest.mark.parametrize(
    "lines",
    [
        lambda: best_table("binsaw-compared", excess),
        lambda: best_table("newswire-compared", coherent),
        law_table,
        molecule_table,
        more_molecules,
        moses_table,
        text_table,
        curve_table,
    ],
    ids=["binsaw", "newswire", "laws on binsaw", "molecules", "more molecules", "moses", "text", "curve"],
)
def test_tables_are_those_of_the_results(lines):
    lines = lines()
    assert lines and [line for line in lines if line not in README] == []


def test_what_is_said_of_colder_text_is_that_of_the_results():
    found = read("lm1b-sharper")
    (row,), real = found["rows"], found["real"]
    ppl, real_ppl = (f"{of['gen_ppl']:,.0f} ± {of['gen_ppl_se']:.0f}" for of in (row, real))
    assert (
        f"at temperature {found['options']['temperature']}, `lm1b-mdlm` has {ppl} in {row['nfe']} calls "
        f"and an entropy of {row['entropy']:.2f} ({found['n']:,} samples; "
        f"as many real sentences have {real_ppl} and {real['entropy']:.2f})."
    ) in " ".join(README)


def test_the_codes_leads_on_molecules_are_those_of_the_tables():
    """Ratios of valid shares at 2, 4 and 8 calls: of means over seeds, and of one longer training."""
    leads = []
    for name in ("qm9", "qm9-long"):
        rows = in_better_order(name).values()

        def valid(system, calls, rows=rows):
            return sum(row["valid"] for row in rows if (row["system"], row["nfe"]) == (system, calls))

        leads.append(
            "{:.1f}, {:.1f} and {:.1f} times".format(*(valid("di-seq", k) / valid("mdlm", k) for k in (2, 4, 8)))
        )
    text = " ".join(README)
    assert all(lead in text for lead in leads), leads


@pytest.mark.parametrize("name", ["binsaw-compared", "newswire-compared"])
def test_results_say_how_to_get_them(name):
    found = read(name)
    assert found["command"].startswith("python -m lddm_lite ") and "CPU cores" in found["machine"]
    assert {"python", "torch"} <= set(found["versions"]) and {"n", "seed"} <= set(found)

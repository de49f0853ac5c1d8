"""Write `data/checkpoints/README.md`, a card for each model that ships, from the files that lie beside it and from
`data/results`: what it is, how it was trained, what it scores, on whose data, under which licence.

    python data/model_cards.py        # or: make cards

A test holds the page to what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path

DATA = Path(__file__).resolve().parent
PAGE = DATA / "checkpoints" / "README.md"

OURS = "Apache-2.0, as all that is here."
FAMILIES = {  # prefix -> what their cards share: data, licence and notices, what they are for
    "binsaw": {
        "data": "Binsaw, 128 bits with one hidden shift: drawn from its formula, no file and nobody's data.",
        "licence": OURS,
        "limits": "For the course: its law is known exactly, so that errors of the method can be told from errors of "
        "a network. It says nothing about any other data.",
    },
    "newswire": {
        "data": "The toy newswire, sentences of our own grammar (`lddm_lite/tasks/newswire_grammar.json`); companies, "
        "teams, films, airlines, probes and agencies in it are invented.",
        "licence": OURS,
        "limits": "For the course. What it writes is made up, and is news of nothing.",
    },
    "lm1b": {
        "data": "83,401 sentences of at most 32 word pieces: of the held-out shards 10 to 13 of the One Billion Word "
        "benchmark (Chelba et al. 2013, [arXiv 1312.3005](https://arxiv.org/abs/1312.3005)), news that was gathered "
        "for WMT 2011, and of the English sides of WMT's test sets of news.",
        "licence": "Weights: Apache-2.0. They began as those of all-MiniLM-L6-v2 (Apache-2.0), whose vocabulary is "
        "bert-base-uncased's (Apache-2.0). The sentences belong to those who wrote them; none is in this repository.",
        "limits": "To show what few steps cost, and what a latent wins back. It writes half of a sentence, may name "
        "people and firms, and says nothing true of them.",
    },
    "qm9": {
        "data": "124,104 strings of QM9 (Ramakrishnan et al. 2014), read from the package `qm9pack` 1.0.3 (MIT).",
        "licence": "Weights: Apache-2.0. No string is in this repository.",
        "limits": "For the course, and no tool for chemistry: a string that `rdkit` reads is no molecule that can be "
        "made, nor one that is safe.",
    },
}
FROZEN = (
    "Its latents are all-MiniLM-L6-v2's (Apache-2.0), projected; that encoder's weights are not here. Sampling needs "
    "none of it, encoding does."
)
NOTICES = {
    "newswire-co": FROZEN,
    "lm1b-co-seq": FROZEN,
    "qm9-di-seq": "It holds 3,072 classes of strings, fitted to these, and prefers them a little to others "
    "(notebook 09).",
}
MACHINE = "one thread of 2 shared CPU cores"


def read(file: Path) -> dict:
    return json.loads(file.read_text("utf-8"))


def report(name: str, system: str) -> tuple[str, str]:
    """(the comparison that has the model, its name there)."""
    if name.startswith("qm9"):
        return "results/qm9-confidence.json", f"{name}-1"  # the one of seed 1 ships
    return f"results/{name.partition('-')[0]}-compared.json", system


def scores(rows: list[dict]) -> list[str]:
    """What a model scores, a line for each number of calls."""
    lines = []
    for row in rows:
        said = []
        if "excess" in row:
            said.append(f"excess {row['excess']:.2f} ± {row['excess_se']:.2f} nats, {row['coherent']:.1%} coherent")
        if "valid" in row:
            said.append(f"{row['valid']:.1%} valid, {row['unique']:.0%} of them different")
        if "gen_ppl" in row:
            said.append(f"Gen PPL {row['gen_ppl']:,.0f} ± {row['gen_ppl_se']:,.0f}, entropy {row['entropy']:.2f} nats")
        steps = f"{row['token_steps']} + {row['latent_steps']}" if row["latent_steps"] else f"{row['token_steps']}"
        lines.append(f"{row['nfe']} calls ({steps}): {', '.join(said)}".replace("-", "−"))
    return lines


def bound(of: dict, real: dict) -> str:
    """The bound on fresh data, and the entropy where it is known."""
    found, nats = of["bound"]["per_sequence"], of["bound"]["total"]
    known = f"; entropy {real['entropy']['value']:.2f}" if isinstance(real["entropy"], dict) else ""
    return f"{found['value']:.2f} ± {found['stderr']:.2f} nats a sequence, {nats['value']:.3f} a token{known}"


def clock(history: list[dict]) -> float:
    """Seconds of a training, by the clock, which begins at 0 whenever a run goes on."""
    seconds = [row["seconds"] for row in history]
    return sum(now for now, then in zip(seconds, [*seconds[1:], 0.0], strict=True) if then < now)


def latents(config: dict) -> str:
    many = f"{config['slots']} × " if config["slots"] > 1 else ""
    return {
        "none": "none",
        "continuous": f"{many}{config['dim']} numbers",
        "discrete": f"{many}a code of {config['codes']:,}",
    }[config["latent"]]


def card(folder: Path) -> list[str]:
    """The lines of one model's card."""
    about, name = read(folder / "config.json"), folder.name
    family = next(v for prefix, v in FAMILIES.items() if name.startswith(prefix))
    config, training, history = about["config"], about["training"], about["history"]["rows"]
    where, key = report(name, config["system"])
    found = read(DATA / where)
    of = found["models"][key]
    size = (folder / about["weights"]).stat().st_size / 1e6
    minutes, kept = clock(history) / 60, training.get("weights", "float32")
    rows = {
        "what it is": f"`{config['system']}`, latents: {latents(config)}; width {config['width']}, "
        f"{config['blocks']} blocks, {of['parameters']:,} parameters",
        "data": family["data"],
        "trained by": f"`{about['command']}`",
        "training": f"{history[-1]['step']:,} steps of {training['batch']}, seed {training['seed']}, {minutes:.0f} "
        f"minutes by the clock on {MACHINE}",
        "bound": bound(of, found["real"]),
        "scores": f"{'; '.join(scores([r for r in found['rows'] if r['model'] == key]))} (`data/{where}`)",
        "licence, notices": f"{family['licence']} {NOTICES.get(name, '')}".strip(),
        "for what": family["limits"],
        "weights": f"`{about['weights']}`, {size:.1f} MB, {kept}; sha256 in `config.json`",
    }
    return [f"## {name}", "", "| | |", "|---|---|", *[f"| {k} | {v} |" for k, v in rows.items()], ""]


def page() -> str:
    """The text of the page: a card for each folder that holds a model."""
    head = [
        "# Model cards", "",
        "A card for each model that ships, written by `make cards` from `config.json` beside it and from",
        "`data/results`. Steps in brackets are token + latent steps, each model's best ones of so many network calls",
        "(of `lm1b-*`, even ones). Errors are one standard error.", "",
    ]  # fmt: skip
    folders = sorted(f.parent for f in PAGE.parent.glob("*/config.json"))
    return "\n".join([*head, *(line for folder in folders for line in card(folder))])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

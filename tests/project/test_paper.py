"""notebooks/PAPER.md and RELATED_WORK.md: their figures are those of data/results, and what they
name and link to exists."""

import json
import re

import pytest

from tests.project.test_method import missing, unreadable
from tests.support import ROOT

RESULTS = ROOT / "data" / "results"
PAGES = {name: (ROOT / "notebooks" / name).read_text("utf-8") for name in ("PAPER.md", "RELATED_WORK.md")}


def results(pattern: str) -> list[dict]:
    """The files of results that fit, in order of their names."""
    files = sorted(RESULTS.glob(pattern))
    assert files, pattern
    return [json.loads(file.read_text("utf-8")) for file in files]


def steps(row: dict) -> str:
    return f"{row['token_steps']} + {row['latent_steps']}" if row["latent_steps"] else f"{row['token_steps']}"


def pm(row: dict) -> str:
    return f"{row['excess']:.2f} ± {row['excess_se']:.2f}".replace("-", "−")


def shipped_table() -> list[str]:
    """A line for each row of the shipped models' results."""
    return [
        f"| `{row['system']}` | {steps(row)} | {row['nfe']} | {pm(row)} | {row['swd']:.3f} ({row['swd_fresh']:.3f}) "
        f"| {row['swd1']:.3f} ({row['swd1_fresh']:.3f}) |"
        for name in ("di-seq", "co-seq", "joint", "mdlm")
        for model in results(f"binsaw-{name}.json")[0]["models"]
        for row in model["rows"]
    ]


def slots_table() -> list[str]:
    """A line for each system and shape of its latents: at each total of calls the division with the
    lowest mean excess over seeds, and the excess of each seed."""
    found: dict[tuple[str, int, str], list[dict]] = {}
    for file in results("slots-*.json"):
        for model in file["models"]:
            option = dict(re.findall(r"--(slots|dim|codes|system) (\S+)", model["trained"]))
            many = "codes" if int(option["slots"]) > 1 else "code"
            of = f"{many} of {option['codes']}" if "codes" in option else f"× {option['dim']} numbers"
            key = option["system"], int(option["slots"]), of
            found.setdefault(key, []).append({steps(row): row for row in model["rows"]})
    lines = []
    for (system, slots, of), seeds in sorted(found.items()):
        cells = []
        for total in (2, 4, 8):
            splits = [s for s, row in seeds[0].items() if row["nfe"] == total]
            best = min(splits, key=lambda s: sum(rows[s]["excess"] for rows in seeds))
            cells.append(" / ".join(f"{rows[best]['excess']:.2f}" for rows in seeds) + f" ({best})")
        lines.append(f"| `{system}` | {slots} {of} | {' | '.join(cells)} |".replace("-0", "−0"))
    return lines


def best_table() -> list[str]:
    """A line for each model and each choice of what calls may move, at its best."""
    (file,) = results("binsaw-best-schedules.json")
    found: dict[tuple, list[str]] = {}
    for row in file["rows"]:
        if row["arm"] == "best":
            found.setdefault((row["model"], row["moves"], row["eta"]), []).append(pm(row))
    how = {"any": "any", "sequential": "latents first", "joint": "both in each"}
    lines = []
    for (model, moves, eta), cells in found.items():
        kind, _, system = model.partition("-")
        words = "–" if system == "mdlm" else how[moves]
        words += f", {'ancestral' if eta == 1 else 'DDIM'}" if system.startswith("co") else ""
        predictions = "exact" if kind == "exact" else "trained"
        lines.append(f"| `{system}` | {predictions} | {words} | {' | '.join(cells)} |")
    return lines


def setting_table() -> list[str]:
    """A line for each stored state of the runs in the papers' setting, by the CPU time it took."""
    return [
        f"| `{model['rows'][0]['system']}` | {file['cpu_minutes'][model['model']]:.0f} | {model['step']} "
        f"| {model['stage']} | {' | '.join(pm(row) for row in model['rows'])} | {model['rows'][0]['swd1']:.3f} |"
        for file in results("paper-setting*.json")
        for model in file["models"]
    ]


@pytest.mark.parametrize("table", [shipped_table, slots_table, best_table, setting_table])
def test_the_figures_are_those_of_the_results(table):
    lines = table()
    assert lines and [line for line in lines if line not in PAGES["PAPER.md"].splitlines()] == []


def test_results_say_how_to_get_them():
    for file in results("*.json"):
        commands = [v["command"] for v in (file, *file.values()) if isinstance(v, dict) and "command" in v]
        assert commands and all(c.startswith("python ") for c in commands)
        assert "2 CPU cores" in file["machine"] and {"python", "torch"} <= set(file["versions"])
        models = file["models"] if isinstance(file.get("models"), list) else []
        assert all(row["excess_se"] > 0 for model in models for row in model["rows"])
        assert not re.search(r"/(home|tmp|root|Users)/", json.dumps(file))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_and_named_papers_to_themselves(page):
    text = PAGES[page]
    for shown, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", text):
        if "arxiv.org" in target:
            assert target == f"https://arxiv.org/abs/{shown.removeprefix('arXiv ')}"
            continue
        file, _, anchor = target.partition("#")
        where = (ROOT / "notebooks" / file if file else ROOT / "notebooks" / page).resolve()
        assert where.exists(), target
        assert not anchor or f'<a id="{anchor}"></a>' in where.read_text("utf-8"), target


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_exists_and_formulas_are_readable(page):
    assert missing(PAGES[page]) == [] and unreadable(PAGES[page]) == []


def test_every_page_links_to_them():
    for page in ("README.md", "notebooks/METHOD.md"):
        assert re.search(r"\]\((notebooks/)?PAPER\.md", (ROOT / page).read_text("utf-8"))

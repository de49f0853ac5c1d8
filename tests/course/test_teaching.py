"""The teaching guide points to sections and exercises that exist, and its examination question has
its answer."""

import math
import re

import pytest
import torch

import lddm_lite as ld
from tests.support import ROOT
from tests.support.notebooks import make_decks

GUIDE = (ROOT / "notebooks/TEACHING.md").read_text(encoding="utf-8")
DECKS = {p.stem: p.read_text(encoding="utf-8") for p in (ROOT / "notebooks/decks").glob("*.md")}
SOURCES = {p.stem.split("_")[0]: p.read_text(encoding="utf-8") for p in (ROOT / "notebooks/source").glob("*.py")}


@pytest.mark.parametrize("kind, heading", [("§", r"^# ##+ {}\. "), ("ex", r"^# \*\*{}[. ]")])
def test_references_lead_somewhere(kind, heading):
    """Those of the guide, and those of the decks, which also say "notebook 01, section 3"."""
    assert len(re.findall(rf"\d\db? {kind} \d+", GUIDE)) > 10
    said = re.sub(r"[Nn]otebook (\d\db?), section ", r"\1 § ", "\n".join([GUIDE, *DECKS.values()]))
    found = re.findall(rf"(\d\db?) {kind} (\d+)", said)
    missing = [(nb, k) for nb, k in found if not re.search(heading.format(k), SOURCES[nb], re.M)]
    assert not missing


@pytest.mark.parametrize("steps, lost", [(1, 63), (2, 31), (8, 7)])
def test_the_examination_question(steps, lost):
    """64 copies of a bit: the bound of the exact predictor in T steps exceeds log 2 by (64/T - 1)
    log 2."""
    same = torch.stack([torch.tensor([[1.0, 0.0]] * 64), torch.tensor([[0.0, 1.0]] * 64)])
    task = ld.tasks.MixtureTask(torch.zeros(2), same.log())
    bound = ld.LatentDiffusion.exact(task).nelbo(task.sample(4096, seed=0), token_steps=steps, draws=4).total
    # 1 - (1 - 1/T)^64 of the first steps reveal something: with T = 8 all but 0.02 %.
    assert bound.value / math.log(2) - 1 == pytest.approx(lost, abs=0.01 + 4 * bound.stderr / math.log(2))


@pytest.mark.parametrize("heading, deck", [
    ("Session 1", "1-why-few-steps-fail"), ("Session 2", "2-a-channel-for-what-is-shared"), ("One lecture", "the-idea"),
])  # fmt: skip
def test_the_plans_are_those_of_the_decks(heading, deck):
    """The pages that a row of a plan names take the minutes that it gives, all pages in turn."""
    minutes = [page[1] for page in make_decks.Deck(make_decks.HERE / f"{deck}.md").pages]
    section = GUIDE.split(f"\n## {heading}")[1].split("\n## ")[0]
    rows = [tuple(map(int, r)) for r in re.findall(r"^\| (\d+)–(\d+) \| (\d+)–(\d+) \| ", section, re.M)]
    assert [r[0] for r in rows] == [0, *(r[1] for r in rows[:-1])] and rows[-1][1] == sum(minutes)
    assert [r[2] for r in rows] == [1, *(r[3] + 1 for r in rows[:-1])] and rows[-1][3] == len(minutes)
    assert all(sum(minutes[a - 1 : b]) == end - begin for begin, end, a, b in rows)


def test_the_reading_list_is_of_works_that_other_pages_describe():
    described = "".join((ROOT / f"notebooks/{name}.md").read_text("utf-8") for name in ("RELATED_WORK", "PAPER"))
    listed = re.findall(r"\[(\d{4}\.\d{5})\]\(https://arxiv\.org/abs/\1\)", GUIDE)
    assert len(listed) > 12 and all(number in described for number in listed)

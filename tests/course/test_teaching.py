"""The teaching guide points to sections and exercises that exist, and its examination question has
its answer."""

import math
import re

import pytest
import torch

import lddm_lite as ld
from tests.support import ROOT

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

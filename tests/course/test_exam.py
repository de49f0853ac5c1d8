"""The examination: its bold numbers computed anew, by the library or by enumeration, and its points
and minutes added up."""

import itertools
import math
import re

import pytest
import torch

from lddm_lite.diffusion.best_schedule import best_counts
from lddm_lite.diffusion.channels import GaussianChannel, MaskedChannel
from lddm_lite.diffusion.paths import Path
from tests.support import ROOT

SHEET = (ROOT / "notebooks/EXAM.md").read_text("utf-8")
SOLUTIONS = (ROOT / "notebooks/solutions/EXAM.md").read_text("utf-8")
LAW = {(a, a, a ^ flip): 0.5 * (0.1 if flip else 0.9) for a in (0, 1) for flip in (0, 1)}


def entropy(positions) -> float:
    law: dict = {}
    for x, p in LAW.items():
        key = tuple(x[i] for i in positions)
        law[key] = law.get(key, 0.0) + p
    return -sum(p * math.log(p) for p in law.values())


def lost(first) -> float:
    """KL of the law of samples that draw `first` at once, then the rest at once, from the truth."""
    rest, base = [i for i in range(3) if i not in first], entropy(first)
    alone = sum(entropy([i]) for i in first) + sum(entropy([*first, i]) - base for i in rest)
    return alone - entropy(range(3))


def masked():
    at = (torch.tensor([v], dtype=torch.float64) for v in (0.8, 0.5))
    guess = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    cost = MaskedChannel(2).step_cost(torch.tensor([[1]]), torch.tensor([[2]]), guess, *at)
    g = torch.Generator().manual_seed(0)
    x = torch.full((40_000, 1), 2)
    revealed = MaskedChannel(2).to_reveal(x, 0.8, 0.5, g).double().mean()
    assert abs(float(revealed) - 0.375) < 0.01, "four standard errors of 40,000 draws"
    return [(0.8 - 0.5) / 0.8, float(cost), 64 * (1 / 8)]


def gaussian():
    channel = GaussianChannel()
    z = torch.ones(1, 1, 4, dtype=torch.float64)
    off = z.clone()
    off[0, 0, 0] += math.sqrt(2)
    t, s = (torch.tensor([v], dtype=torch.float64) for v in (1.0, 0.5))
    return [float(channel.step_cost(z, None, off, t, s)), float(channel.prior_kl(z))]


def codes():
    law = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    h = float(torch.special.entr(law).sum())
    return [h, math.exp(h), 0.2, 0.0]


def written(number: int) -> list[str]:
    part = re.split(r"^## \d\. .*$", SOLUTIONS, flags=re.M)[number]
    return re.findall(r"\*\*([\d.]+)\*\*", part)


COSTS = [1.0, 0.4, 0.3, 0.3]


@pytest.mark.parametrize(("number", "right"), [
    (1, masked), (2, lambda: [entropy(range(3)), lost([0, 1, 2]), lost([0]), lost([2])]), (3, gaussian), (4, codes),
    (5, lambda: [Path(0.5).nfe(3, 5), Path(0.0).nfe(4, 8), Path(0.25).nfe(3, 3)]),
    (6, lambda: [sum(COSTS), 4 * COSTS[0], 2 * COSTS[0] + 2 * COSTS[2], COSTS[0] + 3 * COSTS[1] - sum(COSTS)]),
])  # fmt: skip
def test_every_number_in_bold_is_right(number, right):
    said, want = written(number), right()
    assert len(said) == len(want) > 1
    for text, value in zip(said, want, strict=True):
        last = 10.0 ** -len(text.partition(".")[2])
        assert abs(float(text) - value) <= 0.51 * last, (text, value)


def test_the_function_of_question_6_and_its_best_counts():
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", SOLUTIONS, re.S)[1], names)  # noqa: S102 - our own page
    tried = {c: names["bound"](COSTS, c) for c in itertools.product(range(1, 4), repeat=2) if sum(c) == 4}
    best = min(tried, key=tried.get)
    assert best == (1, 3) and tried[best] == pytest.approx(2.2)
    found = best_counts(torch.tensor(COSTS, dtype=torch.float64), 2)
    assert list(found) == [0, 1], "visible before each step"


def test_points_and_minutes_add_up_to_sixty():
    heads = re.findall(r"^## \d\. .* · (\d+) points, (\d+) minutes$", SHEET, re.M)
    assert sum(int(p) for p, _ in heads) == 60 == sum(int(m) for _, m in heads)
    for (points, _), part in zip(heads, re.split(r"^## \d\. .*$", SHEET, flags=re.M)[1:], strict=True):
        assert sum(map(int, re.findall(r"\((\d+)(?:, no number)?\)$", part, re.M))) == int(points)


def test_the_sheet_tells_no_answer():
    bold = [n for k in range(1, 7) for n in written(k) if len(n) > 3]
    assert bold and not [n for n in bold if n in SHEET]

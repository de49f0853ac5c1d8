"""Notebook 03b: each version is short and stands alone; what its prose concludes holds for other
seeds, too. That its numbers are the library's is asserted in the notebook itself."""

import jupytext
import pytest
import torch

import lddm_lite as ld
from tests.support import ROOT
from tests.support.notebooks import build

CELLS = jupytext.read(ROOT / "notebooks/source/03b_by_hand.py", fmt="py:percent").cells
SEEDS = range(5)
STEPS, N = 2000, 4096


def lines(*wanted: str) -> list[str]:
    """The code of the cells with one of these tags, without blank lines."""
    code = [c.source for c in CELLS if c.cell_type == "code" and set(wanted) & set(build.tags(c))]
    return [line for source in code for line in source.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def hand():
    """What the cells of both versions define, with nothing of the library."""
    names: dict = {}
    exec("import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn", names)  # noqa: S102
    names["tqdm"] = lambda steps, leave: steps
    exec("\n".join(lines("continuous", "discrete")), names)  # noqa: S102
    return names


@pytest.mark.parametrize("tags", [("continuous",), ("shared", "discrete")])
def test_at_most_120_lines_without_the_library(tags):
    code = lines(*tags)
    assert 60 < len(code) <= 120
    assert "lddm" not in "\n".join(code) and "ld." not in "\n".join(code)


def drawn_from(task, seed):
    g = torch.Generator().manual_seed(seed)
    return lambda n: task.sample(n, g)


def test_both_versions_run_by_themselves(hand):
    task = ld.tasks.Binsaw(length=32)
    torch.manual_seed(0)
    encoder, tokens, latent = hand["train"](drawn_from(task, 0), 4)
    assert hand["bound"](encoder, tokens, latent, task.sample(8)).shape == (3, 8)
    assert hand["sample"](tokens, latent, 8, 2, 2).max() <= 1
    made = hand["train_discrete"](drawn_from(task, 0), 4, 2, 4)
    assert hand["discrete_bound"](*made, task.sample(8)).shape == (2, 8)
    assert hand["sample_discrete"](*made, 8, 2, 2).max() <= 1


@pytest.fixture(scope="module")
def limits():
    task = ld.tasks.Binsaw(length=32)
    found = {s: ld.evaluation.exact_limit(task, (2, 4, 8), n=N, schedule=s) for s in ("even", "best")}
    return {s: {r["nfe"]: r["excess"] for r in rows} for s, rows in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_continuous_latent(hand, limits, seed):
    """With one latent step no better than nothing, with three below both limits, which it leaves by
    at least 0.1 nats (an excess has a standard error of 0.05)."""
    task, score = ld.tasks.Binsaw(length=32), {}
    torch.manual_seed(seed)
    encoder, tokens, latent = hand["train"](drawn_from(task, seed), STEPS)
    for steps in (1, 3, 7):
        score[1 + steps] = task.score(hand["sample"](tokens, latent, N, 1, steps))["excess"]
    gap = float(hand["bound"](encoder, tokens, latent, task.sample(N, seed=7)).detach().sum(0).mean())
    print(seed, score, gap - task.entropy().value)
    assert score[2] > limits["even"][2] and score[4] < limits["best"][4] - 0.1 and score[8] < limits["best"][8]
    assert 1 < gap - task.entropy().value < 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_codes(hand, limits, seed):
    """One letter and one token step are far below both limits, and so are two letters drawn at once;
    after four code steps nothing is left of what that lost (standard errors of 0.05)."""
    task, score = ld.tasks.Binsaw(length=32), {}
    torch.manual_seed(seed)
    one = hand["train_discrete"](drawn_from(task, seed), STEPS, 1, 64)
    assert abs(task.score(hand["sample_discrete"](*one, N, 1, 1))["excess"]) < 0.6 < limits["best"][2] - 2
    two = hand["train_discrete"](drawn_from(task, seed), STEPS, 2, 16)
    for steps in (1, 2, 4):
        score[steps] = task.score(hand["sample_discrete"](*two, N, 1, steps))["excess"]
    print(seed, score)
    assert limits["best"][2] - 1 > score[1] > score[4] - 0.15 and abs(score[4]) < 0.6

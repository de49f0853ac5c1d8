"""Quality against diversity: what the rows say is what the task says of those very samples."""

import json

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.evaluation import measure_frontier
from lddm_lite.evaluation.measure_frontier import limits, measure, spread_of

TASK = tasks.Binsaw(length=16)


def test_spread_is_the_share_of_places_where_two_rows_differ():
    x = torch.randint(0, 5, (7, 6), generator=torch.Generator().manual_seed(0))
    pairs = [(x[i] != x[j]).double().mean() for i in range(7) for j in range(7) if i != j]
    assert spread_of(x) == pytest.approx(float(sum(pairs) / len(pairs)), abs=1e-12)
    assert spread_of(torch.zeros(4, 3, dtype=torch.long)) == 0


def test_a_row_scores_the_samples_that_its_seed_gives():
    model = LatentDiffusion.preset("di-seq", TASK, width=16)
    rows = measure({"mine": model}, TASK, (4,), (0.5, 1.0), ("even", "confidence"), n=32, seed=7)
    assert [(r["temperature"], r["order"]) for r in rows] == [
        (0.5, "even"), (0.5, "confidence"), (1.0, "even"), (1.0, "confidence"),
    ]  # fmt: skip
    row = rows[1]
    assert (row["nfe"], row["token_steps"], row["latent_steps"], row["lead"]) == (4, 3, 1, 0.5)
    x = model.sample(32, 3, 1, seed=7, temperature=0.5, order="confidence").tokens
    score = TASK.score(x)
    assert row["excess"] == pytest.approx(score["excess"]) and row["mode_tv"] == score["mode_tv"]
    few = model.sample(4, 3, 1, seed=7, temperature=0.5, order="confidence").tokens
    assert (few == x[:4]).all(), "its first samples can be drawn again alone"


def test_the_exact_limits_in_even_and_in_best_steps():
    found = limits(TASK, (2, 4), n=512)
    assert [r["nfe"] for r in found["even"]] == [r["nfe"] for r in found["best"]] == [2, 4]
    for even, best in zip(found["even"], found["best"], strict=True):  # three standard errors
        assert best["excess"] < even["excess"] + 3 * (even["excess_se"] + best["excess_se"])
    (true,) = found["true"]
    assert abs(true["excess"]) < 5 * true["excess_se"]


def test_the_file_says_how_to_do_it_again(tmp_path, capsys):
    folder, out = tmp_path / "saw", tmp_path / "found.json"
    LatentDiffusion.preset("mdlm", TASK, width=16).save(folder)
    measure_frontier.main([str(folder), "-n", "16", "--nfe", "2", "--seed", "3", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["command"].startswith("python -m lddm_lite.evaluation.measure_frontier ")
    assert (found["n"], found["seed"]) == (16, 3) and "CPU cores" in found["machine"]
    (part,) = found["tasks"]
    assert part["data"] == repr(TASK) and part["systems"] == {"saw": "mdlm"} and len(part["rows"]) == 9
    assert "9 points" in capsys.readouterr().out

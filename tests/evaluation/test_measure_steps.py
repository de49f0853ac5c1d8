"""Saved models scored at chosen steps, and the file that keeps the figures."""

import json

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.evaluation import frontier, measure_steps
from lddm_lite.tasks.scores import sliced_wasserstein

HISTORY = {"rows": [{"step": 5, "stage": 1}, {"step": 9, "stage": 2}]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that was not trained, and what `train` keeps of its command line."""
    folder = tmp_path_factory.mktemp("runs") / "saw"
    LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8), width=16, dim=2).save(folder, history=HISTORY)
    (folder / "run.json").write_text(json.dumps({"format": "lddm-lite run", "command": "python -m lddm_lite train"}))
    return folder


def test_rows_are_those_of_the_frontier_and_the_papers_distance(saved):
    model, task = LatentDiffusion.load(saved), tasks.Binsaw(length=8)
    rows = measure_steps.measure(model, task, [(1, 3), (2, 2)], n=200, seed=4)
    assert [(r["token_steps"], r["latent_steps"], r["nfe"]) for r in rows] == [(1, 3, 4), (2, 2, 4)]
    (usual,) = frontier(model, task, (2,), 2, n=200, seed=4)
    assert {k: v for k, v in rows[1].items() if k in usual and k != "seconds"} == {
        k: v for k, v in usual.items() if k != "seconds" and not k.startswith("kl_")
    }
    x = torch.as_tensor(model.sample(200, token_steps=2, latent_steps=2, seed=4).tokens)
    true = task.sample(200, seed=3_000_007)
    assert rows[1]["swd1"] == sliced_wasserstein(x, true, directions=1000, seed=4, p=1)
    assert rows[0]["swd1_fresh"] == rows[1]["swd1_fresh"] < rows[1]["swd1"]  # uniform bits are not the task's


def test_without_latents_there_are_no_latent_steps():
    task = tasks.Binsaw(length=8)
    model = LatentDiffusion.preset("mdlm", task, width=16)
    (row,) = measure_steps.measure(model, task, [(4, 0)], n=32)
    assert (row["latent_steps"], row["nfe"]) == (0, 4)
    with pytest.raises(ValueError, match="latent_steps must be 0"):
        measure_steps.measure(model, task, [(4, 1)], n=32)


def test_the_file_says_how_to_do_it_again(saved, tmp_path, capsys):
    out = tmp_path / "found.json"
    words = [str(saved), "--steps", "1+1", "-n", "64", "--seed", "2", "--out", str(out)]
    measure_steps.main(words)
    found = json.loads(out.read_text())
    assert found["command"].startswith("python -m lddm_lite.evaluation.measure_steps ") and "1+1" in found["command"]
    assert "CPU cores" in found["machine"] and (found["n"], found["seed"]) == (64, 2)
    assert set(found["versions"]) == {"python", "torch"}
    (model,) = found["models"]
    assert (model["model"], model["trained"]) == ("saw", "python -m lddm_lite train") and len(model["rows"]) == 1
    assert (model["step"], model["stage"]) == (9, 2)
    assert "SWD, p=1" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "1", "0+1", "1+-1", "1+1+1", "a+b", "1+1,"])
def test_steps_come_in_pairs(text):
    with pytest.raises(ValueError, match="steps must be pairs"):
        measure_steps.step_pairs(text)

"""The best schedule of a model at so many calls: what is tried, what wins, and where the bound misleads."""

import json
import math

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks, text
from lddm_lite.diffusion import best_counts
from lddm_lite.evaluation import best_schedule, step_costs, visible_costs
from lddm_lite.evaluation.search_schedule import candidates, excess_of, main, measure

SYSTEMS = ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"]


@pytest.fixture(scope="module")
def shift_costs(saw32):
    model = LatentDiffusion.exact(saw32, "shift")
    return model, step_costs(model, saw32.sample(256, seed=7), seed=7)


def moved(path):
    """(token steps, latent steps) of a schedule, and whether no step moves both but the last one."""
    knots = path.knots()
    pairs = list(zip(knots, knots[1:], strict=False))
    return [(b.t_x < a.t_x, b.t_z < a.t_z) for a, b in pairs]


@pytest.mark.parametrize("nfe", [1, 2, 3, 8])
def test_each_candidate_makes_that_many_calls_and_moves_as_it_says(shift_costs, nfe):
    for moves in ("any", "sequential", "joint"):
        found = candidates(shift_costs[1], nfe, moves)
        assert found and all(path.nfe() == nfe for path in found.values())
        for path in found.values():
            steps = moved(path)
            if moves == "sequential" and nfe > 1:
                assert not any(x and z for x, z in steps) and steps == sorted(steps)
            if moves == "joint":
                assert all(x and z for x, z in steps) or nfe > 8


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("nfe", [1, 4, 20])
def test_every_system_gets_a_schedule_that_it_can_walk(system, nfe, saw32):
    task = saw32
    model = LatentDiffusion.preset(system, task, width=16, blocks=1, heads=2, slots=2)
    costs = step_costs(model, task.sample(16), points=5, levels=17)
    path = best_schedule(model, task, nfe, costs, n=8)
    assert path.nfe() == nfe and model.sample(2, path=path, order="even").nfe == nfe
    if system.endswith("seq") and nfe > 1:
        assert not any(x and z for x, z in moved(path))


@pytest.mark.parametrize("system", SYSTEMS)
def test_text_with_padding_gets_one_by_the_bound_or_by_a_score(system):
    data = text.from_lines(["rain fell .", "snow fell on friday .", "the rain fell on monday ."], length=8)
    model = LatentDiffusion.preset(system, data, width=16, blocks=1, heads=2)
    costs = step_costs(model, data.sample(16, seed=1), points=5, levels=5)
    path = best_schedule(model, data, 3, costs)
    assert path.nfe() == 3 and model.sample(4, path=path, order="even").nfe == 3
    scored = []

    def score(x):
        scored.append(x.shape)
        return -len(scored)  # the last one is best

    path = best_schedule(model, data, 3, costs, score=score, n=4)
    tried = candidates(costs, 3, "sequential" if system.endswith("seq") else "any")
    assert scored == ([] if system == "mdlm" or len(tried) == 1 else [(4, 8)] * len(tried))
    if scored:
        assert path.knots() == list(tried.values())[-1].knots()


def test_without_latents_it_is_that_of_the_costs():
    task = tasks.MixtureOfProducts(length=8, modes=3)
    model, x = LatentDiffusion.exact(task), task.sample(256, seed=1)
    path = best_schedule(model, task, 3, step_costs(model, x, points=17, seed=2))
    counts = best_counts(visible_costs(model, x, seed=2).mean, 3)
    assert [round(8 * (1 - k.t_x)) for k in path.knots()] == [*counts, 8]


def test_the_bound_leaves_gaussian_latents_unused_and_samples_do_not(saw32, shift_costs):
    """Exact predictors, 4 calls on Binsaw-32. The bound is smallest where latents stay noise until the
    last call; what samples choose has less excess, beyond three standard errors of 2,048 samples each."""
    model, costs = shift_costs
    bound = costs.schedule(costs.best(4))
    assert all(k.t_z == 1 for k in bound.knots()[:-1])
    path = best_schedule(model, saw32, 4, costs, moves="any", seed=5)
    a, b = (excess_of(model, saw32, 2048, 4, p, seed=1) for p in (path, bound))
    assert a["excess"] + 3 * math.hypot(a["excess_se"], b["excess_se"]) < b["excess"]


def test_joint_steps_at_their_best_lose_little(saw32, shift_costs):
    """Each of 4 calls moves both channels: the usual knots lose more than a nat, the best ones less
    than half of that (2,048 samples, standard errors about 0.12)."""
    model = LatentDiffusion.exact(saw32, "shift", lead=0.0)
    rows = measure(model, saw32, [4], calls=1 << 14, seed=0)
    usual, best = (next(r for r in rows if (r["arm"], r["moves"], r["eta"]) == how) for how in
                   (("usual", "", 1.0), ("best", "joint", 1.0)))
    assert usual["excess"] > 1.2 and abs(best["excess"]) < 0.5 * usual["excess"]
    assert {(r["moves"], r["eta"]) for r in rows[1:]} == {("joint", 1.0), ("joint", 0.0), ("any", 1.0), ("any", 0.0)}


def test_the_command_writes_what_it_measured(tmp_path, capsys):
    main(["--out", str(tmp_path / "a.json"), "--nfe", "2", "-n", "64", "--models", "exact-mdlm"])
    report = json.loads((tmp_path / "a.json").read_text())
    assert [(r["model"], r["arm"], r["nfe"]) for r in report["rows"]] == [
        ("exact-mdlm", "usual", 2), ("exact-mdlm", "best", 2)
    ]  # fmt: skip
    assert report["versions"]["torch"] == torch.__version__ and "--nfe 2" in report["command"]
    assert "excess" in capsys.readouterr().out


def test_what_cannot_be_is_named(shift_costs):
    with pytest.raises(ValueError, match="moves must be one of"):
        candidates(shift_costs[1], 4, "all")
    with pytest.raises(ValueError, match="nfe=400 calls with any moves are more than"):
        candidates(shift_costs[1], 400)

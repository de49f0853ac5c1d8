"""What a masked token costs when k others are visible, against enumeration and the chain rule."""

import itertools
import math

import pytest
import torch

from lddm_lite import LatentDiffusion, Schedule, tasks, text
from lddm_lite.diffusion import best_counts, even_counts, finite_bound
from lddm_lite.diffusion.prediction import Prediction
from lddm_lite.diffusion.unmasking_order import still_masked
from lddm_lite.evaluation import exact_limit, step_costs, visible_costs

TINY = tasks.MixtureOfProducts(length=4, modes=3, noise=0.1)


def enumerated(task):
    """f(k) as its definition has it: all sequences, all sets of k visible, all masked tokens."""
    x = task.all_sequences()
    p = task.log_prob(x).exp()
    out = []
    for k in range(task.length):
        total, count = 0.0, 0
        for seen in itertools.combinations(range(task.length), k):
            x_t = x.clone()
            x_t[:, [i for i in range(task.length) if i not in seen]] = task.vocab
            for i in set(range(task.length)) - set(seen):
                one = x_t.clone()
                one[:, i] = x[:, i]
                cost = task.log_joint(x_t).logsumexp(-1) - task.log_joint(one).logsumexp(-1)
                total, count = total + float((p * cost).sum()), count + 1
        out.append(total / count)
    return torch.tensor(out, dtype=torch.float64)


def test_the_costs_of_a_tiny_task_are_those_of_enumeration():
    found = visible_costs(LatentDiffusion.exact(TINY), TINY.sample(8192, seed=3), seed=1)
    assert ((found.mean - enumerated(TINY)).abs() < 5 * found.stderr + 1e-9).all() and found.stderr.max() < 0.005


def test_the_sum_is_the_entropy():
    """Of an exact predictor, by the chain rule in random order; within five standard errors, which
    add up where the errors of all k go together."""
    task = tasks.Binsaw(length=32)
    found = visible_costs(LatentDiffusion.exact(task), task.sample(2048, seed=3))
    assert abs(float(found.mean.sum()) - task.entropy().value) < 5 * float(found.stderr.sum())
    assert float(found.stderr.sum()) < 0.15


def test_latents_that_say_all_that_tokens_share_leave_nothing_to_place():
    task = tasks.Binsaw(length=32)
    model = LatentDiffusion.exact(task, "shift")
    given = visible_costs(model, task.sample(512, seed=2)).mean
    alone = visible_costs(LatentDiffusion.exact(task), task.sample(512, seed=2)).mean
    assert given[0] - given[-1] < 0.2 * (alone[0] - alone[-1])


@pytest.mark.parametrize("counts", [[0, 1], [0, 2], [0, 1, 3]])
def test_the_bound_in_these_steps_is_the_sum_over_them(counts):
    """`nelbo` with a Schedule and equal counts estimates what `finite_bound` adds up."""
    model = LatentDiffusion.exact(TINY)
    found = model.nelbo(TINY.sample(8192, seed=5), Schedule.of_counts(counts, TINY.length), order="even", seed=2)
    assert found.nfe == len(counts)
    assert abs(found.total.value - finite_bound(enumerated(TINY), counts)) < 5 * found.total.stderr


def test_with_padding_shares_of_a_sequence_are_visible():
    """A sentence of n tokens out of L has as many masked as the sampler leaves at that time, and at
    least one; padding is never masked. Where all words are equally likely f is log V, n / L of it."""
    data = text.from_lines(["rain fell .", "snow fell on friday .", "rain ."], length=6)
    model, x, seen = LatentDiffusion.preset("mdlm", data, width=16), data.sample(16, seed=1), []

    def predict(x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        seen.append(where)
        assert (where == (x_t == data.vocab)).all()
        return Prediction(torch.full((int(where.sum()), data.vocab), -math.log(data.vocab)), None)

    model.predict = predict
    found, n = visible_costs(model, x), (x != data.pad_id).sum(1)
    assert len(n.unique()) > 1 and len(seen) == 6
    assert torch.allclose(found.each, (n / 6 * math.log(data.vocab)).double().unsqueeze(1).expand(-1, 6))
    for k, where in enumerate(seen):
        assert (where.sum(1) == still_masked(n, 1 - k / 6).clamp_min(1)).all() and not where[x == data.pad_id].any()


def test_costs_of_steps_are_those_of_visible_tokens_where_latents_rest():
    """Of a model without latents the table has f times L at each count, the same draws."""
    model, x = LatentDiffusion.exact(TINY), TINY.sample(256, seed=3)
    f, costs = visible_costs(model, x, seed=4).mean, step_costs(model, x, points=9, seed=4)
    assert torch.allclose(costs.tokens[:-1, 0], 4 * f) and len(costs.t_z) == 1


@pytest.mark.parametrize("encoder", ["shift", "shift-code"])
def test_a_walk_costs_what_nelbo_says(encoder):
    """The same steps, drawn anew: within five standard errors; `nelbo` also charges the last latents'
    step, which is taken off by one in which only tokens end. Interpolation is exact at all counts."""
    task = tasks.Binsaw(length=8)
    model = LatentDiffusion.exact(task, encoder, codes=4 if encoder == "shift-code" else None)
    costs = step_costs(model, task.sample(4096, seed=3), points=9, levels=5, seed=4)
    last = len(costs.t_z) - 1
    walk = [(0, 0), (2, 0), (2, last), (5, last), (8, last)]
    found = model.nelbo(task.sample(4096, seed=5), costs.schedule(walk), order="even", seed=2)
    assert abs(found.tokens.value + found.latents.value - costs.bound(walk)) < 5 * found.total.stderr * 2**0.5


def test_fewer_points_than_counts_are_interpolated():
    task = tasks.Binsaw(length=32)
    model, x = LatentDiffusion.exact(task), task.sample(256, seed=3)
    fine, coarse = (step_costs(model, x, points=k, seed=4).tokens[:-1, 0] for k in (33, 13))
    assert len(fine) == len(coarse) == 32
    assert (fine - coarse).abs().max() < 0.03 * fine.max()


def test_wrong_grids_are_named():
    with pytest.raises(ValueError, match="points must be an integer"):
        step_costs(LatentDiffusion.exact(TINY), TINY.sample(4), points=1)


def test_the_model_keeps_its_mode():
    model = LatentDiffusion.preset("mdlm", tasks.Binsaw(length=4), width=16).train()
    visible_costs(model, tasks.Binsaw(length=4).sample(4))
    assert model.training


def test_best_steps_beat_even_ones_on_binsaw():
    """With 32 bits, 2,048 samples: the excess of the samples, beyond five standard errors."""
    task = tasks.Binsaw(length=32)
    even, best = (exact_limit(task, (2, 4), n=2048, schedule=s) for s in ("even", "best"))
    for a, b in zip(even, best, strict=True):
        assert b["excess"] + 5 * (a["excess_se"] ** 2 + b["excess_se"] ** 2) ** 0.5 < a["excess"]
        assert b["counts"][0] == 0 and len(b["counts"]) == b["nfe"] == a["nfe"]


@pytest.mark.slow
def test_binsaw_128_at_its_best():
    """Against an independent reference: excess 13.8, 3.8, 0.93, 0.41 at 2, 4, 8, 16 calls, ± 0.4
    (its knots are its own, and near the best there are many), and of the bound 4.4, 1.5, 0.59, 0.25."""
    task = tasks.Binsaw(length=128)
    rows = exact_limit(task, (2, 4, 8, 16), n=4096, schedule="best")
    costs = visible_costs(LatentDiffusion.exact(task), task.sample(1024, seed=9), seed=9).mean
    for row, excess, bound in zip(rows, (13.8, 3.8, 0.93, 0.41), (4.4, 1.5, 0.59, 0.25), strict=True):
        assert abs(row["excess"] - excess) < 0.4 + 2 * row["excess_se"]
        assert abs(finite_bound(costs, row["counts"]) - float(costs.sum()) - bound) < 0.15
        assert finite_bound(costs, row["counts"]) < finite_bound(costs, even_counts(128, row["nfe"]))


def test_a_wrong_schedule_is_named():
    with pytest.raises(ValueError, match="schedule must be even or best, got 'tuned'"):
        exact_limit(TINY, (1,), n=8, schedule="tuned")


def test_best_counts_of_a_table_that_is_flat_are_any():
    """Four fair coins: nothing is lost, wherever the steps are."""
    task = tasks.MixtureOfProducts(length=4, modes=1, noise=0.5)
    costs = visible_costs(LatentDiffusion.exact(task), task.sample(64)).mean
    assert finite_bound(costs, best_counts(costs, 2)) == pytest.approx(finite_bound(costs, [0]), rel=1e-9)

"""What a masked token costs when k others are visible, against enumeration and the chain rule."""

import itertools

import pytest
import torch

from lddm_lite import LatentDiffusion, Schedule, tasks, text
from lddm_lite.diffusion import best_counts, even_counts, finite_bound
from lddm_lite.evaluation import exact_limit, visible_costs

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


def test_padding_is_refused():
    data = text.from_lines(["rain fell .", "snow fell on friday ."], length=6)
    with pytest.raises(ValueError, match="no padding"):
        visible_costs(LatentDiffusion.preset("mdlm", data, width=16), data.sample(4))


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

"""Gradients over micro-batches: means of theirs, with noise of their own."""

import pytest
import torch

from lddm_lite._common import randomness
from lddm_lite.training import microbatches, processes
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, TASK, Feed, rows, run, same, start

SYSTEMS = ("mdlm", "co-seq", "di-seq")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_gradient_is_the_mean_over_the_micro_batches(system):
    x, stage = TASK.sample(16), 1 if system != "mdlm" else 2
    model = start(system)
    terms = microbatches.backward(model, x, randomness.generator(3), stage, 0.5, 4, processes.Team("cpu"))
    seeds = torch.randint(2**31, (4,), generator=randomness.generator(3)).tolist()
    other = start(system)
    kept = {k: b.clone() for k, b in other.named_buffers()}
    losses = []
    for part, seed in zip(x.split(4), seeds, strict=True):
        loss = other.loss(part, randomness.generator(seed), stage, 0.5).total
        loss.backward()  # summed, not averaged
        losses.append(float(loss.detach()))
        for k, b in other.named_buffers():
            b.copy_(kept[k])
    assert float(terms["loss"]) == pytest.approx(sum(losses) / 4, rel=1e-6)
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        # sums of four in another order
        assert p.grad is None or torch.allclose(p.grad, q.grad / 4, rtol=1e-4, atol=1e-6), name


def test_statistics_are_the_mean_over_the_micro_batches():
    x, model = TASK.sample(16), start("co-seq")
    wanted = []
    for part in x.split(8):
        alike = start("co-seq")
        alike.encoder.train()
        alike.encoder(part)
        wanted.append(alike.encoder.centre.running_var)
    model.encoder.train()
    microbatches.backward(model, x, randomness.generator(0), 1, 0.5, 2, processes.Team("cpu"))
    assert torch.allclose(model.encoder.centre.running_var, sum(wanted) / 2)
    assert model.encoder.centre.num_batches_tracked == 2


@pytest.mark.parametrize("system", ["mdlm", "di-seq"])
def test_micro_batches_resume_exactly(system, responsive):
    whole = run(system, accumulate=4)
    model, history = run(system, stop=13, accumulate=4)
    same(whole, (model, fit(model, Feed(16), resume=history, **QUICK, accumulate=4)))
    assert rows(whole[1]) != rows(run(system)[1])  # other noise than one batch

"""Small training runs that can be interrupted at a given step, and what it means for two to be the
same."""

import signal

import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts
from lddm_lite.training.loop import fit

TASK = MixtureOfProducts(length=8, modes=2, noise=0.02)
SMALL = dict(width=16, heads=2, blocks=1, encoder_blocks=1, codes=16)
QUICK = dict(steps=24, batch=16, lr=1e-2, warmup=4, stage1=0.5, log_every=5, progress=False)


class Feed:
    """The task's samples; `at_step[k]` is called before the batch of training step k (counted from
    1)."""

    def __init__(self, batch, **at_step):
        self.length, self.vocab, self.batch, self.step = TASK.length, TASK.vocab, batch, 0
        self.at_step = {int(k[1:]): action for k, action in at_step.items()}

    def sample(self, n, g):
        if n == self.batch:  # not the batches that judge and settle the encoder
            self.step += 1
            self.at_step.get(self.step, lambda: None)()
        return TASK.sample(n, g)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def start(system, task=TASK, **changes):
    return LatentDiffusion.preset(system, task, seed=1, **{**SMALL, **changes})


def run(system, model=None, stop=None, **options):
    """Train a fresh model, interrupted in step `stop` if given: (model, history)."""
    model = model or start(system)
    feed = Feed(16, **({f"s{stop}": interrupt} if stop else {}))
    return model, fit(model, feed, **{**QUICK, **options})


def rows(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


def same(a, b):
    """Bitwise: the models, the rows of the histories, and the whole state that a further step would
    start from."""
    (model_a, history_a), (model_b, history_b) = a, b
    for x, y in ((model_a.state_dict(), model_b.state_dict()), (history_a.state.tensors, history_b.state.tensors)):
        assert x.keys() == y.keys()
        assert [k for k in x if not torch.equal(x[k], y[k])] == []
    assert rows(history_a) == rows(history_b) and history_a.events == history_b.events

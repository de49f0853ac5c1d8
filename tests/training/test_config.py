"""Options of training: the learning rate, and what they refuse."""

import pytest

from lddm_lite.training.config import TrainConfig
from lddm_lite.training.loop import fit
from tests.support.training_runs import TASK, start


def test_learning_rate_warms_up_and_falls_to_zero():
    c = TrainConfig(steps=200, lr=1.0, warmup=10)
    at = [c.lr_at(k) for k in range(200)]
    assert at[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert all(a >= b for a, b in zip(at[9:], at[10:], strict=False)) and at[-1] < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(stpes=3), "unknown training option 'stpes'; allowed are accumulate, batch, clip"),
        (dict(steps=0), "steps must be an integer >= 1, got 0"),
        (dict(batch=1.5), "batch must be"),
        (dict(lr=0), r"lr must be a number in \(0, inf\), got 0"),
        (dict(lr=float("inf")), r"lr must be a number in \(0, inf\), got inf"),
        (dict(clip=-1), "clip must be a number > 0, got -1"),
        (dict(stage1=1.2), "stage1 must be"),
        (dict(ema=float("nan")), "ema must be"),
        (dict(seed=-1), "seed must be"),
        (dict(warmup=-1), "warmup must be"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit(start("mdlm"), TASK, progress=False, **options)

"""Self-checks say what is wrong with an answer."""

import numpy as np
import pytest
import torch

from lddm_lite.course import selfcheck

WANT = torch.tensor([0.5, 1.5, -2.0])


@pytest.mark.parametrize(("got", "said"), [
    (WANT, "✓ Exercise 3: right."),
    (WANT.numpy(), "✓ Exercise 3: right."),
    (WANT.tolist(), "✓ Exercise 3: right."),
    (WANT + 5e-5, "✓ Exercise 3: right."),
    (..., "… Exercise 3: not tried yet; put your answer in place of the dots, and run its cell and this one."),
    (None, "✗ Exercise 3: there is no value: None; the function must return its result."),
    ("half", "✗ Exercise 3: numbers are wanted, and this is str."),
    (WANT[:2], "✗ Exercise 3: its shape is (2,); wanted is (3,)."),
    (WANT / 0, "✗ Exercise 3: 3 of 3 values are nan or infinite."),
    (-WANT, "✗ Exercise 3: the sign is the other way round."),
    (WANT * 2, "✗ Exercise 3: all values are 2 times too large."),
    (WANT - 1, "✗ Exercise 3: all values are off by -1 nats."),
    (WANT * torch.tensor([1, 1, 2]), "✗ Exercise 3: at [2] yours is -4 nats, too small by 2 (1 of 3 values are off)."),
    (WANT.flip(0), "✗ Exercise 3: that is the other order."),
])  # fmt: skip
def test_says_what_is_wrong(got, said, capsys):
    right = selfcheck(3, got, WANT, mistakes={"that is the other order": WANT.flip(0)}, unit="nats")
    assert capsys.readouterr().out.strip() == said
    assert right == said.startswith("✓")


def test_a_number(capsys):
    assert selfcheck("1b", np.float32(2.0), 2.0)
    assert not selfcheck("1b", 3, 2.0, unit="nats")
    assert "yours is 3 nats, too large by 1." in capsys.readouterr().out


def test_strict(monkeypatch):
    monkeypatch.setenv("LDDM_STRICT", "1")
    assert selfcheck(1, 1.0, 1.0)
    for got in (..., 2.0):
        with pytest.raises(AssertionError, match="exercise 1"):
            selfcheck(1, got, 1.0)


def test_bad_tolerance():
    with pytest.raises(ValueError, match="tol must be a number > 0"):
        selfcheck(1, 1.0, 1.0, tol=0)

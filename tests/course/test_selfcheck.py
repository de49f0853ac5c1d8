"""Self-checks say what is wrong with an answer."""

import json

import numpy as np
import pytest
import torch

from lddm_lite import course
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
    (WANT * torch.tensor([1, 1, 2]), "✗ Exercise 3: value 3 of 3 is -4 nats, too small by 2 (1 of 3 off)."),
    (WANT.flip(0), "✗ Exercise 3: that is the other order."),
    ((0.5, 1.5, -2), "✓ Exercise 3: right."),
    ([-2, 1.5, 0.5], "✗ Exercise 3: that is the other order."),
])  # fmt: skip
def test_says_what_is_wrong(got, said, capsys):
    right = selfcheck(3, got, WANT, mistakes={"that is the other order": WANT.flip(0)}, unit="nats")
    assert capsys.readouterr().out.strip() == said
    assert right == said.startswith("✓")


def test_a_number(capsys):
    assert selfcheck("1b", np.float32(2.0), 2.0)
    assert not selfcheck("1b", 3, 2.0, unit="nats")
    assert "yours is 3 nats, too large by 1." in capsys.readouterr().out


@pytest.mark.filterwarnings("error")
def test_a_list_of_arrays(capsys):
    assert selfcheck(1, [np.ones(2), np.zeros(2)], [[1, 1], [0, 0]])
    assert course.numbers([np.ones(2), np.ones(3)]) is None


def test_strict(monkeypatch):
    monkeypatch.setenv("LDDM_STRICT", "1")
    assert selfcheck(1, 1.0, 1.0)
    for got in (..., 2.0):
        with pytest.raises(AssertionError, match="exercise 1"):
            selfcheck(1, got, 1.0)


def test_bad_tolerance():
    with pytest.raises(ValueError, match="tol must be a number > 0"):
        selfcheck(1, 1.0, 1.0, tol=0)


def test_an_answer_that_breaks_the_check_is_told_what_is_wanted(capsys, monkeypatch):
    monkeypatch.setattr(course, "_VERDICTS", {})
    with course.checking(3, "a path"):
        selfcheck(3, None.knots, 1.0)
    assert course.report()["3"] is False
    said = capsys.readouterr().out
    assert "✗ Exercise 3: wanted is a path; yours ended the check with AttributeError: 'NoneType' object" in said
    with course.checking(3, "a number"):
        assert not selfcheck(3, 2.0, 1.0) and not selfcheck(3, ..., 1.0)
    assert "wanted" not in capsys.readouterr().out


def test_in_a_strict_run_it_fails_once(capsys, monkeypatch):
    monkeypatch.setenv("LDDM_STRICT", "1")
    for answer in (2.0, ...):
        with pytest.raises(AssertionError, match="exercise 3"), course.checking(3, "a number"):
            selfcheck(3, answer, 1.0)
    with pytest.raises(AssertionError, match="wanted is a number"), course.checking(3, "a number"):
        raise KeyError("x" * 400)
    assert len(capsys.readouterr().out.splitlines()[-1]) < 300


LN2 = 0.6931471805599453


@pytest.mark.parametrize(("got", "want", "right"), [
    (0.69, LN2, True), (0.693, LN2, True), (0.6931, LN2, True), ([0.69, 2.08, 1.39], [LN2, 3 * LN2, 2 * LN2], True),
    (0.33, 1 / 3, True), (22.2, 32 * LN2, True), (11.3, 11.3137, True), (3.58, 3.58352, True),
    ([20.09, 54.60, 93.34], [20.0855, 54.5982, 93.3362], True), (-0.69, -LN2, True), (0.66, 2 / 3, True),
    (0.67, 2 / 3, True), ([1, 0.33], [1.0, 1 / 3], True),
    (0.7, LN2, False), (0.68, LN2, False), (0.71, LN2, False), (-0.69, LN2, False), (22, 32 * LN2, False),
    (1.5, 1.4427, False), (1.0, LN2, False), (True, 1.2, False), (torch.tensor(0.69), LN2, False),
    ([0.69, 2.1], [LN2, 2 * LN2], False),
])  # fmt: skip
def test_what_a_person_types_is_rounded(got, want, right, capsys):
    assert selfcheck(1, got, want, tol=1e-4) is right
    assert torch.is_tensor(got) or "by 0.00" not in capsys.readouterr().out, "the digits that are missing are not told"


def test_rounded_too_far_is_said_and_tells_no_digit(capsys):
    selfcheck(1, 0.7, LN2), selfcheck(1, 22, 32 * LN2)
    assert capsys.readouterr().out.count("rounded too far; give two digits after the point, or more.") == 2


def test_a_report_of_what_is_solved(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(course, "_VERDICTS", {})
    selfcheck(1, 1.0, 1.0), selfcheck(2, 1.0, 2.0), selfcheck("3b", ..., 2.0)
    capsys.readouterr()
    assert course.report() == {"1": True, "2": False, "3b": None}
    assert capsys.readouterr().out == "solved 1 of 3: 1 ✓ 2 ✗ 3b …\n"
    file = tmp_path / "me.json"
    course.report(file, "01")
    selfcheck(2, 2.0, 2.0)
    course.report(file, "02")
    assert json.loads(file.read_text())["notebooks"] == {
        "01": {"1": "✓", "2": "✗", "3b": "…"}, "02": {"1": "✓", "2": "✓", "3b": "…"}}  # fmt: skip
    with pytest.raises(ValueError, match="name must say which notebook"):
        course.report(file)
    for foreign in ("{}", "no json", "[]"):
        file.write_text(foreign)
        with pytest.raises(ValueError, match="not a report of this course"):
            course.report(file, "01")
        assert file.read_text() == foreign

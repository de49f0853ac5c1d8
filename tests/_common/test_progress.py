"""Progress: a bar on stderr, lines in a log, or nothing at all."""

import io
import sys

import pytest

from lddm_lite._common import progress
from lddm_lite._common.progress import bar


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    monkeypatch.setattr("tqdm.std.time", made.monotonic)
    progress._lines.cache_clear()
    yield made
    progress._lines.cache_clear()


def test_what_is_not_to_be_shown_is_not(capfd):
    assert list(bar(range(3), show=False, desc="steps")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_terminal_has_a_bar(capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bar(total=2, desc="rows", unit="row") as b:
        b.update(2)
    out, err = capfd.readouterr()
    assert out == "" and "rows: 100%" in err and "2/2" in err


def test_a_log_has_whole_lines_that_grow_rarer(capfd, clock):
    for _ in bar(range(200), desc="compare", unit="rows"):
        clock.now += 1.0
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == "" and "\r" not in err and err.endswith("\n")
    at = [int(line.split()[1]) for line in lines]
    assert at == [2, 6, 14, 30, 60, 90, 120, 150, 180]
    assert lines[1] == "compare: 6 of 200 rows, 00:06, 03:14 left"


def test_what_is_over_at_once_says_nothing(capfd, clock):
    with bar(total=5, desc="rows") as b:
        b.update(5)
        clock.now += 1.0
    assert capfd.readouterr() == ("", "")


def test_messages_between_lines_stay_whole(capfd, clock):
    with bar(total=10, desc="training", unit="steps") as b:
        for k in range(10):
            clock.now += 1.0
            b.update()
            b.set_postfix_str("loss 2")
            if k == 4:
                b.write("a preview", file=sys.stderr)
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["training: 2 of 10 steps, 00:02, 00:08 left, loss 2", "a preview",
                     "training: 6 of 10 steps, 00:06, 00:04 left, loss 2"]  # fmt: skip


def test_a_notebook_has_a_bar_of_its_own(capfd, monkeypatch):
    """Its streams are ipykernel's; that somebody has imported ipykernel makes no notebook."""
    import ipykernel.iostream  # noqa: F401 - as a test that runs notebooks does

    with bar(total=2, desc="rows", unit="row") as b:
        assert type(b).__name__ == "Lines"
    monkeypatch.setattr(sys, "stderr", type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})())
    with bar(total=2, desc="rows", unit="row") as b:
        assert type(b).__name__ != "Lines"

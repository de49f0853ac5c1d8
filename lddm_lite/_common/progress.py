"""Progress: a bar of tqdm in a terminal and in Jupyter, whole lines in a log."""

from __future__ import annotations

import io
import sys
import time
from functools import cache

__all__ = ["bar"]

FIRST, EVERY = 2.0, 30.0  # seconds: a log's first line, and the longest silence while work goes on
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed}, {remaining} left{postfix}"


def bar(over=None, show: bool = True, **options):
    """A tqdm bar as wide as its window; where stderr is neither a terminal nor a notebook's, lines
    with the time left instead: after two seconds, after twice as long, and so on, at last one every
    half minute.

    - `over`: what to go through, if anything;
    - `show`: False shows nothing;
    - `options`: of tqdm.

    >>> [k for k in bar(range(3), show=False, desc="steps")]
    [0, 1, 2]
    """
    from tqdm.auto import tqdm

    notebook = type(sys.stderr).__module__.startswith("ipykernel")
    if not show or notebook or sys.stderr.isatty():
        return tqdm(over, disable=not show, dynamic_ncols=True, **options)
    return _lines()(over, **options)


@cache
def _lines():
    from tqdm import tqdm

    class Lines(tqdm):
        """tqdm for a file: each line is whole and ends; nothing is written over."""

        def __init__(self, over=None, **options):
            self.next, self.pause = time.monotonic() + FIRST, FIRST
            super().__init__(over, **{"file": sys.stderr, "mininterval": 0.5, "bar_format": LINE} | options)

        def display(self, msg=None, pos=None):
            """A line, if it is time for one, or the last."""
            now = time.monotonic()
            if now >= self.next and msg is None:
                self.fp.write(f"{str(self).replace('?it', '?')}\n")
                self.pause = min(2 * self.pause, EVERY)
                self.next = now + self.pause

        def clear(self, nolock=False):
            """What has been written stays."""

        def close(self):
            if not self.disable:
                self.display()
                self.fp = io.StringIO()  # what would end a bar
            super().close()

    return Lines

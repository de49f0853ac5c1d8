"""Progress bars: tqdm, a widget in Jupyter, text in a terminal."""

from __future__ import annotations

__all__ = ["bar"]


def bar(over=None, show: bool = True, **options):
    """A tqdm bar as wide as its window; `over`: what to go through, if anything; `options` of tqdm.

    >>> [k for k in bar(range(3), show=False, desc="steps")]
    [0, 1, 2]
    """
    from tqdm.auto import tqdm

    return tqdm(over, disable=not show, dynamic_ncols=True, **options)

"""What the tests of the widgets' pages share: opening one, and reading what it shows."""

from __future__ import annotations

from pathlib import Path

FITS = "() => document.documentElement.scrollWidth <= innerWidth"


def opened(offline, path: Path, **look):
    """The page, once the scrubber is there; the still picture has given way to it."""
    watched = offline(path, **look)
    watched.page.wait_for_selector(".lddm-host[data-ready]")
    assert not watched.page.locator(".lddm-still").is_visible()
    return watched


def shown(page, run: int = 0) -> list[str]:
    return page.locator(".tokens").nth(run).locator("[role=option]").evaluate_all(
        "cells => cells.filter(c => !c.hidden).map(c => c.classList.contains('masked') ? null : c.textContent)"
    )


def expected(trace, sample: int, step: int) -> list:
    row = trace.tokens_at(min(step, trace.steps))[sample]
    return [None if v == trace.mask_id else trace.labels[v] for v in row if v != trace.pad_id]


def hex_of(element) -> str:
    r, g, b = element.evaluate("e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number)")[:3]
    return f"#{r:02x}{g:02x}{b:02x}"


def quiet(watched) -> None:
    assert watched.errors == [] and watched.off_machine == []


def calm(measure, holds, times: int = 8):
    """The first of several measurements for which `holds`, else the last: a machine that is busy
    with other work makes some slow, whereas what is slow by itself is slow each time."""
    for _ in range(times):
        found = measure()
        if holds(found):
            break
    return found

"""Fixtures: one browser and one JupyterLab for all tests; notebooks and offline files, closed when
their test ends."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from . import axe as axe_core
from .lab import Lab
from .notebook import NotebookPage
from .pages import FLAGS, OPEN, Watched

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_numbers = count(1)


def browser_path() -> str:
    """`$CHROMIUM`, or the first browser that the machine has. Without one: skipped, but in CI that
    is a failure."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        message = f"no browser: install chromium (none of {', '.join(BROWSERS)} is on the path) or set CHROMIUM"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    path = browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab():
    """One JupyterLab for all tests; see `Lab`."""
    server = Lab()
    yield server
    server.close()


@contextmanager
def _notebooks(browser, server):
    opened = []

    def notebook(cells, name: str = "notebook", run: bool = True, **look) -> NotebookPage:
        opened.append(NotebookPage(browser, server, cells, f"{name}-{next(_numbers)}", **look))
        opened[-1].open()  # once it is in the list, so that it is closed even if this fails
        if run:
            opened[-1].run_all()
        return opened[-1]

    yield notebook
    for page in opened:
        page.close()


@pytest.fixture
def notebook(chromium, lab):
    """`notebook(cells, name=..., run=True, viewport=(1200, 900), color_scheme="light",
    reduced_motion=...)`.

    `cells` are sources of code cells, or the `Path` of an .ipynb file, of which a copy is opened.
    """
    with _notebooks(chromium, lab) as make:
        yield make


@pytest.fixture(scope="module")
def module_notebook(chromium, lab):
    """Like `notebook`, for a page that the tests of a module share."""
    with _notebooks(chromium, lab) as make:
        yield make


@pytest.fixture
def offline(chromium, tmp_path):
    """`offline(source, allowed=None, viewport=..., color_scheme=..., reduced_motion=...)`: HTML
    with the network off.

    `source` is the `Path` of a file, or the HTML itself. Addresses that match `allowed` may be
    asked for, in vain.
    """
    opened = []

    def show(source: Path | str, allowed: str | None = None, **look) -> Watched:
        if isinstance(source, str):
            source, html = tmp_path / f"page-{next(_numbers)}.html", source
            source.write_text(html, encoding="utf-8")
        noise = (allowed,) if allowed else ()
        opened.append(Watched(chromium, own="|".join(("file:", *noise)), noise=noise, offline=True, **look))
        opened[-1].page.goto(source.resolve().as_uri())
        return opened[-1]

    yield show
    for page in opened:
        page.close()


@pytest.fixture(scope="session")
def scrubbers(tmp_path_factory):
    """Pages of scrubbers, the traces they show, and what was sent to the browser, by name."""
    from lddm_lite.widgets import payload

    from . import scrubber_runs as runs

    folder = tmp_path_factory.mktemp("scrubbers")
    out = {}
    for name in ("bits", "words", "hostile", "pictures"):
        scrubber, trace = getattr(runs, name)()
        out[name] = scrubber.to_html(folder / f"{name}.html"), trace, payload.unpack(scrubber.data)
    return out


@pytest.fixture
def axe():
    """`axe(page, selector=None, unsure=False)`: the serious and critical violations; see
    `axe.violations`."""
    return lambda page, *args, **kwargs: axe_core.violations(getattr(page, "page", page), *args, **kwargs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails, in whatever wait, leaves a picture of each page that is open, and says
    what they said."""
    report = yield
    if report.failed:
        for number, watched in enumerate(OPEN):
            try:
                said = [f"picture: {watched.shot(f'FAILED-{item.name}-{number}')}"]
            # a page that has crashed has no picture, and must not hide the failure
            except Exception as error:
                said = [f"no picture: {error}"]
            said += watched.errors + [f"asked for {url}" for url in watched.off_machine]
            report.sections.append(("page", "\n".join(said)))
        server = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
        if server:
            report.sections.append(("JupyterLab", server.tail()))
    return report

"""The scripts that make notebooks and decks, which lie beside the notebooks, in no package; and what
a notebook defines."""

import os
import shutil
import subprocess
import sys

import jupytext
import pytest

from tests.support import ROOT

sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT / "notebooks/decks")]
import address  # noqa: E402
import build  # noqa: E402
import make_decks  # noqa: E402
import pictures  # noqa: E402

__all__ = ["address", "build", "deck_tools", "defined", "make_decks", "pictures"]


def deck_tools() -> None:
    """Fetches what decks are built with. Where node, npm or their registry are missing: skipped, but
    in CI that is a failure."""
    missing = [name for name in ("node", "npm") if not shutil.which(name)]
    try:
        if not missing:
            make_decks.fetched()
            return
        message = f"decks need {' and '.join(missing)}"
    except subprocess.CalledProcessError:
        message = "npm could not fetch reveal.js and KaTeX"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


def defined(name: str) -> dict:
    """What the setup cells of notebook `name` define, run by themselves: name -> value."""
    names: dict = {"__name__": f"notebook_{name[:2]}"}
    for cell in jupytext.read(ROOT / f"notebooks/source/{name}.py", fmt="py:percent").cells:
        if cell.cell_type == "code" and "setup" in build.tags(cell):
            exec("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")), names)
    return names

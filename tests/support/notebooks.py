"""The scripts that make notebooks and slides, which lie beside the notebooks, in no package; and
what a notebook defines."""

import sys

import jupytext

from tests.support import ROOT

sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402
import slides  # noqa: E402

__all__ = ["build", "defined", "slides"]


def defined(name: str) -> dict:
    """What the setup cells of notebook `name` define, run by themselves: name -> value."""
    names: dict = {"__name__": f"notebook_{name[:2]}"}
    for cell in jupytext.read(ROOT / f"notebooks/source/{name}.py", fmt="py:percent").cells:
        if cell.cell_type == "code" and "setup" in build.tags(cell):
            exec("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")), names)
    return names

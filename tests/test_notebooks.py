"""Every notebook runs top to bottom from a fresh kernel, at LDDM_FAST size, and what is committed is fit to be read."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))
from refresh import run  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, monkeypatch):
    monkeypatch.setenv("LDDM_FAST", "1")
    nb = run(path)
    said = [o["text"] for c in nb.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    assert not [text for text in said if "Traceback" in text]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_outputs(path):
    """Figures are there for readers on the web; nothing names a machine; no warnings; GitHub can show it."""
    nb = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 1_000_000
    assert "widgets" not in nb.metadata, "widget state makes GitHub refuse the notebook; clear it before committing"
    outputs = [o for c in nb.cells for o in c.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 4, "run it in full and commit the figures"
    assert not [o for o in outputs if o.output_type == "error"]
    text = "".join(str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for o in outputs)
    assert not re.search(r"/home/|/tmp/|/root/|/Users/|[A-Z]:\\\\|Warning", text)

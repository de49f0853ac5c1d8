"""Run the notebooks in full and keep their outputs: `make notebooks`. The tests run them with the same function."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import nbformat
from PIL import Image

WIDGET = "application/vnd.jupyter.widget-view+json"


def run(path: Path, seconds: int = 900):
    """Execute and return a notebook. Fails on an exception inside a widget callback too, which nbclient lets pass."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    for attempt in (1, 2):  # widget notebooks have been seen to hang while starting; once more is enough
        nb = nbformat.read(path, as_version=4)
        where = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(nb, timeout=seconds, kernel_name="python3", resources=where)
        try:
            client.execute()
            break
        except (CellTimeoutError, DeadKernelError):
            if attempt == 2:
                raise
    state = nb.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    inside = [o for w in state.values() for o in w["state"].get("outputs", []) if o.get("output_type") == "error"]
    if inside:
        raise RuntimeError(f"errors inside widget callbacks: {inside}")
    return nb


def clean(nb):
    """Leave what a page without a kernel can show: no widget state (GitHub refuses it), no progress bars, no timings."""
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        kept = []
        for out in cell.get("outputs", []):
            if out.get("name") == "stderr":
                continue
            if WIDGET in out.get("data", {}):
                del out["data"][WIDGET]
                if "text/html" not in out["data"]:
                    continue
            if "image/png" in out.get("data", {}):
                out["data"]["image/png"] = smaller(out["data"]["image/png"])
            kept.append(out)
        if cell.cell_type == "code":
            cell.outputs = kept
    return nb


def smaller(png: str) -> str:
    """A figure in 256 colours, base64 in and out: a third of the bytes, and no eye sees the difference."""
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "png", optimize=True, dpi=picture.info["dpi"])
    return base64.b64encode(out.getvalue()).decode() if out.tell() < len(png) * 3 / 4 else png


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(Path(__file__).parent.glob("*.ipynb")):
        print(name, flush=True)
        nbformat.write(clean(run(Path(name))), name)

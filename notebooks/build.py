"""Make the notebooks from notebooks/source: `make notebooks` builds and runs them all; name some to build only those.
After a change of prose alone, --prose takes over the outputs that are there, and runs nothing.

A source is a Python file in cells (`# %%`, jupytext's percent format). Tags of a cell tell what becomes of it:

    setup       in the student's notebook and, first, in the solutions
    exercises   the heading of the exercises: from here on, all cells are in both
    exercise    the code that a student starts from; the solutions hold the `solution` that follows instead
    solution    code or text that no student's notebook holds
    figure      its committed output must hold a picture
    folded      code that need not be read
    proof       an identity by number, for those who doubt it
    appendix    a heading; what stands below it, up to the next one of its rank, is folded

The code of setup, figure, folded, proof and check cells is collapsed: one click shows it. So is
what comes out of proofs, and after "Predict, then run.", but for widgets. After the title each gets
the cell COLAB, which fetches the course where a notebook was opened alone. The student's notebook
goes to notebooks/, the solutions to notebooks/solutions/, under the same name.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import tomllib
from datetime import datetime
from pathlib import Path

import nbformat
from PIL import Image

HERE = Path(__file__).resolve().parent
COLLAPSED = {"setup", "figure", "folded", "proof", "check", "colab"}
PREDICT = "> **Predict, then run.**"
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COLAB = """# On Google Colab: fetch the course. Anywhere else this does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("/content/lddm-lite"):
    address = os.environ.get("LDDM_REPOSITORY") or input("Address of the repository (https://...): ")
    !git clone --quiet --depth 1 {address} /content/lddm-lite
    %pip install --quiet -e /content/lddm-lite
    sys.path.insert(0, "/content/lddm-lite")  # this kernel was started before the installation
    %cd -q /content/lddm-lite/notebooks
    sys.modules["google.colab"].output.enable_custom_widget_manager()"""
ASKED = 'input("Address of the repository (https://...): ")'


def repository(root: Path = HERE.parent) -> str:
    """The repository's address, as pyproject.toml tells it (address.py); empty where it does not."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return project.get("urls", {}).get("Repository", "")


def colab(address: str) -> str:
    """The cell that fetches the course on Colab: from this address, or from one that it asks for."""
    return COLAB.replace(ASKED, f'"{address}"') if address else COLAB


def sources() -> list[Path]:
    return sorted((HERE / "source").glob("*.py"))


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def build(source: Path):
    """The student's notebook and the solutions of a source, without outputs; None for solutions that it lacks."""
    import jupytext

    cells = jupytext.read(source, fmt="py:percent").cells
    student = [c for c in cells if "solution" not in tags(c)]
    if len(student) == len(cells):
        return _notebook(student), None
    begin = next((i for i, c in enumerate(cells) if "exercises" in tags(c)), None)
    if begin is None:
        raise ValueError(f"{source.name}: it has solutions, and no cell tagged exercises before them")
    title = cells[0].source.lstrip("# ").splitlines()[0]
    about = f"# Solutions: {title}\n\nTo [`{source.stem}.ipynb`](../{source.stem}.ipynb). Try first, then read."
    setup = [c for c in cells[:begin] if "setup" in tags(c)]
    kept = [c for c in cells[begin:] if "exercise" not in tags(c)]
    return _notebook(student), _notebook([nbformat.v4.new_markdown_cell(about), *setup, *kept])


def _notebook(cells):
    made, predicted = [], False
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            predicted = PREDICT in cell.source
            made.append(nbformat.v4.new_markdown_cell(cell.source, id=f"cell-{i:02d}", metadata=_metadata(tags(cell))))
        else:
            metadata = _metadata(tags(cell), predicted and "widgets." not in cell.source)
            made.append(nbformat.v4.new_code_cell(cell.source, id=f"cell-{i:02d}", metadata=metadata))
    made.insert(1, nbformat.v4.new_code_cell(colab(repository()), id="colab", metadata=_metadata(["colab"])))
    return nbformat.v4.new_notebook(cells=made, metadata=KERNEL)


def _metadata(words: list[str], predicted: bool = False) -> dict:
    """What a cell with these tags tells JupyterLab and Colab, collapsed or not."""
    found: dict = {"tags": words} if words else {}
    hidden = {"source_hidden": True} if COLLAPSED & set(words) else {}
    hidden |= {"outputs_hidden": True} if predicted or "proof" in words else {}
    if hidden:
        found["jupyter"] = hidden
    if "source_hidden" in hidden:
        found["cellView"] = "form"  # Colab's word for it
    if "appendix" in words:
        found["jp-MarkdownHeadingCollapsed"] = True
    return found


def run(nb, folder: Path, seconds: int = 900):
    """Execute and return a notebook. Fails on an exception inside a widget callback too, which nbclient lets pass."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    for attempt in (1, 2):  # widget notebooks have been seen to hang while starting; once more is enough
        nb = nbformat.from_dict(nb)
        where = {"metadata": {"path": str(folder)}}
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


def pace(nb) -> str:
    """What a run took, and its slowest cell: none should need more than six minutes."""
    took = {}
    for cell in nb.cells:
        when = cell.metadata.get("execution", {})
        if "shell.execute_reply" in when:
            begin, end = (datetime.fromisoformat(when[k]) for k in ("iopub.execute_input", "shell.execute_reply"))
            took[cell.id] = (end - begin).total_seconds()
    slowest = max(took, key=took.get)
    return f"{sum(took.values()):.0f} s; slowest cell {slowest}: {took[slowest]:.0f} s"


def clean(nb):
    """Leave what a page without a kernel shows: no widget state (GitHub refuses it), no progress bars, no timings."""
    nb.metadata = nbformat.from_dict(KERNEL)
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
            if kept and out.output_type == "stream" == kept[-1].output_type:  # a progress bar had come between
                kept[-1].text += out.text
                continue
            kept.append(out)
        if cell.cell_type == "code":
            cell.outputs = kept
    return nb


def smaller(png: str) -> str:
    """A figure in 256 colours, base64 in and out: a third of the bytes, and no eye sees the difference."""
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(out, "png", optimize=True, dpi=picture.info["dpi"])
    return base64.b64encode(out.getvalue()).decode() if out.tell() < len(png) * 3 / 4 else png


def with_outputs(nb, path: Path):
    """The notebook with the outputs of the one at `path`. ValueError if their code differs."""
    new, old = ([c for c in cells if c.cell_type == "code"] for cells in (nb.cells, nbformat.read(path, 4).cells))
    if [c.source for c in new] != [c.source for c in old]:
        raise ValueError(f"{path.name}: its code is not that of the source any more; build it without --prose")
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return nb


def main(arguments=None) -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("names", nargs="*", help="such as 01_masked_diffusion (default: all)")
    p.add_argument("--prose", action="store_true", help="keep the outputs; fails where code has changed")
    o = p.parse_args(arguments)
    chosen = o.names
    known = {s.stem: s for s in sources()}
    for name in chosen or known:
        if name not in known:
            p.error(f"no {name!r}; there are {', '.join(known)}")
    for name in chosen or known:
        for nb, folder in zip(build(known[name]), (HERE, HERE / "solutions"), strict=True):
            if nb is None:
                continue
            print(folder.name, name, flush=True)
            folder.mkdir(exist_ok=True)
            if o.prose:
                nbformat.write(with_outputs(nb, folder / f"{name}.ipynb"), folder / f"{name}.ipynb")
                continue
            if folder != HERE:
                os.environ["LDDM_STRICT"] = "1"  # a solution that fails its own check is none
            done = run(nb, folder)
            print("   ", pace(done), flush=True)
            done = clean(done)
            os.environ.pop("LDDM_STRICT", None)
            nbformat.write(done, folder / f"{name}.ipynb")


if __name__ == "__main__":
    main()

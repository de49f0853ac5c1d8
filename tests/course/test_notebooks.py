"""The course: every notebook runs from a fresh kernel at LDDM_FAST size, students' hold no
solution, solutions pass their own checks, and what is committed comes from its source and is fit to
be read."""

import re

import nbformat
import pytest

from tests.support import ROOT
from tests.support.notebooks import build

SOURCES = build.sources()
BUILT = [(s, i) for s in SOURCES for i, nb in enumerate(build.build(s)) if nb is not None]
FOLDERS = (ROOT / "notebooks", ROOT / "notebooks/solutions")
COMMITTED = [FOLDERS[i] / f"{s.stem}.ipynb" for s, i in BUILT]


def name(value):
    return f"solutions-{value[0].stem}" if value[1] else value[0].stem


def text_of(nb) -> str:
    return "\n".join(c.source for c in nb.cells)


# The first notebook at every test, the course by `make test-course`.
RUNS = [pytest.param(b, id=name(b), marks=() if b[0].stem.startswith("00") else pytest.mark.course) for b in BUILT]


@pytest.mark.parametrize("which", RUNS)
def test_runs(which, monkeypatch):
    """With every self-check passed in the solutions, and none of them tried by the student."""
    source, part = which
    monkeypatch.setenv("LDDM_FAST", "1")
    if part:
        monkeypatch.setenv("LDDM_STRICT", "1")
    nb = build.run(build.build(source)[part], FOLDERS[0])
    outputs = [o for c in nb.cells for o in c.get("outputs", [])]
    assert not [o["text"] for o in outputs if o.get("name") == "stderr" and "Traceback" in o["text"]]
    said = "".join(o["text"] for o in outputs if o.get("name") == "stdout")
    assert "✗ Exercise" not in said
    if part == 0:
        assert "✓ Exercise" not in said, "an untouched exercise must not count as solved"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_committed_is_what_the_source_says(path):
    """Or `make notebooks` was forgotten. Ids, too, so that a diff shows what changed."""
    student, solutions = build.build(ROOT / f"notebooks/source/{path.stem}.py")
    built = solutions if path.parent.name == "solutions" else student
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    what = [(c.id, c.cell_type, c.source, c.metadata) for c in nb.cells]
    assert what == [(c.id, c.cell_type, c.source, c.metadata) for c in built.cells]


def visible(source) -> int:
    """Lines of code that a student sees unfolded, without blank ones."""
    code = [c for c in build.build(source)[0].cells if c.cell_type == "code"]
    shown = [c.source for c in code if not c.metadata.get("jupyter", {}).get("source_hidden")]
    return sum(bool(line.strip()) for text in shown for line in text.splitlines())


def test_most_of_the_code_is_folded_away():
    lines = {s.stem.split("_")[0]: visible(s) for s in SOURCES}
    new = {k: v for k, v in lines.items() if k in ("03b", "08")}
    assert lines["02"] <= 350 and max(new.values()) <= 200
    assert sum(v for k, v in lines.items() if k not in new) <= 1500, lines


def test_nothing_else_lies_there():
    found = {p for folder in FOLDERS for p in folder.glob("*.ipynb")}
    assert found == set(COMMITTED)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_students_hold_no_solution(source):
    """No line of a solution, unless the student's own cells had it anyway: `return` and the like
    are no secret."""
    student, solutions = build.build(source)
    if solutions is None:
        pytest.skip("no solutions")
    import jupytext

    cells = jupytext.read(source, fmt="py:percent").cells
    secret = "\n".join(c.source for c in cells if "solution" in build.tags(c))
    committed = nbformat.read(FOLDERS[0] / f"{source.stem}.ipynb", as_version=4)
    for nb in (student, committed):
        lines = {line.strip() for line in text_of(nb).splitlines()}
        open_ = {line.strip() for c in cells if "solution" not in build.tags(c) for line in c.source.splitlines()}
        given = [line for line in map(str.strip, secret.splitlines()) if len(line) > 12 and line not in open_]
        assert given and not set(given) & lines
        assert not [c for c in nb.cells if "solution" in build.tags(c)]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_committed_outputs(path):
    """Figures are there for readers on the web; nothing names a machine; no warnings; GitHub can
    show it."""
    nb = nbformat.read(path, as_version=4)
    models = 400_000 if path.stem == "06_scrub" else 0  # two live in it, so that they sample without a kernel
    assert path.stat().st_size < 1_000_000 + models
    assert "widgets" not in nb.metadata, "widget state makes GitHub refuse the notebook"
    for cell in nb.cells:
        if "figure" in build.tags(cell):
            assert any("image/png" in o.get("data", {}) or "text/html" in o.get("data", {}) for o in cell.outputs), (
                f"{cell.id} has no picture: run it in full"
            )
    outputs = [o for c in nb.cells for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    values = [o.data for o in outputs if o.output_type == "execute_result"]
    stray = [d["text/plain"] for d in values if "text/html" not in d and d["text/plain"][:7] != "Infill("]
    assert not stray, "values that a cell should not show: end its last line with a semicolon"
    text = "".join(str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for o in outputs)
    assert not re.search(r"/home/|/tmp/|/root/|/Users/|[A-Z]:\\\\|Warning", text)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_links_lead_somewhere(path):
    text = text_of(nbformat.read(path, as_version=4))
    links = re.findall(r"\]\(([^)#]+)\)", text)
    local = [link for link in links if not re.match(r"https?://", link)]
    assert all((path.parent / link).exists() for link in local), local

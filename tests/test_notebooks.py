"""The course: every notebook runs from a fresh kernel at LDDM_FAST size, students' hold no solution, solutions pass
their own checks, and what is committed comes from its source and is fit to be read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

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
    assert [(c.id, c.cell_type, c.source) for c in nb.cells] == [(c.id, c.cell_type, c.source) for c in built.cells]


def test_nothing_else_lies_there():
    found = {p for folder in FOLDERS for p in folder.glob("*.ipynb")}
    assert found == set(COMMITTED)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_students_hold_no_solution(source):
    """No line of a solution, unless the student's own cells had it anyway: `return` and the like are no secret."""
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
    """Figures are there for readers on the web; nothing names a machine; no warnings; GitHub can show it."""
    nb = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 1_000_000
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


# --- the builder --------------------------------------------------------------------------------------------------

SOURCE = '''# %% [markdown]
# # A title

# %% tags=["setup"]
a = 1

# %%
b = 2

# %% [markdown] tags=["exercises"]
# ## Exercises

# %% tags=["exercise"]
answer = ...

# %% tags=["solution"]
answer = a + 41

# %% tags=["check"]
print(answer)
'''


def test_one_source_two_notebooks(tmp_path):
    (tmp_path / "09_x.py").write_text(SOURCE)
    student, solutions = build.build(tmp_path / "09_x.py")
    tail = ["## Exercises", "answer = ...", "print(answer)"]
    assert [c.source for c in student.cells] == ["# A title", build.COLAB, "a = 1", "b = 2", *tail]
    assert [c.source for c in solutions.cells][1:] == [build.COLAB, "a = 1", tail[0], "answer = a + 41", tail[2]]
    assert solutions.cells[0].source.startswith("# Solutions: A title")
    done = build.clean(build.run(solutions, tmp_path))
    assert done.cells[-1].outputs[0]["text"] == "42\n" and "execution" not in json.dumps(done.metadata)


def test_solutions_without_a_heading_for_the_exercises_are_refused(tmp_path):
    (tmp_path / "09_x.py").write_text(SOURCE.replace(' tags=["exercises"]', ""))
    with pytest.raises(ValueError, match="09_x.py: it has solutions, and no cell tagged exercises"):
        build.build(tmp_path / "09_x.py")


def test_prose_can_change_without_a_run(tmp_path):
    (tmp_path / "09_x.py").write_text(SOURCE)
    student, _ = build.build(tmp_path / "09_x.py")
    student.cells[2].outputs = [nbformat.v4.new_output("stream", text="shown\n")]
    nbformat.write(student, tmp_path / "09_x.ipynb")
    (tmp_path / "09_x.py").write_text(SOURCE.replace("# # A title", "# # Another title"))
    again = build.with_outputs(build.build(tmp_path / "09_x.py")[0], tmp_path / "09_x.ipynb")
    assert again.cells[0].source == "# Another title" and again.cells[2].outputs[0].text == "shown\n"
    (tmp_path / "09_x.py").write_text(SOURCE.replace("a = 1", "a = 2"))
    with pytest.raises(ValueError, match="09_x.ipynb: its code is not that of the source"):
        build.with_outputs(build.build(tmp_path / "09_x.py")[0], tmp_path / "09_x.ipynb")


def test_a_build_tells_its_slowest_cell():
    cells = [nbformat.v4.new_markdown_cell("text")]
    for k, (begin, end) in enumerate([("00:00", "00:09"), ("00:09", "02:00")]):
        times = {"iopub.execute_input": f"2026-01-01T10:{begin}Z", "shell.execute_reply": f"2026-01-01T10:{end}Z"}
        cells.append(nbformat.v4.new_code_cell(id=f"c{k}", metadata={"execution": times}))
    assert build.pace(nbformat.v4.new_notebook(cells=cells)) == "120 s; slowest cell c1: 111 s"


def test_on_colab_the_course_is_fetched(tmp_path, monkeypatch):
    """In a stand-in for Colab: a module of that name, and a repository of one file at the address that is asked for."""
    from types import ModuleType, SimpleNamespace

    from IPython.core.interactiveshell import InteractiveShell

    origin, content, did = tmp_path / "origin", tmp_path / "content", []
    (origin / "notebooks").mkdir(parents=True)
    (origin / "notebooks/one.txt").write_text("1")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"]):
        subprocess.run(["git", "-C", str(origin), *command], check=True)
    colab = ModuleType("google.colab")
    colab.output = SimpleNamespace(enable_custom_widget_manager=lambda: did.append("widgets"))
    shell = InteractiveShell()
    shell.register_magic_function(lambda line: did.append(line), magic_name="pip")
    cell = build.COLAB.replace("/content", str(content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LDDM_REPOSITORY", str(origin))
    monkeypatch.setattr(sys, "path", list(sys.path))

    shell.run_cell(cell).raise_error()
    assert not did and not content.exists(), "elsewhere it does nothing"
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    shell.run_cell(cell).raise_error()
    assert did == [f"install --quiet -e {content}/lddm-lite", "widgets"]
    assert Path.cwd() == content / "lddm-lite/notebooks" and Path("one.txt").exists()
    shell.run_cell(cell).raise_error()
    assert len(did) == 2, "a second run finds it there"

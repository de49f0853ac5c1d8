"""The builder of the notebooks: two from one source, and what it refuses; and the cell for Colab.
"""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import build

COLAB = build.colab(build.repository())
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
    assert [c.source for c in student.cells] == ["# A title", COLAB, "a = 1", "b = 2", *tail]
    assert [c.source for c in solutions.cells][1:] == [COLAB, "a = 1", tail[0], "answer = a + 41", tail[2]]
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
    """In a stand-in for Colab: a module of that name, and a repository of one file at the address
    that is asked for."""
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


def test_what_prepares_draws_or_checks_is_folded_and_what_is_to_be_predicted(tmp_path):
    cells = ["# > **Predict, then run.** More or less?", "print(1)", "ld.widgets.Infill(a)", "# Then.", "b = 2"]
    cells = [f"# %%{' [markdown]' * c.startswith('#')}\n{c}\n" for c in cells]
    (tmp_path / "09_x.py").write_text(SOURCE.replace("# %%\nb = 2\n", "\n".join(cells)))
    student, _ = build.build(tmp_path / "09_x.py")
    found = {c.source: dict(c.metadata.get("jupyter", {})) for c in student.cells if c.cell_type == "code"}
    folded = {"source_hidden": True}
    assert found == {COLAB: folded, "a = 1": folded, "print(1)": {"outputs_hidden": True}, "b = 2": {},
                     "ld.widgets.Infill(a)": {}, "answer = ...": {}, "print(answer)": folded}  # fmt: skip
    assert student.cells[2].metadata["cellView"] == "form" and "cellView" not in student.cells[4].metadata


def test_a_proof_is_folded_with_its_output_and_an_appendix_with_all_below(tmp_path):
    cells = '# %% [markdown] tags=["appendix"]\n# ## Appendix\n'
    cells += '\n# %% tags=["proof"]\nprint(2)\n\n# %% tags=["folded"]\nprint(3)\n'
    (tmp_path / "09_x.py").write_text(SOURCE.replace("# %%\nb = 2\n", cells))
    student, _ = build.build(tmp_path / "09_x.py")
    found = {c.source: c.metadata for c in student.cells}
    assert found["## Appendix"]["jp-MarkdownHeadingCollapsed"] is True
    assert found["print(2)"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert found["print(3)"]["jupyter"] == {"source_hidden": True}

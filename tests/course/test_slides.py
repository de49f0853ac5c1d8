"""Slides from the committed notebooks: what begins a page, what is hidden, what is left out."""

from pathlib import Path

import nbformat
import pytest

from tests.support import ROOT
from tests.support.notebooks import slides

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def kinds(nb):
    return [c.metadata["slideshow"]["slide_type"] for c in slides.slides(nb).cells]


def book(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def md(text, **metadata):
    return nbformat.v4.new_markdown_cell(text, metadata=metadata)


def code(text, picture=False, **metadata):
    out = [nbformat.v4.new_output("display_data", {"image/png": "aGk="})] if picture else []
    return nbformat.v4.new_code_cell(text, outputs=out, metadata=metadata)


def test_pages():
    nb = book(
        md("# Title"),
        code("import torch", tags=["setup"]),
        md("**What to see.** It falls.\n\n## Next\n\nText."),
        code("a = 1"),
        code("plot(a)", picture=True, tags=["figure"]),
        md("**What to see.** A line."),
        md("More."),
        code("class Net: ...", tags=["setup"]),
        md("## Exercises", tags=["exercises"]),
        code("answer = ..."),
    )
    made = slides.slides(nb).cells
    assert kinds(nb) == ["slide", "fragment", "slide", "-", "subslide", "fragment", "subslide", "-"]
    assert [c.metadata.get("tags") for c in made if "plot" in c.source] == [["hide"]]
    assert not any("answer" in c.source or "import torch" in c.source for c in made)
    assert nb.cells[4].metadata["tags"] == ["figure"], "the notebook itself stays as it is"


def test_headings_in_fenced_code_are_none():
    assert slides.pieces("before\n## A\ntext\n```python\n# a comment\n```\n# B") == [
        "before",
        "## A\ntext\n```python\n# a comment\n```",
        "# B",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_has_slides(path):
    nb = nbformat.read(path, as_version=4)
    made = slides.slides(nb)
    found = kinds(nb)
    assert found[0] == "slide" and found.count("slide") >= 4
    tagged = (i for i, c in enumerate(nb.cells) if "exercises" in c.metadata.get("tags", []))
    before = nb.cells[: next(tagged, len(nb.cells))]
    assert sum(map(slides.has_picture, made.cells)) == sum(map(slides.has_picture, before)), "no figure is lost"


def test_export_hides_the_code_of_figures_and_keeps_them(tmp_path, capsys):
    slides.main([NOTEBOOKS[0].stem, "--out", str(tmp_path), "--reveal", "my-reveal"])
    page = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "my-reveal/dist/reveal.js" in page and "image/png;base64" in page and slides.STYLE in page
    figure = next(c for c in nbformat.read(NOTEBOOKS[0], 4).cells if "figure" in c.metadata.get("tags", []))
    assert "plt.subplots" in figure.source and "subplots" not in page.split("</head>")[1].split("initialize")[0]


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        slides.main(["nothing"])
    assert "no 'nothing'; there are 00_start_here" in capsys.readouterr().err

"""The course site: what becomes of the sources before Sphinx reads them. The pages themselves are
looked at in tests/browser/test_site.py."""

import importlib.util
import re

import nbformat
import pytest

from tests.support import ROOT

SITE = ROOT / "notebooks" / "site"


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make, docstrings = loaded("make"), loaded("docstrings")


def process(text):
    lines = text.splitlines()
    docstrings.process(None, "function", "f", None, None, lines)
    return "\n".join(lines)


def test_equations_and_sections_become_links_outside_code_and_mathematics():
    none = f"(M{13}) is none, nor METHOD {11}."  # written so, for test_method asks of each that it exists
    text = f"By (M11) and METHOD 5; `(M11)` and $(M1)$ stay.\n\n```\n(M3)\n```\n$$\n(M4)\n$$\n{none}"
    done = make.staged(text, "notebooks/PAPER.md")
    assert done.startswith("By [(M11)](#m11) and [METHOD 5](#s5); `(M11)` and $(M1)$ stay.")
    assert done.endswith(f"```\n(M3)\n```\n$$\n(M4)\n$$\n{none}")


def test_drawings_lie_among_the_pages(tmp_path):
    text = '<img alt="x" src="notebooks/figures/two-clocks-light.svg">'
    assert make.staged(text, "README.md") == '<img alt="x" src="_static/figures/two-clocks-light.svg">'
    make.stage(tmp_path / "out")
    for page in ("README.md", "index.md"):
        text = (tmp_path / "out" / page).read_text("utf-8")
        named = re.findall(r'(?:src|srcset)="([^"]+)"', text)
        assert named and all((tmp_path / "out" / name).is_file() for name in named if not name.startswith("http"))
        assert "<picture>" not in text and text.count("only-light") == text.count("only-dark") > 0


def test_anchors_become_targets():
    assert make.staged('<a id="s1"></a>\n\n## 1. It', "notebooks/METHOD.md") == "(s1)=\n## 1. It"
    assert make.staged('<a id="m1"></a>**Bold** x', "notebooks/METHOD.md") == "(m1)=\n**Bold** x"


@pytest.mark.parametrize(
    ("place", "link", "becomes"),
    [
        ("README.md", "[m](notebooks/METHOD.md)", "[m](METHOD.md)"),
        ("README.md", "[m](notebooks/METHOD.md#s8)", "[m](#s8)"),
        ("README.md", "[n](notebooks/00_start_here.ipynb)", "[n](00_start_here.ipynb)"),
        ("notebooks/00_start_here.ipynb", "[n](06_scrub.ipynb)", "[n](06_scrub.ipynb)"),
        ("README.md", "[licence](LICENSE)", "licence"),
        ("notebooks/02_elbo.ipynb", "[a](#A5.-Paths)", "[a](#a5-paths)"),
        ("README.md", "[d](data/README.md)", "[d](data.md)"),
        ("README.md", "[w](https://example.org/a.md)", "[w](https://example.org/a.md)"),
    ],
)
def test_links_lead_to_pages_or_are_text(place, link, becomes):
    assert make.staged(link, place) == becomes


def test_a_page_of_a_notebook_has_one_title_and_folds_what_jupyterlab_folds(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# Title\n\n(M1)"), nbformat.v4.new_markdown_cell("# Second")]
    folds = {"colab": {}, "setup": {"source_hidden": True}, "figure": {"source_hidden": True}}
    folds |= {"predict": {"outputs_hidden": True}, "plain": {}}
    cells += [nbformat.v4.new_code_cell("x", metadata={"tags": [k], "jupyter": v}) for k, v in folds.items()]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_a.ipynb")
    page = make.page_of(tmp_path / "01_a.ipynb")
    assert [c.source for c in page.cells] == ["# Title\n\n[(M1)](#m1)", "## Second", "x", "x", "x", "x"]
    hidden = [["setup", "hide-input"], ["figure", "hide-input"], ["predict", "hide-output"], ["plain"]]
    assert [c.metadata.get("tags") for c in page.cells[2:]] == hidden


def test_docstrings_keep_their_words_lists_and_examples():
    done = process("`x` by (M3), see METHOD 2.\n- `a`: one *star*\n  more\nafter\n\n    y = x_\n\n>>> f(1)\n2")
    assert done.startswith(
        "``x`` by :ref:`(M3) <m3>`, see :ref:`METHOD 2 <s2>`.\n\n- ``a``: one \\*star\\*\n  more\n\nafter"
    )
    assert "::\n\n    y = x_\n" in done and ">>> f(1)\n2" in done


def test_every_link_between_sources_is_known():
    """Each notebook and text that a source links to by a relative path has a page, or is no page on purpose."""
    off = set()
    for place in [*make.PAGES, *(f"notebooks/{f.name}" for f in (ROOT / "notebooks").glob("*.ipynb"))]:
        for m in make._LINK.finditer((ROOT / place).read_text("utf-8")):
            path = (ROOT / place).parent / m[2]
            if path.suffix in (".md", ".ipynb") and make.staged(m[0], place) == m[1]:
                off.add(m[2])
    assert {link for link in off if not link.startswith("solutions/")} == set(), "answers are not on the site"


def test_the_table_of_contents_has_every_notebook_and_room(tmp_path):
    make.stage(tmp_path / "out")
    index = (tmp_path / "out" / "index.md").read_text("utf-8")
    named = set(re.findall(r"^(?:[^<\n]*<)?([\w/]+)>?$", index, re.M))
    assert {f.stem for f in (ROOT / "notebooks").glob("*.ipynb")} <= named
    assert {f"api/{room or 'top'}" for room in make.ROOMS} <= named
    assert {name.removesuffix(".md") for name in make.PAGES.values()} <= named


def test_the_decks_are_named_and_linked_where_they_are_built(tmp_path):
    none = make.decks(tmp_path)
    assert none.count("minutes") == 3 and "href" not in none and "`make slides site`" in none
    (tmp_path / "the-idea.html").write_text("x")
    some = make.decks(tmp_path)
    assert '   - <a href="slides/the-idea.html">Writing in parallel</a>, 45 minutes' in some.splitlines()
    assert some.count("href") == 1 and "make slides" not in some
    make.stage(tmp_path / "out", tmp_path)
    assert 'href="slides/the-idea.html"' in (tmp_path / "out" / "lecturers.md").read_text("utf-8")


def test_the_glossary_is_read():
    text = (SITE / "glossary.md").read_text("utf-8").split(":sorted:\n", 1)[1]
    pattern = re.search(r'^TERM = re.compile\(r"(.*)", re.M\)$', (SITE / "conf.py").read_text("utf-8"), re.M)[1]
    found = {m["term"]: m["says"].strip() for m in re.finditer(pattern, text, re.M)}
    assert {"knots", "total correlation", "infill", "NFE", "lead"} <= set(found)
    assert all(len(says) > 20 for says in found.values()) and len(found) >= 20

"""How Sphinx makes the course site; see make.py."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

sys.path.insert(0, str(Path(__file__).parent))
import docstrings  # noqa: E402

import lddm_lite  # noqa: E402
from lddm_lite.plots.style import THEMES  # noqa: E402

project, author, copyright = "lddm-lite", "The lddm-lite authors", "The lddm-lite authors, Apache-2.0"
version = release = lddm_lite.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinxcontrib.bibtex"]
exclude_patterns = ["_static"]
bibtex_bibfiles = ["references.bib"]

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "text/html", 0)]  # a widget's own page, which needs no kernel
nb_number_source_lines = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "lddm-lite"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_show_search_summary = False  # it would be fetched, which a page opened from disk may not
html_copy_source = html_show_sourcelink = False
mathjax_path = "mathjax.js"


def _variables(ink: dict[str, str]) -> dict[str, str]:
    """The theme's names for the colours of all widgets, figures and decks."""
    return {
        "color-background-primary": ink["paper"], "color-background-secondary": ink["raised"],
        "color-foreground-primary": ink["ink"], "color-foreground-secondary": ink["soft"],
        "color-foreground-muted": ink["soft"], "color-background-border": ink["line"],
        "color-brand-primary": ink["latents"], "color-brand-content": ink["tokens"],
        "color-brand-visited": ink["tokens"], "color-sidebar-link-text--top-level": ink["ink"],
    }  # fmt: skip


html_theme_options = {
    "navigation_with_keys": False,
    "light_css_variables": _variables(THEMES["light"]), "dark_css_variables": _variables(THEMES["dark"]),
}  # fmt: skip

TERM = re.compile(r"^(?P<term>\S[^\n]*)\n(?P<says>(?:   .*\n)+)", re.M)


def terms() -> dict[str, str]:
    """What the glossary says, by term, in plain text."""
    text = (Path(__file__).parent / "glossary.md").read_text("utf-8").split(":sorted:\n", 1)[1]
    found = {m["term"].strip(): " ".join(m["says"].split()) for m in TERM.finditer(text)}
    return found


def explain(app, doctree, name: str) -> None:
    """The first time that a page uses a term of the glossary, it says what that means, on hover and focus."""
    if name in ("glossary", "search", "genindex") or name.startswith("api/"):
        return
    left, about = dict(app.env.lddm_terms), app.builder.get_relative_uri(name, "glossary")
    within = (nodes.literal, nodes.reference, nodes.title, nodes.math, nodes.literal_block, nodes.raw, pending_xref)
    for text in list(doctree.findall(nodes.Text)):
        if not left:
            return
        above, kept = text.parent, False
        while above is not None and not kept:
            kept, above = isinstance(above, within), above.parent
        if kept or text.parent is None:
            continue
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(left, key=len, reverse=True)))})s?\b", re.I)
        found = pattern.search(text)
        if found is None:
            continue
        term = next(t for t in left if t.lower() == found[1].lower())
        says = left.pop(term)
        place = f"{about}#term-{term.replace(' ', '-')}"
        shown = f'<a class="term" href="{place}" data-says="{escaped(says)}">{escaped(found[0])}</a>'
        link = nodes.raw("", shown, format="html")
        before, after = nodes.Text(text[: found.start()]), nodes.Text(text[found.end() :])
        text.parent.replace(text, [before, link, after])


def headed(app, name, template, context, doctree) -> None:
    """Captions of the table of contents say of which level they are, as readers of screens need it."""
    for part in ("body", "furo_navigation_tree"):
        if isinstance(context.get(part), str):
            context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def setup(app):
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("builder-inited", lambda app: setattr(app.env, "lddm_terms", terms()))
    app.connect("doctree-resolved", explain)
    app.connect("html-page-context", headed, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

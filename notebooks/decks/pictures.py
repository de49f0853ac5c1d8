"""What the fences of a deck show: drawings, pictures and widgets that notebooks keep, figures, tables of results."""

from __future__ import annotations

import ast
import base64
import functools
import html
import io
import json
import re
from pathlib import Path

import lddm_lite as ld

ROOT = Path(__file__).resolve().parents[2]


def run(source: str):
    """What the last line of a fence gives."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value)
    names = {"ld": ld, "kept": kept, "drawn": drawn, "order_matters": order_matters, "table": table}
    exec(compile(tree, "deck", "exec"), names)
    return eval(compile(last, "deck", "eval"), names)


class drawn(str):
    """One of the library's drawings, by its name."""


@functools.cache
def notebook(number: str):
    import nbformat

    return nbformat.read(next((ROOT / "notebooks").glob(f"{number}_*.ipynb")), 4)


def kept(number: str, text: str) -> dict:
    """The picture or the widget that a committed notebook keeps in its one cell whose code holds `text`."""
    heading, found = "", []
    for cell in notebook(number).cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^##+ (.+)$", cell.source, re.M) or [heading])[-1]
        elif text in cell.source:
            data = [o["data"] for o in cell.outputs if {"image/png", "text/html"} & set(o.get("data", {}))]
            found += [{**d, "from": f"notebook {number}" + (f", {heading}" if heading else "")} for d in data[-1:]]
    if len(found) != 1:
        raise ValueError(f"notebook {number} keeps {len(found)} pictures of cells with {text!r}, not one")
    return found[0]


def results(name: str) -> dict:
    """A document of data/results."""
    return json.loads((ROOT / "data" / "results" / f"{name}.json").read_text("utf-8"))


def table(name: str, models: dict[str, str], column: str = "excess") -> str:
    """Markdown of a comparison in data/results: a line for each of `models` (its name there, and here), a column
    for each number of calls."""
    found = results(name)
    cells = {(r["model"], r["nfe"]): r for r in found["rows"]}

    def said(row) -> str:
        if column == "coherent":
            return f"{100 * row[column]:.1f} %"
        return f"{row[column]:.2f} ± {row[column + '_se']:.2f}"

    lines = [["calls in all", *map(str, found["nfe"])], ["---"] * (1 + len(found["nfe"]))]
    lines += [[here, *(said(cells[there, n]) for n in found["nfe"])] for there, here in models.items()]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("-0.", "−0.")
    of = f"{found['data'].split('(')[0]}, {found['n']:,} samples" + (", ± one s.e." if column == "excess" else "")
    return f"{text}\n\n<small>{of}; data/results/{name}.json</small>"


def shown(value, alt: str, markdown) -> str:
    """HTML of what a fence gives. `markdown` renders what is a str. ValueError for a picture without a text, `alt`."""
    if isinstance(value, drawn):
        both = {theme: ld.plots.drawing(value, theme) for theme in ("light", "dark")}
        return figure("".join(image(d.bytes(), d.alt, "svg+xml", f"on-{theme}") for theme, d in both.items()))
    if isinstance(value, str):
        return markdown(value)
    if not alt:
        raise ValueError("a picture or widget without a text for those who do not see it")
    if isinstance(value, dict):
        if "text/html" in value:
            return widget(value["text/html"], alt, value["from"])
        return figure(image(base64.b64decode(value["image/png"]), alt), value["from"])
    if hasattr(value, "to_html"):
        return widget(value._fragment(live=False), alt)
    first = value if hasattr(value, "figure") else value[0]  # Axes, one or several
    out = io.BytesIO()
    first.figure.savefig(out, format="png", dpi=200, facecolor="white")
    return figure(image(out.getvalue(), alt))


def image(data: bytes, alt: str, kind: str = "png", name: str = "print") -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img class="{name}" alt="{html.escape(alt)}" src="{source}">'


def figure(inside: str, source: str = "") -> str:
    caption = f"<figcaption>{html.escape(source)}</figcaption>" if source else ""
    return f"<figure>{inside}{caption}</figure>"


def widget(body: str, alt: str, source: str = "") -> str:
    """A widget in a frame of its own, whose keys are its own; deck.js starts it when its page is shown."""
    alt = html.escape(alt)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{alt}</title><body>{body}</body></html>'
    return figure(f'<iframe title="{alt}" data-page="{html.escape(page)}"></iframe>', source)


def code(text: str, language: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    longest, lines = max(map(len, text.splitlines())), len(text.splitlines())
    size = int(min(46, 1590 / (0.605 * longest), 620 / (1.45 * lines)))  # pixels: as large as it fits
    return highlight(text, get_lexer_by_name(language), HtmlFormatter(prestyles=f"font-size:{size}px"))


@functools.cache
def order_matters():
    """Samples of exact predictors in 2 token and 16 latent steps at three leads; the bound against the lead. Axes."""
    import matplotlib.pyplot as plt
    import numpy as np

    from lddm_lite.plots.style import axes, look

    blue, orange = ld.plots.COLOURS["co-seq"], ld.plots.COLOURS["mdlm"]
    task, grid = ld.tasks.Binsaw(), ld.widgets.PathExplorer().grids[1]  # its 128 bits
    exact = ld.LatentDiffusion.exact(task, "shift")
    with look():
        figure, panels = plt.subplots(1, 4, figsize=(12.4, 4.6), layout="constrained", width_ratios=[1, 1, 1, 1.9])
        for ax, lead in zip(panels, (0.0, 0.25, 0.5), strict=False):
            drawn = exact.sample(200, 2, latent_steps=16, path=ld.Path(lead), seed=3).tokens
            ld.plots.bits(drawn, order=task.find_shift(drawn), ax=ax, title=f"lead {lead:g}")
            ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        leads = np.linspace(0, 0.5, 51)
        ax = axes(panels[3], None)
        ax.plot(leads, [grid.bound(ld.Path(v)).total for v in leads], color=blue, lw=2.6)
        few = [grid.bound(ld.Path(v)).total + grid.bound(ld.Path(v), 2, 16).excess_tokens for v in leads]
        ax.plot(leads, few, color=orange, lw=2.6)
        ax.text(0.49, 69.3, "infinitely many steps", color=blue, ha="right", va="bottom", fontsize=13)
        ax.text(0.09, 73, "what 2 token steps add", color=orange, fontsize=13)
        ax.set(xlim=(0, 0.5), ylim=(67.8, 76.2))
        ax.set_xlabel("lead of the latent (0 joint, 0.5 sequential)", fontsize=12)
        ax.set_ylabel("bound on $-\\log p(x)$ (nats)", fontsize=12)
    return panels

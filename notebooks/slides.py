"""Slides of the course from its committed notebooks: `make slides` writes slides/NN_name.slides.html.

No notebook is marked up for it; the rules are: a heading begins a slide (→); below it (↓) each cell has a page; a
figure comes without its code, and what is to be seen in it only at the next key, after the audience has answered.
Exercises are left out. The pages load reveal.js, MathJax and require.js from the web; --reveal names a copy of
reveal.js of your own.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
LONG = 34  # lines of code that a page holds without scrolling
STYLE = """<style>
.reveal { font-size: 26px; }
.reveal h1 { font-size: 1.9em; }  .reveal h2 { font-size: 1.5em; }
.reveal .slides section { text-align: left; }
.reveal pre, .reveal .jp-OutputArea pre { font-size: 15px; line-height: 1.3; }
.reveal .jp-InputPrompt, .reveal .jp-OutputPrompt { display: none; }
.reveal .jp-RenderedImage img { max-height: 66vh; width: auto; max-width: 100%; }
.reveal table { font-size: 20px; }
.reveal [data-lddm] { font-size: 15px; }
</style>
"""


def pieces(source: str) -> list[str]:
    """A markdown cell, cut before each heading: it may close one section and open the next. Not in fenced code."""
    found, fenced = [[]], False
    for line in source.splitlines():
        fenced ^= line.startswith("```")
        if re.match(r"#{1,3} ", line) and not fenced:
            found.append([])
        found[-1].append(line)
    return [text for lines in found if (text := "\n".join(lines).strip())]


def has_picture(cell) -> bool:
    return any({"image/png", "text/html"} & set(o.get("data", {})) for o in cell.get("outputs", []))


def slides(nb):
    """The notebook with nbconvert's marks: `slide_type` of each cell, and `hide` on those whose code is not shown."""
    cells, began = [], False
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if "exercises" in tags:
            break
        if cell.cell_type == "markdown":
            for text in pieces(cell.source):
                heading = re.match(r"#{1,2} ", text)
                sees = text.startswith("**What to see")
                kind = "slide" if heading or not cells else "fragment" if sees else "subslide"
                cells.append(nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}}))
                began = False
            continue
        if "colab" in tags or ("setup" in tags and cell.source.startswith(("import ", "from "))):
            continue  # nothing to look at
        shown = cell.copy()
        hidden = has_picture(cell) or len(cell.source.splitlines()) > LONG and bool(cell.outputs)
        kind = "subslide" if hidden or began else "-"  # short code stands under the text that announces it
        began = True
        shown.metadata = nbformat.from_dict({"slideshow": {"slide_type": kind}, "tags": ["hide"] * hidden})
        cells.append(shown)
    return nbformat.v4.new_notebook(cells=cells, metadata=nb.metadata)


def export(path: Path, folder: Path, reveal: str | None = None) -> Path:
    """Write the slides of one notebook; returns the page."""
    from nbconvert import SlidesExporter
    from traitlets.config import Config

    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"hide"}
    config.SlidesExporter.reveal_scroll = True
    config.SlidesExporter.reveal_number = "c/t"
    config.SlidesExporter.reveal_theme = "simple"
    config.SlidesExporter.reveal_width, config.SlidesExporter.reveal_height = "1240", "760"
    if reveal:
        config.SlidesExporter.reveal_url_prefix = reveal
    page, _ = SlidesExporter(config=config).from_notebook_node(slides(nbformat.read(path, as_version=4)))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}.slides.html"
    target.write_text(page.replace("</head>", STYLE + "</head>", 1), encoding="utf-8")
    return target


def main(arguments=None) -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("names", nargs="*", help="such as 01_masked_diffusion (default: all)")
    p.add_argument("--out", default="slides", help="the folder (default: slides)")
    p.add_argument("--reveal", help="address or relative path of reveal.js 4, where the web's copy will not do")
    chosen = p.parse_args(arguments)
    known = {f.stem: f for f in sorted(HERE.glob("*.ipynb"))}
    for name in chosen.names or known:
        if name not in known:
            p.error(f"no {name!r}; there are {', '.join(known)}")
        print(export(known[name], Path(chosen.out), chosen.reveal))


if __name__ == "__main__":
    main()

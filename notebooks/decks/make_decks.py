"""Build the lecture decks: `make slides` writes build/slides/NAME.html, each one file that asks the network for nothing.

A source is notebooks/decks/NAME.md: two lines `title:` and `minutes:`, then pages, with these lines between them:

    ---            the next page
    |||            the next column
    +++            what follows is shown at the next key: an answer, after the question
    Note: 3 min    the speaker's minutes and notes, to the end of the page

Formulas stand between dollars. A fence ```python holds code that runs; what its last line gives is shown: one of the
`drawn` drawings, what a notebook has `kept`, a figure, a widget, or a str of Markdown. Behind "python" stands the text for
those who do not see it, which drawings have already. Fences ```py and ```text are to be read.

Markdown is read by markdown-it-py, which comes with jupytext. reveal.js and KaTeX are fetched by npm, at the versions of package.json, into build/decks. KaTeX and not the browser's
MathML, since that looks as good as the fonts that a lecture room's computer happens to have; its MathML goes along, unseen,
for screen readers.
"""

from __future__ import annotations

import argparse
import ast
import base64
import functools
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = ROOT / "build" / "decks"
MODULES = TOOLS / "node_modules"
FORMULAS = """const katex = require("katex"), given = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const one = ([tex, displayMode]) => katex.renderToString(tex, {displayMode, strict: "error", trust: false});
console.log(JSON.stringify(given.map((g) => { try { return one(g); } catch (e) { return {error: e.message}; } })));"""


def sources() -> list[Path]:
    return sorted(HERE.glob("*.md"))


def fetched() -> Path:
    """The folder of reveal.js and KaTeX, fetched first where their versions are not there."""
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    found = {p: MODULES / p / "package.json" for p in wanted}
    if not all(f.exists() and json.loads(f.read_text("utf-8"))["version"] == wanted[p] for p, f in found.items()):
        if not shutil.which("npm"):
            raise SystemExit("make slides needs node and npm, to fetch reveal.js and KaTeX once: https://nodejs.org")
        TOOLS.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", TOOLS)
        options = ["--silent", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *options], cwd=TOOLS, check=True)
    return MODULES


def compiled(formulas: list[tuple[str, bool]]) -> list[str]:
    """HTML of formulas (TeX, displayed or not). ValueError names those that KaTeX does not understand."""
    fetched()
    run = subprocess.run(
        ["node", "-e", FORMULAS], cwd=TOOLS, input=json.dumps(formulas), capture_output=True, text=True, check=True
    )
    made = json.loads(run.stdout)
    if wrong := [f"{tex!r}: {m['error']}" for (tex, _), m in zip(formulas, made, strict=True) if isinstance(m, dict)]:
        raise ValueError("formulas that do not compile: " + "; ".join(wrong))
    return made


class Deck:
    """A source, read: its `title`, its `minutes`, and its pages as HTML."""

    def __init__(self, path: Path):
        self.name, self.formulas = path.stem, []
        head, body = path.read_text("utf-8").split("\n---\n", 1)
        self.head = dict(line.split(": ", 1) for line in head.strip().splitlines())
        self.title, self.minutes = self.head["title"], int(self.head["minutes"])
        self.pages = [self._split(text) for text in re.split(r"^---$", body, flags=re.M)]

    @staticmethod
    def _split(text: str) -> tuple[str, int, str]:
        """A page: what is shown, minutes, notes."""
        shown, _, said = text.partition("\nNote: ")
        found = re.match(r"(\d+) min\s*", said)
        if not found:
            raise ValueError(f"this page has no line 'Note: N min': {text.strip()[:60]!r}")
        return shown.strip(), int(found[1]), said[found.end() :].strip()

    def markdown(self):
        """The Markdown of pages: CommonMark, tables, dollars, and fences that run."""
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin

        md = MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin)
        for kind in ("math_inline", "math_block", "math_inline_double"):
            md.renderer.rules[kind] = lambda tokens, i, options, env: self._formula(tokens[i])
        md.renderer.rules["fence"] = lambda tokens, i, options, env: self._fence(tokens[i])
        return md

    def _formula(self, token) -> str:
        self.formulas.append((token.content.strip(), token.type != "math_inline"))
        return f"\x00{len(self.formulas) - 1}\x00"

    def _fence(self, token) -> str:
        language, _, alt = token.info.strip().partition(" ")
        return shown(run(token.content), alt, self) if language == "python" else code(token.content, language)

    def page(self, text: str, minutes: int, notes: str) -> str:
        md = self.markdown()

        def later(part: str) -> str:
            first, *rest = re.split(r"^\+\+\+$", part, flags=re.M)
            return md.render(first) + "".join(f'<div class="fragment">{md.render(r)}</div>' for r in rest)

        top, *columns = re.split(r"^\|\|\|$", text, flags=re.M)
        body = later(top)
        if columns:
            inside = "".join(f"<div>{later(c)}</div>" for c in columns)
            body += f'<div class="columns">{inside}</div>'
        kind = ' class="title"' if text.startswith("# ") else ""
        aside = f'<aside class="notes">{md.render(f"**{minutes} min.** {notes}")}</aside>'
        return f'<section{kind} data-timing="{60 * minutes}">{body}{aside}</section>'

    def render(self) -> str:
        """The deck as one page of HTML."""
        pages = "\n".join(self.page(*p) for p in self.pages)
        made = compiled(self.formulas)
        pages = re.sub("\x00(\\d+)\x00", lambda m: made[int(m[1])], pages)
        reveal = fetched() / "reveal.js" / "dist"
        style = "\n".join([(reveal / "reveal.css").read_text("utf-8"), katex_css(), (HERE / "deck.css").read_text("utf-8")])
        scripts = [(reveal / f).read_text("utf-8") for f in ("reveal.js", "plugin/notes.js")]
        scripts.append((HERE / "deck.js").read_text("utf-8"))
        scripts = [re.sub("</(script)", r"<\\/\1", s, flags=re.I) for s in scripts]
        started = "".join(f"<script>{s}</script>\n" for s in scripts)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title>\n<style>{style}</style></head>\n"
            f'<body><main class="reveal"><div class="slides">\n{pages}\n</div></main>\n{started}</body></html>\n'
        )


def run(source: str):
    """What the last line of a fence gives."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value)
    import lddm_lite as ld

    import pictures

    names = {"ld": ld, "pictures": pictures, "kept": kept, "drawn": drawn, "results": results, "table": table}
    exec(compile(tree, "deck", "exec"), names)
    return eval(compile(last, "deck", "eval"), names)


class Drawn(str):
    """The name of one of the library's drawings."""


def drawn(name: str) -> Drawn:
    return Drawn(name)


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
    """Markdown of a comparison in data/results: a line for each of `models` (its name there, and here), a column for each
    number of calls."""
    found = results(name)
    cells = {(r["model"], r["nfe"]): r for r in found["rows"]}

    def said(row) -> str:
        return f"{100 * row[column]:.0f} %" if column == "coherent" else f"{row[column]:.2f} ± {row[column + '_se']:.2f}"

    lines = [["calls in all", *map(str, found["nfe"])], ["---"] * (1 + len(found["nfe"]))]
    lines += [[here, *(said(cells[there, n]) for n in found["nfe"])] for there, here in models.items()]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("-0.", "−0.")
    error = "" if column == "coherent" else ", ± one s.e."
    return f"{text}\n\n<small>{found['data'].split('(')[0]}, {found['n']:,} samples{error}; data/results/{name}.json</small>"


def shown(value, alt: str, deck: Deck) -> str:
    """HTML of what a fence gives."""
    if isinstance(value, Drawn):
        from lddm_lite.plots import drawing

        both = {theme: drawing(value, theme) for theme in ("light", "dark")}
        return figure("".join(image(d.bytes(), d.alt, "svg+xml", f"on-{theme}") for theme, d in both.items()))
    if isinstance(value, str):
        return deck.markdown().render(value)
    if not alt:
        raise ValueError(f"{deck.name}: a picture or widget without a text for those who do not see it")
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
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(alt)}</title><body>{body}</body></html>'
    return figure(f'<iframe title="{html.escape(alt)}" data-page="{html.escape(page)}"></iframe>', source)


def code(text: str, language: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    longest, lines = max(map(len, text.splitlines())), len(text.splitlines())
    size = int(min(46, 1590 / (0.605 * longest), 620 / (1.45 * lines)))  # pixels: as large as it fits
    return highlight(text, get_lexer_by_name(language), HtmlFormatter(prestyles=f"font-size:{size}px"))


@functools.cache
def katex_css() -> str:
    folder = fetched() / "katex" / "dist"

    def font(match) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src:url(data:font/woff2;base64,{data}) format("woff2")'

    css = (folder / "katex.min.css").read_text("utf-8")
    return re.sub(r'src:url\((fonts/[\w-]+\.woff2)\) format\("woff2"\)[^;}]*', font, css)


def print_pdf(page: Path, browser) -> Path:
    """The deck as PDF, by Chromium; answers are all shown."""
    tab = browser.new_page(viewport={"width": 1920, "height": 1080}, color_scheme="light")
    tab.goto(f"{page.as_uri()}?print-pdf")
    tab.wait_for_function("document.documentElement.dataset.printable", timeout=120_000)
    tab.pdf(path=page.with_suffix(".pdf"), width="1920px", height="1080px", print_background=True)
    tab.close()
    return page.with_suffix(".pdf")


def print_all(pages: list[Path]) -> None:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for page in pages:
            print(print_pdf(page, browser), flush=True)
        browser.close()


def main(arguments=None) -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("names", nargs="*", help="such as 1-why-few-steps-fail (default: all)")
    p.add_argument("--out", type=Path, default=ROOT / "build" / "slides")
    p.add_argument("--pdf", action="store_true", help="print them to PDF, too (needs Chromium)")
    o = p.parse_args(arguments)
    o.out.mkdir(parents=True, exist_ok=True)
    pages = []
    for path in sources():
        if o.names and path.stem not in o.names:
            continue
        pages.append(o.out / f"{path.stem}.html")
        pages[-1].write_text(Deck(path).render(), "utf-8")
        print(pages[-1], f"{pages[-1].stat().st_size / 1e6:.1f} MB", flush=True)
    if o.pdf:
        print_all(pages)


if __name__ == "__main__":
    main()

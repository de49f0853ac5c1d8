"""Build the lecture decks: `make slides` writes build/slides/NAME.html, each one file that asks the network for
nothing. A source is notebooks/decks/NAME.md: two lines `title:` and `minutes:`, then pages, with these lines:

    ---            the next page
    |||            the next column
    +++            what follows is shown at the next key: an answer, after the question
    Note: 3 min    the speaker's minutes and notes, to the end of the page

Formulas stand between dollars. A fence ```python holds code that runs (pictures.py); what its last line gives is shown:
`drawn("two_clocks")`, what a notebook has `kept`, a figure, a widget, or a str of Markdown. Behind "python" stands the
text for those who do not see it, which drawings have already. Fences ```py and ```text are to be read.

Markdown is read by markdown-it-py, which comes with jupytext. reveal.js and KaTeX are fetched by npm, at the versions
of package.json, into build/decks. KaTeX and not the browser's MathML, since that looks as good as the fonts that a
lecture room's computer happens to have; its MathML goes along, unseen, for screen readers.
"""

from __future__ import annotations

import argparse
import base64
import functools
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pictures

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
        options = ["--loglevel=error", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *options, "--fetch-retries=0"], cwd=TOOLS, check=True)
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
        if language != "python":
            return pictures.code(token.content, language)
        return pictures.shown(pictures.run(token.content), alt, self.markdown().render)

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
        styles, scripts = [reveal / "reveal.css", HERE / "deck.css"], [reveal / "reveal.js", reveal / "plugin/notes.js"]
        theirs, ours, *scripts = (f.read_text("utf-8") for f in [*styles, *scripts, HERE / "deck.js"])
        style = "\n".join([theirs, katex_css(), ours])
        scripts = [re.sub("</(script)", r"<\\/\1", s, flags=re.I) for s in scripts]
        started = "".join(f"<script>{s}</script>\n" for s in scripts)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title>\n<style>{style}</style></head>\n"
            f'<body><main class="reveal"><div class="slides">\n{pages}\n</div></main>\n{started}</body></html>\n'
        )


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
    tab.pdf(path=page.with_suffix(".pdf"), width="1920px", height="1080px", print_background=True, tagged=True)
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

"""The course site: `make site` writes build/site/, static pages that also open from disk.

Sphinx and myst-nb make it, since of the candidates only Sphinx keeps its search index in a script,
which a page opened from disk may load, and has an API reference from docstrings; MyST 2 and Jupyter
Book 2 want a server. No notebook is run: outputs are the committed ones, and widgets in them are
plain HTML with their own code, which live in the page as they do in a saved notebook.

The sources are copied to build/site-source first, where `staged` turns what Jupyter and GitHub show
into what Sphinx refers to: anchors, (M11), METHOD 5, links between files.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import pkgutil
import posixpath
import re
import shutil
import sys
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MATHJAX = "sphinx-mathjax-offline"  # carries MathJax 3; nothing of it is imported
PAGES = {"README.md": "README.md", "CHANGELOG.md": "CHANGELOG.md", "SECURITY.md": "SECURITY.md",
         "ACCESSIBILITY.md": "ACCESSIBILITY.md",
         "data/README.md": "data.md", "data/checkpoints/README.md": "models.md"}  # fmt: skip
PAGES |= {f"notebooks/{f.name}": f.name for f in sorted((ROOT / "notebooks").glob("*.md"))}
ROOMS = ("", "tasks", "diffusion", "text", "networks", "plots", "evaluation", "training", "widgets")
_KEPT = re.compile(
    r"^(?:```|~~~).*?^(?:```|~~~)[ ]*$|^\$\$.*?\$\$|`[^`\n]+`|\$[^$\n]+\$|\]\([^)]*\)|<[^>\n]+>", re.M | re.S
)
_PICTURE = re.compile(
    r'<picture>\s*<source[^>]*srcset="(?P<dark>[^"]+)"[^>]*>\s*<img(?P<how>[^>]*?)\s*src="(?P<light>[^"]+)"\s*>\s*</picture>'
)
_LINK = re.compile(r"(?<!\!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[\w-]+)?\)")


def outside(text: str, change) -> str:
    """`change` of what is neither code, nor mathematics, nor an address.

    >>> outside("(M1) `(M1)`", lambda t: t.replace("(M1)", "x"))
    'x `(M1)`'
    """
    out, at = [], 0
    for kept in _KEPT.finditer(text):
        out += [change(text[at : kept.start()]), kept[0]]
        at = kept.end()
    return "".join([*out, change(text[at:])])


def numbered(text: str) -> str:
    """References to equations and sections of METHOD, as links.

    >>> numbered("by (M11), METHOD 5, (M1) to (M3)")
    'by [(M11)](#m11), [METHOD 5](#s5), [(M1)](#m1) to [(M3)](#m3)'
    """
    text = re.sub(r"(?<!\[)\(M(1[012]|[1-9])\)", r"[(M\1)](#m\1)", text)
    return re.sub(r"(?<!\[)\bMETHOD (10|[0-9])\b", r"[METHOD \1](#s\1)", text)


def staged(text: str, place: str) -> str:
    """Markdown of the file `place`, as Sphinx takes it."""
    text = re.sub(r'^<a id="([\w-]+)"></a>\n+', r"(\1)=\n", text, flags=re.M)
    text = re.sub(r'^<a id="([\w-]+)"></a>(?=\S)', r"(\1)=\n", text, flags=re.M)
    # GitHub asks the system which theme there is, the site its reader
    both = "".join(f'<img class="only-{theme}"\\g<how> src="\\g<{theme}>">' for theme in ("light", "dark"))
    text = _PICTURE.sub(f"<div>{both}</div>", text)
    text = re.sub(r'(src|srcset)="(?:notebooks/)?figures/', r'\1="_static/figures/', text)
    folder = Path(place).parent

    def linked(m):
        path = posixpath.normpath((folder / m[2]).as_posix())
        known = PAGES.get(path) or (Path(path).name if re.fullmatch(r"notebooks/\d\d\w*\.ipynb", path) else None)
        if known is None:  # a file of the repository that has no page, such as the answers in solutions/
            return m[1]
        return f"[{m[1]}]({m[3] if m[3] else known})"

    # Jupyter's address of a heading, which keeps its letters and points, as Sphinx makes it
    text = re.sub(r"(?<=\]\(#)[^)\s]+(?=\))", lambda m: re.sub(r"[^\w-]", "", m[0].lower()), text)
    return outside(_LINK.sub(linked, text), numbered)


def page_of(notebook: Path):
    """A notebook as its page shows it: no cell for Colab, and folded what JupyterLab folds."""
    nb = nbformat.read(notebook, as_version=4)
    nb.cells = [c for c in nb.cells if "colab" not in c.metadata.get("tags", [])]
    titled = False
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = staged(cell.source, f"notebooks/{notebook.name}")
            if titled:  # a page has one title
                cell.source = re.sub(r"^# ", "## ", cell.source, flags=re.M)
            titled = titled or cell.source.startswith("# ")
        hidden = cell.metadata.pop("jupyter", {})
        kinds = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
        fold = [tag for key, tag in kinds.items() if hidden.get(key)]
        if fold:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), *fold]
    nb.metadata.pop("widgets", None)
    return nb


def modules(room: str) -> list[str]:
    """The modules of a room that have something public, by their full names; "" for the top."""
    name = f"lddm_lite.{room}" if room else "lddm_lite"
    face = importlib.import_module(name)
    found = [m.name for m in pkgutil.iter_modules(face.__path__, f"{name}.") if not m.ispkg]
    found = [m for m in found if not m.rsplit(".", 1)[1].startswith("_")]
    return [m for m in sorted(found) if getattr(importlib.import_module(m), "__all__", None)]


def decks(slides: Path) -> str:
    """A list of the decks in Markdown, with links to those that `make slides` has built in the folder `slides`."""
    lines = []
    for source in sorted((ROOT / "notebooks" / "decks").glob("*.md")):
        head = source.read_text("utf-8").split("\n---\n", 1)[0]
        told = dict(line.split(": ", 1) for line in head.strip().splitlines())
        title = f"*{told['title']}*"
        if (slides / f"{source.stem}.html").is_file():
            title = f'<a href="slides/{source.stem}.html">{told["title"]}</a>'
            if (slides / f"{source.stem}.pdf").is_file():
                title += f' (<a href="slides/{source.stem}.pdf">to print</a>)'
        lines.append(f"   - {title}, {told['minutes']} minutes")
    if not any("href" in line for line in lines):
        lines += ["", "   They were not built when this site was: `make slides site` does both."]
    return "\n".join(lines)


def stage(folder: Path, slides: Path = ROOT / "build" / "slides") -> None:
    """Write all that Sphinx reads. `slides` is where `make slides` puts decks; without any, a page says how to."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__", "make.py"))
    for place, name in PAGES.items():
        (folder / name).write_text(staged((ROOT / place).read_text("utf-8"), place), "utf-8")
    shutil.copytree(ROOT / "notebooks" / "figures", folder / "_static" / "figures")
    course = []
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        page = page_of(notebook)
        nbformat.write(page, folder / notebook.name)
        title = next((c.source for c in page.cells if c.source.startswith("# ")), f"# {notebook.stem}")
        name = re.split(r"[:\n]", title[2:])[0].strip()
        course.append(f"{notebook.stem.split('_')[0]} {name} <{notebook.stem}>")
    index = folder / "index.md"
    first = re.search(r"^<div>.*?</div>$", staged((ROOT / "README.md").read_text("utf-8"), "README.md"), re.M | re.S)
    text = (
        index.read_text("utf-8").replace("@COURSE@", "\n".join(course)).replace("@PICTURE@", first[0] if first else "")
    )
    index.write_text(text, "utf-8")
    lecturers = folder / "lecturers.md"
    lecturers.write_text(lecturers.read_text("utf-8").replace("@DECKS@", decks(slides)), "utf-8")
    (folder / "api").mkdir()
    for room in ROOMS:
        title = f"lddm_lite.{room}" if room else "lddm_lite"
        about = [f"# {title}", f"```{{eval-rst}}\n.. automodule:: {title}\n   :no-members:\n```"]
        for module in modules(room):
            about += [f"## {module}", f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```"]
        (folder / "api" / f"{room or 'top'}.md").write_text("\n\n".join(about) + "\n", "utf-8")


def mathjax() -> Path:
    """The one script of MathJax that sets equations without a network. ImportError without it."""
    try:
        files = importlib.metadata.files(MATHJAX) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "tex-svg.js":
            return Path(str(file.locate()))
    raise ImportError(f"the site needs tex-svg.js of {MATHJAX}, not installed here:  make site")


def main(arguments=None) -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", default=str(ROOT / "build"), help="the folder of site/ and site-source/ (default: build)")
    p.add_argument("--slides", type=Path, default=ROOT / "build" / "slides", help="decks to take along, where built")
    args = p.parse_args(arguments)
    out = Path(args.out)
    sys.path.insert(0, str(ROOT))
    from sphinx.cmd.build import main as sphinx

    stage(out / "site-source", args.slides)
    shutil.copy(mathjax(), out / "site-source" / "_static" / "mathjax.js")
    shutil.rmtree(out / "site", ignore_errors=True)
    failed = sphinx(["-W", "--keep-going", "-q", "-b", "html", "-d", str(out / "site-doctrees"),
                     str(out / "site-source"), str(out / "site")])  # fmt: skip
    if not failed:
        if args.slides.is_dir():
            shutil.copytree(args.slides, out / "site" / "slides")
        print(out / "site" / "index.html")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())

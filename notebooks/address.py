"""Where the repository lies, told once: `make address REPOSITORY=https://github.com/OWNER/NAME`.

pyproject.toml has it, under [project.urls]; from there this takes it to the badges of README.md, to CITATION.cff and to
the cell of each notebook that fetches the course on Colab. Called again, with or without another address, it makes them
agree again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import build
import nbformat

ROOT = Path(__file__).resolve().parents[1]
FIRST = "notebooks/00_start_here.ipynb"
MARKS = ("<!-- badges, by make address -->", "<!-- end of badges -->")


def badges(address: str) -> str:
    """Markdown of the badges that open the course without installing anything; none without an address."""
    if not address:
        return ""
    name = address.removeprefix("https://github.com/")
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    return (
        f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{name}/blob/main/{FIRST})\n"
        f"[![Open in Binder]({binder}/badge_logo.svg)]({binder}/v2/gh/{name}/HEAD?labpath={FIRST})\n"
    )


def wanted(root: Path, address: str) -> dict[Path, str]:
    """What README.md and CITATION.cff must be for this address."""
    readme, citation = (root / name for name in ("README.md", "CITATION.cff"))
    begin, end = map(re.escape, MARKS)
    lines = [line for line in citation.read_text("utf-8").splitlines(True) if not line.startswith("repository-code:")]
    at = next(i for i, line in enumerate(lines) if line.startswith("license:"))
    lines[at:at] = [f"repository-code: {address}\n"] if address else []
    between = re.compile(rf"(?<={begin}\n).*?(?={end})", re.S)
    return {readme: between.sub(lambda _: badges(address), readme.read_text("utf-8")), citation: "".join(lines)}


def told(root: Path, address: str) -> None:
    """Write the address into pyproject.toml. ValueError for one that is not of a repository on GitHub."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address) or address.endswith(".git"):
        raise ValueError(f"REPOSITORY must be like https://github.com/OWNER/NAME, which Colab opens, got {address!r}")
    path, line = root / "pyproject.toml", f'Repository = "{address}"'
    text = re.sub(r"\[project\.urls\]\nRepository = .*\n\n", "", path.read_text("utf-8"))
    before = "[project.optional-dependencies]\n"
    path.write_text(text.replace(before, f"[project.urls]\n{line}\n\n{before}", 1), "utf-8")


def agree(root: Path = ROOT) -> None:
    """Make everything that names the address name that of pyproject.toml."""
    address = build.repository(root)
    for path, text in wanted(root, address).items():
        path.write_text(text, "utf-8")
    for path in [*root.glob("notebooks/*.ipynb"), *root.glob("notebooks/solutions/*.ipynb")]:
        nb = nbformat.read(path, 4)
        for cell in nb.cells:
            if "colab" in build.tags(cell) and cell.source != build.colab(address):
                cell.source = build.colab(address)
                nbformat.write(nb, path)


if __name__ == "__main__":
    try:
        if sys.argv[1:]:
            told(ROOT, sys.argv[1])
    except ValueError as e:
        sys.exit(str(e))
    agree()

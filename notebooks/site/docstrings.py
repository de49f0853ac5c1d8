"""The project's docstrings, plain Markdown, as the reStructuredText that autodoc reads."""

from __future__ import annotations

import re

_CODE = re.compile(r"`([^`]+)`")


def line_of(text: str) -> str:
    """One line: `code` as code, (M11) and METHOD 5 as links, all else as it stands.

    >>> print(line_of("`x`s [N, L] by (M3): **not** a_"))
    ``x``\\ s [N, L] by :ref:`(M3) <m3>`: \\*\\*not\\*\\* a\\_
    """
    out = ""
    for k, part in enumerate(_CODE.split(text)):
        if out and part and (out[-1] + part[0] if k % 2 else part[0] + "x").isalnum():
            out += "\\ "  # code must stand free
        if k % 2:
            out += f"``{part}``"
            continue
        part = re.sub(r"([\\*_|])", r"\\\1", part)
        part = re.sub(r"\(M(1[012]|[1-9])\)", r":ref:`(M\1) <m\1>`", part)
        out += re.sub(r"\bMETHOD (10|[0-9])\b(?!-)", r":ref:`METHOD \1 <s\1>`", part)
    return out


def process(app, what, name, obj, options, lines: list[str]) -> None:
    """Turns the lines of a docstring, in place: examples, lists and what is indented begin after a
    blank line."""
    out: list[str] = []
    kind = "text"
    for line in [*lines]:
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        after_blank, item = not out or not out[-1].strip(), bool(re.match(r"[-*] ", bare))
        if kind == "example" and bare and not bare.startswith(">>>"):
            pass
        elif not bare:
            kind = "block" if kind == "block" else "text"
        elif bare.startswith(">>>"):
            out += [] if after_blank or kind == "example" else [""]
            kind = "example"
        elif indent >= 4 and (kind == "block" or (kind == "text" and after_blank)):
            out += [] if kind == "block" else ["::", ""]
            kind = "block"
        elif item:
            out += [] if after_blank or kind == "list" else [""]
            kind = "list"
        elif kind == "list" and indent < 2:
            out.append("")
            kind = "text"
        elif kind == "block":
            kind = "text"
        if kind not in ("example", "block"):
            mark = "- " if item else ""
            line = " " * indent + mark + line_of(bare[len(mark) :])
        out.append(line)
    lines[:] = [*out, ""]

"""Bundler of ES modules: the browser code as one script, which a notebook can hold and a page can
open without a server.

Modules say what they take and what they give in two ways, and in no other:

    import { clamp, ticks } from "./numbers.js";
    export function f() {}          // or const, let, class, async function
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

__all__ = ["inline"]

_NAME = r"[A-Za-z_$][\w$]*"
_IMPORT = re.compile(
    rf"import\s*\{{\s*(?P<names>{_NAME}(\s*,\s*{_NAME})*)\s*,?\s*\}}\s*"
    r"from\s*(?P<quote>[\"'])\./(?P<file>[\w-]+\.js)(?P=quote);\n?"
)
_EXPORT = re.compile(r"export (?=(?:const|let|class|function|async function)\b)")
_WORD = re.compile(r"(?<![\w$])(?:import|export)(?![\w$])")
_VARIABLES = re.compile(r"\b(?:const|let|var)\b")
_DEFINITION = re.compile(rf"\b(?:(?:async )?function\b\s*\*?|class\b)\s*(?!extends\b)({_NAME})")

# what is not code
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\\n])*\1""")
_TEMPLATE = re.compile(r"[`}](?:\\.|\$(?!\{)|[^\\`$])*(?:`|\$\{)", re.DOTALL)  # to its end, or to code inside
_PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\[\\\n])+/")
_VALUE = re.compile(r"[\w$)\]\"'`/](?<!\breturn)$")  # after a value, / divides


@dataclass
class _Module:
    text: str  # as it goes into the script
    imports: list[tuple[int, str, str]] = field(default_factory=list)  # line, file, name
    declared: dict[str, int] = field(default_factory=dict)  # at the top: name -> line
    exported: set[str] = field(default_factory=set)


def inline(entry: str, read: Callable[[str], str]) -> str:
    """One script made of the ES module `entry` and all that it imports: each module once, after
    those that it imports, without the words `import` and `export`.

    All modules share one scope in the script, so that only one of them may declare a name at its
    top. ValueError, with file and line, for two that do; for names that are not exported, files
    that are not there, and circles; and for any `import` and `export` but the two above, with `as`,
    `default` and `*` among them.

    Arguments:
        entry: name of the first module.
        read: takes the name of a module to its text; KeyError or OSError where there is none.

    >>> files = {"a.js": 'import { b } from "./b.js";\\nalert(b);', "b.js": "export const b = 1;"}
    >>> print(inline("a.js", files.__getitem__))
    const b = 1;
    alert(b);
    """
    modules: dict[str, _Module] = {}  # in the order of the script
    owners: dict[str, str] = {}

    def add(name: str, chain: tuple[str, ...], place: str) -> None:
        if name in chain:
            raise ValueError(f"{place}: modules import each other in a circle, {' > '.join((*chain, name))}")
        if name in modules:
            return
        try:
            text = read(name)
        except (KeyError, OSError) as e:
            raise ValueError(f"{place}: there is no {name}") from e
        module = _parse(name, text)
        for line, file, wanted in module.imports:
            add(file, (*chain, name), f"{name}:{line}")
            if wanted not in modules[file].exported:
                raise ValueError(f"{name}:{line}: {file} does not export {wanted}")
        for declared, line in module.declared.items():
            if declared in owners:
                raise ValueError(f"{name}:{line}: {owners[declared]} declares {declared} too; rename one")
            owners[declared] = name
        modules[name] = module

    add(entry, (), entry)
    return "\n".join(module.text for module in modules.values())


def _parse(name: str, text: str) -> _Module:
    """Take a module apart. ValueError for an import or export that is not one of the two."""

    def fail(at: int, why: str) -> ValueError:
        return ValueError(f"{name}:{line(at)}: {why}, got {text[at:].splitlines()[0]}")

    def line(at: int) -> int:
        return text.count("\n", 0, at) + 1

    code = _code(text, fail)
    depth = list(accumulate((c in "([{") - (c in ")]}") for c in code))  # 0 on what stands at the top
    module, cuts = _Module(text), {}  # cuts: end -> start
    for word in _WORD.finditer(code):
        at = word.start()
        form = _IMPORT.match(text, at) or _EXPORT.match(text, at)
        if form is None or depth[at] or (at and text[at - 1] != "\n"):
            raise fail(at, 'must be `import { a, b } from "./x.js";` or begin a declaration, as `export const` does')
        cuts[form.end()] = at
        if form.re is _IMPORT:
            names = re.findall(_NAME, form["names"])
            module.imports += [(line(at), form["file"], wanted) for wanted in names]
    found = [(m.start(), [m[1]]) for m in _DEFINITION.finditer(code) if not depth[m.start()]]
    for m in _VARIABLES.finditer(code):
        if not depth[m.start()]:
            found.append((m.start(), _declarators(code, depth, m.end())))
    for at, names in sorted(found):
        if not all(names):
            raise fail(at, "must declare plain names, one or more")
        for declared in names:
            if declared in module.declared:
                raise fail(at, f"{declared} is declared twice")
            module.declared[declared] = line(at)
        if at in cuts:
            module.exported.update(names)
    for end, start in sorted(cuts.items(), reverse=True):
        module.text = module.text[:start] + module.text[end:]
    return module


def _declarators(code: str, depth: list[int], at: int) -> list[str | None]:
    """The names in `a = 1, b = 2;` from `at` on; None for what is not a name, such as `{ a, b }`.
    """
    end = next((k for k in range(at, len(code)) if code[k] == ";" and not depth[k]), len(code))
    commas = [k for k in range(at, end) if code[k] == "," and not depth[k]]
    found = [re.match(rf"\s*({_NAME})", code[k:end]) for k in (at, *(k + 1 for k in commas))]
    return [m and m[1] for m in found]


def _code(text: str, fail: Callable[[int, str], ValueError]) -> str:
    """`text` of the same length with nothing in its comments, strings, templates and patterns, so
    that words and brackets are those of code."""
    out, at = "", 0
    braces: list[str] = []  # those open: "{" of a block, "$" of code inside a template
    while at < len(text):
        sign = text[at]
        if sign == "`" or (sign == "}" and braces and braces.pop() == "$"):
            kind = _TEMPLATE
        elif sign in "\"'":
            kind = _STRING
        elif text.startswith(("//", "/*"), at):
            kind = _COMMENT
        elif sign == "/" and not _VALUE.search(out.rstrip()[-9:]):
            kind = _PATTERN
        else:
            if sign == "{":
                braces.append("{")
            out, at = out + sign, at + 1
            continue
        found = kind.match(text, at)
        if found is None:
            raise fail(at, "never ends")
        inside = re.sub(r"[^\n]", " ", found[0])
        if kind is not _COMMENT:
            inside = sign + inside[1:-1] + found[0][-1]
            if inside[-1] == "{":
                braces.append("$")
        out, at = out + inside, found.end()
    return out

"""notebooks/METHOD.md is the reference of the equations: what is cited of it exists there, and what
it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METHOD = (ROOT / "notebooks/METHOD.md").read_text("utf-8")
CITING = ("lddm_lite/**/*.py", "lddm_lite/widgets/static/*.js", "notebooks/source/*.py", "notebooks/*.md", "README.md",
          "tests/**/*.py")


def read(*patterns: str) -> dict[str, str]:
    """The text of every file that fits, by its path; but for this one, which cites what is not
    there."""
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern)} - {Path(__file__)})
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}


def cited(text: str) -> tuple[set[int], set[int]]:
    """The sections and the equations that a text cites: METHOD 5; METHOD 1-4, 6; METHOD section 8;
    (M7); M4, M7; M1-M8. A citation may run over the end of a line, in a comment too."""
    text = re.sub(r"\s*\n[\s#/*>]*", " ", text)
    sections, number = set(), r"\d+(?:\s*[-–]\s*\d+)?"
    for numbers in re.findall(rf"\bMETHOD (?:sections? )?({number}(?:(?:, | and | to ){number})*)", text):
        for first, last in re.findall(r"(\d+)(?:\s*[-–]\s*(\d+))?", numbers):
            sections.update(range(int(first), int(last or first) + 1))
    # "M6 1.4a" and "M8 ${r}" begin the outlines of icons
    return sections, {int(n) for n in re.findall(r"\bM(\d{1,2})\b(?!\s+(?:\.?\d|\$\{))", text)}


def defined(text: str) -> tuple[list[int], list[int]]:
    """The numbers of the sections and of the equations that a text in Markdown defines, in order.
    """
    sections, equations = re.findall(r"^## (\d+)\. ", text, re.M), re.findall(r"\\tag\{M(\d+)\}", text)
    return list(map(int, sections)), list(map(int, equations))


def wrong(citing: str, method: str) -> list[str]:
    """What `citing` cites and `method` does not define."""
    pairs = zip(("METHOD {}", "(M{})"), cited(citing), defined(method), strict=True)
    return [name.format(n) for name, found, known in pairs for n in sorted(found - set(known))]


def unreadable(text: str) -> list[str]:
    """Formulas of a text in Markdown that GitHub would spoil. It reads Markdown first: it would
    take the backslash from \\, and \\{, and begin an emphasis at }_ and *."""
    shown = re.findall(r"^\$\$\n(.*?)\n\$\$$", text, re.M | re.S)
    inline = re.findall(r"\$([^$\n]+)\$", re.sub(r"^\$\$\n.*?\n\$\$$", "", text, flags=re.M | re.S))
    return [m for m in shown + inline if re.search(r"\\[^A-Za-z\s]|[^\w]_|[*<>]", m)]


def missing(text: str) -> list[str]:
    """What a text in Markdown names as code and the project does not have: files by their path,
    tests by their name, other single words anywhere in the library."""
    code = [name for name in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
            if " " not in name]
    paths, tests = [c for c in code if "/" in c], [c for c in code if c.startswith("test_")]
    suite, library = ("\n".join(read(pattern).values()) for pattern in ("tests/**/*.py", "lddm_lite/**/*.py"))
    words = {c: c.split(".") for c in code if c not in paths + tests}
    return [
        *(c for c in paths if not (ROOT / c).exists()),
        *(c for c in tests if f"def {c}(" not in suite),
        *(c for c, parts in words.items() if not all(re.search(rf"\b{re.escape(w)}\b", library) for w in parts)),
    ]


def docstrings(source: str) -> str:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    found = (ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
    return "\n\n".join(filter(None, found))


# --- the reader of citations itself ---------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "sections", "equations"), [
    ("the cures of METHOD 5 against collapse; METHOD 5, 6.", {5, 6}, set()),
    ("(METHOD 1-4, 6, 7)", {1, 2, 3, 4, 6, 7}, set()),
    ("what predicts them. METHOD\n    3-7.", {3, 4, 5, 6, 7}, set()),
    ("# scale (METHOD\n    # 10)", {10}, set()),
    ("Source: METHOD section\n    8. METHOD 9, whose 12 figures; see METHOD.md", {8, 9}, set()),
    ("sections: METHOD 2 and 3", {2, 3}, set()),
    ("(M1)-(M4), M5 to M8; | `bound` | M4, M7, M9 | `\\text{(M10)}`", set(), {1, 4, 5, 7, 8, 9, 10}),
    ("the noise floor, M5), and (M11): M12.", set(), {5, 11, 12}),
    ("// (M9)\n  // (M3) `M8 ${8 - r}a${r}` `M6 1.4a4.6 M2 2h8 M6 .4`", set(), {3, 9}),
    ("METHODS = 3; XM4; M1x; M123; M\n5", set(), set()),
])
def test_citations_are_found(text, sections, equations):
    assert cited(text) == (sections, equations)


def test_wrong_citations_are_found():
    method = "## 0. Names\n\n## 1. Noise\n\n$$\nx \\tag{M1}\n$$\n\n$$\ny \\tag{M2}\n$$\n"
    assert defined(method) == ([0, 1], [1, 2])
    assert wrong("as METHOD 0, 1 and (M1), (M2) say", method) == []
    assert wrong("METHOD 1-3; (M1)-(M3); # METHOD\n# 7", method) == ["METHOD 2", "METHOD 3", "METHOD 7", "(M3)"]
    code = '"""(M1)"""\nclass A:\n    """METHOD 1."""\n    def f(self):\n        """M2"""\n        return 1  # (M3)\n'
    assert cited(docstrings(code)) == ({1}, {1, 2})


# --- the project ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern", CITING)
def test_what_is_cited_exists(pattern):
    texts = read(pattern)
    assert texts
    assert not {path: found for path, text in texts.items() if (found := wrong(text, METHOD))}


def test_sections_and_equations_are_numbered_without_gaps():
    assert defined(METHOD) == (list(range(11)), list(range(1, 13)))


def test_every_section_and_every_equation_is_cited_by_the_library():
    library = read("lddm_lite/**/*.py").values()
    _, equations = cited("\n\n".join(map(docstrings, library)))
    sections, _ = cited("\n\n".join(library))  # section 0 by a comment
    assert (sorted(sections), sorted(equations)) == defined(METHOD)


def test_links_lead_to_anchors_and_every_number_has_one():
    anchors = re.findall(r'<a id="(\w+)"></a>', METHOD)
    sections, equations = defined(METHOD)
    assert sorted(anchors) == sorted([f"s{n}" for n in sections] + [f"m{n}" for n in equations])
    linked = re.findall(r"\]\(#(.*?)\)", METHOD)
    assert linked and set(linked) <= set(anchors)
    for n in equations:  # the anchor stands before its equation
        assert re.search(rf'<a id="m{n}"></a>\*\*\(M{n}\)(?:(?!<a id).)*?\\tag\{{M{n}\}}', METHOD, re.S), n


def test_what_is_named_exists():
    named = re.findall(r"`([^`\s]+)`", METHOD)
    assert sum("/" in n for n in named) > 20 and sum(n.startswith("test_") for n in named) > 40
    assert missing(METHOD) == []
    assert missing("`nelbo`, `lddm_lite/none.py`, `test_none`, `Nelbo.nonesuch`, `a b`") == [
        "lddm_lite/none.py", "test_none", "Nelbo.nonesuch"
    ]


def test_no_markdown_within_the_mathematics():
    assert METHOD.count("\\tag{") == 12 and unreadable(METHOD) == []
    assert unreadable("$a\\,b$ $x\\lt y$ $a^*$ ${a}_b$") == ["a\\,b", "a^*", "{a}_b"]

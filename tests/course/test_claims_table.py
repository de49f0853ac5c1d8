"""The table of claims: each names a section and tests that exist, and no slow test of the course is
left out."""

import ast
import re

from tests.support import ROOT

TABLE = (ROOT / "notebooks/CLAIMS.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d\db?) § (\d+) \| (.*?) \| (`.*`) \|$", TABLE, re.M)
FILES = {p.stem.removeprefix("test_course_"): p for p in (ROOT / "tests/course").glob("test_course_*.py")}
NOT_CLAIMS = {"test_exercises_6_and_7"}  # of solutions


def listed(notebook: str) -> dict[str, bool]:
    """The tests of a notebook, and whether each is slow, in its first seed or in all."""
    nodes = [n for n in ast.parse(FILES[notebook].read_text("utf-8")).body if isinstance(n, ast.FunctionDef)]
    marks = {n.name: " ".join(map(ast.unparse, n.decorator_list)) for n in nodes if n.name.startswith("test_")}
    return {name: "slow" in said or "FIRST" in said for name, said in marks.items()}


def test_each_claim_has_its_cell_and_its_tests():
    assert len(ROWS) == TABLE.count("\n| ") - 1 > 40
    for notebook, section, claim, names in ROWS:
        (source,) = (ROOT / "notebooks/source").glob(f"{notebook}_*.py")
        assert re.search(rf"^# ##+ {section}\. ", source.read_text("utf-8"), re.M), (notebook, section)
        for name in re.findall(r"`(\w+)`", names):
            assert f"test_{name}" in listed(notebook), (claim, name)


def test_every_slow_test_of_the_course_is_somebodys_claim():
    named = {(notebook, f"test_{name}") for notebook, _, _, names in ROWS for name in re.findall(r"`(\w+)`", names)}
    slow = {(notebook, name) for notebook in FILES for name, is_slow in listed(notebook).items() if is_slow}
    assert not {(n, t) for n, t in slow - named if t not in NOT_CLAIMS}

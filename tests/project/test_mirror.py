"""Tests mirror the rooms: `lddm_lite/<room>/<module>.py` is tested by
`tests/<room>/test_<module>.py`.
"""

import pytest

from tests.support import ROOT

LIBRARY, TESTS = ROOT / "lddm_lite", ROOT / "tests"
# module -> what tests it, where that is a file of another name
ELSEWHERE = {
    "course": "course/test_selfcheck.py",  # tests/course/ is that of the notebooks
    "plots.style": "plots/test_look.py",  # one look, of all figures together
    "widgets.status_line": "widgets/test_infill.py",  # what it says while something runs
}


def modules() -> list[str]:
    """Every module by its name within the library, but for faces and `__main__`."""
    files = (path.relative_to(LIBRARY).with_suffix("") for path in LIBRARY.rglob("*.py"))
    return sorted(".".join(f.parts) for f in files if f.stem not in ("__init__", "__main__"))


def mirrored(module: str) -> str:
    *rooms, name = module.split(".")
    return "/".join([*rooms, f"test_{name}.py"])


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_tests(module):
    assert (TESTS / ELSEWHERE.get(module, mirrored(module))).is_file()


def test_the_list_of_exceptions_is_up_to_date():
    assert set(ELSEWHERE) <= set(modules())
    assert [m for m in ELSEWHERE if (TESTS / mirrored(m)).exists()] == []


def test_every_room_has_its_folder():
    rooms = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    folders = {path.parent.name for path in TESTS.glob("*/__init__.py")}
    assert folders == rooms | {"browser", "course", "project", "support"}

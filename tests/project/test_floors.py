"""The house: rooms import downwards only, without circles, and hold few enough files to be taken in
at a glance."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lddm_lite"
# From below. What stands on one floor does not import each other. The hall (`__init__`, `__main__`)
# may import all.
FLOORS = [
    ["_common"],
    ["course"],
    ["tasks"],
    ["diffusion"],
    ["text"],
    ["config"],
    ["networks"],
    ["model"],
    ["plots"],
    ["evaluation"],
    ["training"],
    ["widgets", "cli"],
]
FLOOR = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}


def sources(root=LIBRARY) -> dict[str, str]:
    """Text of each module, by its name within the library: `diffusion.paths`, `config`; a face has
    its room's name."""
    files = {path.relative_to(root).with_suffix("") for path in root.rglob("*.py")}
    text = {path: (root / path).with_suffix(".py").read_text("utf-8") for path in files}
    return {".".join(p.parts).removesuffix(".__init__"): t for p, t in text.items() if str(p) != "__init__"}


def imported(name: str, text: str, known) -> set[str]:
    """The library's modules that a module imports, wherever in it: at its top, in a function, for a
    type checker."""
    package = name.split(".") if name in ROOMS else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("lddm_lite.") for a in node.names if a.name.startswith("lddm_lite.")}
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
        elif (node.module or "").split(".")[0] == "lddm_lite":
            base = node.module.split(".")[1:]
        else:
            continue
        base = ".".join(filter(None, base))
        # `from ..tasks import Binsaw` is an import of the face; `from ..diffusion import paths` of
        # the module
        found |= {m if (m := f"{base}.{a.name}".lstrip(".")) in known else base for a in node.names}
    return {m for m in found if m in known} - {name}


ROOMS = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
TEXTS = sources()
IMPORTS = {name: imported(name, text, TEXTS) for name, text in TEXTS.items()}


def upwards(imports) -> list[str]:
    """Imports of a room on the same floor or above."""
    pairs = ((a, b) for a, found in imports.items() if a != "__main__" for b in sorted(found))
    rooms = ((a, b, a.split(".")[0], b.split(".")[0]) for a, b in pairs)
    return [f"{a} imports {b}" for a, b, own, other in rooms if own != other and FLOOR[own] <= FLOOR[other]]


def circle(imports) -> list[str]:
    """Modules that import each other in turn, or none."""
    left = {name: set(found) for name, found in imports.items()}
    while free := [name for name, found in left.items() if not found & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_every_room_has_a_floor():
    assert ROOMS | {name for name in TEXTS if "." not in name} - {"__main__"} == set(FLOOR)


def test_rooms_import_downwards_only():
    assert upwards(IMPORTS) == []


def test_there_are_no_circles():
    assert circle(IMPORTS) == []


def test_there_are_imports_to_judge():
    """The three tests above would pass on nothing."""
    assert len(TEXTS) > 70 and sum(map(len, IMPORTS.values())) > 200
    assert {"diffusion.paths", "networks.exact"} <= IMPORTS["model"]
    assert "plots" in IMPORTS["training.history"], "a face, imported in a function"


@pytest.mark.parametrize(
    ("name", "line", "wrong"),
    [
        ("tasks.binsaw", "from ..diffusion.paths import Path", "tasks.binsaw imports diffusion.paths"),
        ("tasks.binsaw", "from .. import config", "tasks.binsaw imports config"),
        ("tasks.binsaw", "def f():\n    from ..plots import look", "tasks.binsaw imports plots"),
        ("widgets.base", "import lddm_lite.cli.options", "widgets.base imports cli.options"),
        ("text", "from ..model import load", "text imports model"),
    ],
)
def test_an_import_upwards_is_found(name, line, wrong):
    found = imported(name, f"{TEXTS[name]}\n{line}\n", TEXTS)
    assert wrong in upwards({**IMPORTS, name: found})


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_rooms_and_the_hall_stay_small():
    assert len(list(LIBRARY.glob("*.py"))) <= 6
    sizes = {room: len(list((LIBRARY / room).glob("*.py"))) for room in ROOMS}
    assert {room: n for room, n in sizes.items() if n > 18} == {}


def test_no_module_bears_the_name_of_what_its_face_shows():
    """Importing the module would bind it to that name, and hide the function."""
    for room in ROOMS:
        face = ast.parse((LIBRARY / room / "__init__.py").read_text("utf-8"))
        shown = {a.asname or a.name for node in face.body if isinstance(node, ast.ImportFrom) for a in node.names}
        assert not shown & {path.stem for path in (LIBRARY / room).glob("*.py")}, room

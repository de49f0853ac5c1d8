"""A function with many arguments says in its docstring what each of them is."""

import ast
import re

import pytest

from tests.support import ROOT

LIBRARY = ROOT / "lddm_lite"
MANY = 4  # arguments that a line of prose still explains
Function = ast.FunctionDef | ast.AsyncFunctionDef


def arguments(node: Function) -> list[str]:
    """Names of the arguments, without `self`, `cls`, and what * and ** gather."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [a.arg for a in given if a.arg not in ("self", "cls")]


def listed(node: Function) -> set[str]:
    """What the lists of a docstring name: "- `n`, `seed`: ..." names two."""
    heads = re.findall(r"^- (`[^:\n]*)", ast.get_docstring(node) or "", re.MULTILINE)
    return {name for head in heads for name in re.findall(r"`(\w+)`", head)}


def contracts(tree: ast.Module) -> dict[str, set[str]]:
    """{"Class.method": what its lists name}, of the methods of a module."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {f"{c.name}.{f.name}": listed(f) for c in classes for f in c.body if isinstance(f, Function)}


PROTOCOLS = contracts(ast.parse((LIBRARY / "_common" / "protocols.py").read_text("utf-8")))


def unlisted(source: str) -> list[str]:
    """The arguments that no list names, of the public functions of a source with more than `MANY`:
    not their own, nor that of the protocol's method whose contract is theirs ("as `Model.predict`").
    """
    found = []
    tree = ast.parse(source)
    inner = {f for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and c.name.startswith("_") for f in ast.walk(c)}
    for node in ast.walk(tree):
        if node in inner or not isinstance(node, Function) or node.name.startswith("_") or len(arguments(node)) <= MANY:
            continue
        known = listed(node)
        for method in re.findall(r"\bas\s+`(?:protocols\.)?(\w+\.\w+)`", ast.get_docstring(node) or "", re.IGNORECASE):
            known |= PROTOCOLS.get(method, set())
        found += [f"{node.name}, line {node.lineno}: {name}" for name in arguments(node) if name not in known]
    return found


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_every_argument_of_many_is_in_a_list(path):
    assert unlisted(path.read_text("utf-8")) == []


def test_an_argument_without_a_line_is_found():
    source = '''
def four(a, b, c, d, *more, **options): ...

def five(a, b, c, d, e=None):
    """Prose that speaks of `c` is no list: nor is `d`.

    - `a`, `b` [n]: two, with the shape of one;
      `e`: within a line that another begins.
    """

class Net:
    def predict(self, x_t, z_t, t_z, where, need_latents, lengths, own):
        """As `protocols.Model.predict`."""

    def forward(self, x_t, z_t, t_z, where, need_latents):
        """As `Model.nothing`, which there is not; see `Denoiser.forward`."""

    def _own(self, a, b, c, d, e): ...
'''
    assert unlisted(source) == [
        *(f"five, line 4: {name}" for name in "cde"),
        "predict, line 12: own",
        *(f"forward, line 15: {name}" for name in ("x_t", "z_t", "t_z", "where", "need_latents")),
    ]

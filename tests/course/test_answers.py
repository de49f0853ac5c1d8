"""Each self-check on other answers than its solution: wrong, lazy and absurd ones are refused with a
sentence, the same answer in another form or rounded is taken. Slow: it runs all checks many times."""

import ast
import contextlib
import io
import math

import pytest
import torch

from tests.support.notebooks import build

pytestmark = pytest.mark.slow


def plain(cell) -> str:
    return "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))


def exercises(source):
    """(names before, [(title, names of the answer, its solution, its check)]) of a notebook."""
    import jupytext

    cells = jupytext.read(source, fmt="py:percent").cells
    begin = next(i for i, c in enumerate(cells) if "exercises" in build.tags(c))
    setup = [plain(c) for c in cells[:begin] if "setup" in build.tags(c)]
    found, title, names, solution = [], "", [], []
    for cell in cells[begin:]:
        tags = build.tags(cell)
        if cell.cell_type == "markdown":
            title = cell.source[:60] if "solution" not in tags else title
        elif "exercise" in tags:
            nodes = ast.parse(cell.source).body
            names = [n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            empty = [n for n in nodes if isinstance(n, ast.Assign) and ast.unparse(n.value) == "..."]
            names += [target.id for n in empty for target in n.targets]
        elif "check" in tags:
            found.append((title, names, "\n".join(solution), plain(cell)))
            solution = []
        elif "setup" in tags or "solution" in tags:
            solution.append(plain(cell))
    return setup, found


def verdict(check: str, names: dict) -> str:
    """What the check says, or how it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(check, dict(names))
        except Exception as e:  # noqa: BLE001 - any error in a check is what is looked for
            return f"{said.getvalue()}{type(e).__name__}: {e}"
    return said.getvalue()


def numbers(value):
    """An answer as float64, where it is numbers."""
    try:
        return torch.as_tensor(value).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def wrong(answer) -> dict:
    """Answers that a lazy, tired or playful person gives, but for those that happen to be right."""
    if isinstance(answer, type):
        return {}
    if callable(answer):
        return {
            "nothing": lambda *a, **k: None, "zero": lambda *a, **k: 0.0, "one": lambda *a, **k: 1.0,
            "a word": lambda *a, **k: "x", "what it got": lambda first=0.0, *a, **k: first,
            "nan": lambda *a, **k: math.nan, "empty": lambda *a, **k: [],
        }  # fmt: skip
    right = numbers(answer)
    lazy = {"none": None, "zero": 0, "one": 1, "half": 0.5, "word": "x", "empty": [], "nan": math.nan, "true": True,
            "text": "0.69", "table": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}  # fmt: skip
    if right is not None and right.dim():
        lazy |= {"zeros": torch.zeros_like(right).tolist(), "ones": torch.ones_like(right).tolist(),
                 "longer": [*right.tolist(), 1.0], "rising": torch.arange(right.numel()).view_as(right).tolist(),
                 "less": right.tolist()[:-1]}  # fmt: skip
    if right is not None:
        lazy |= {"doubled": (2 * right + 1).tolist(), "negative": (-right - 1).tolist()}

    def same(value) -> bool:
        other = numbers(value)
        return other is not None and right is not None and other.shape == right.shape and bool((other == right).all())

    return {k: v for k, v in lazy.items() if not same(v)}


def alike(answer, pencil: bool) -> dict:
    """The right answer in other forms; for pencils also rounded."""
    right = numbers(answer)
    if right is None or callable(answer):
        return {}
    found = {"tensor": right, "array": right.numpy()}
    if right.dim() == 1:
        found["tuple"] = tuple(right.tolist())
    if pencil and right.dim() < 2:
        digits = [float(f"{v:.3g}") if v != round(v) else v for v in right.flatten().tolist()]
        found["rounded"] = digits if right.dim() else digits[0]
    return found


@pytest.mark.parametrize("source", build.sources(), ids=lambda s: s.stem)
def test_no_answer_is_misjudged(source, monkeypatch, tmp_path):
    monkeypatch.setenv("LDDM_FAST", "1")
    monkeypatch.delenv("LDDM_STRICT", raising=False)
    monkeypatch.chdir(tmp_path)
    setup, found = exercises(source)
    names: dict = {"__name__": "notebook", "get_ipython": lambda: None, "display": lambda *a: None}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in setup:
            exec(cell, names)
    misjudged, tried = [], 0
    for title, own, solution, check in found:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(solution, names)
        said = verdict(check, names)
        if "✓" not in said or "✗" in said:
            misjudged.append((title, "the solution", said))
        for name in own:
            answer = names[name]
            for kind, value in wrong(answer).items():
                tried += 1
                said = verdict(check, names | {name: value})
                if "✗" not in said:
                    misjudged.append((title, name, kind, said[-200:]))
            for kind, value in alike(answer, "encil" in title).items():
                tried += 1
                said = verdict(check, names | {name: value})
                if "✓" not in said or "✗" in said:
                    misjudged.append((title, name, kind, said[-200:]))
    assert misjudged == [], f"{len(misjudged)} of {tried}:\n" + "\n".join(map(str, misjudged))

"""Data of your own on the command line: a class in a file or module, or an array of ids.

What is named on the command line is run and read; what a file of a run names is not, so that it has
to be given again at `--resume`, `evaluate` and `compare`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._common import arguments
from .._common.arguments import brief
from .._common.documents import read_array
from .._common.files import user_path

if TYPE_CHECKING:
    from .._common.protocols import Data, Model

__all__ = ["IDS_ONLY", "arrays", "has_own", "held_out_arrays", "is_own", "load", "picture"]

IDS_ONLY = ("labels", "pad_id", "shape", "classes", "names")  # options that are about --ids


def is_own(task: str | None) -> bool:
    """Does `--task` name a class of one's own, in a file or a module?

    >>> is_own("my.py:Bars"), is_own("binsaw")
    (True, False)
    """
    return task is not None and ":" in task


def has_own(options: dict) -> str | None:
    """The option of a run that has to be given again, since a file's word alone runs no code and
    reads no other file; None where there is none.

    >>> has_own({"task": "my.py:Bars"}), has_own({"task": "binsaw"})
    ('task', None)
    """
    from ..text.tokenizer_kinds import KINDS

    if is_own(options.get("task")):
        return "task"
    return "tokenizer" if options.get("tokenizer") not in (None, "auto", "own", "bert", *KINDS) else None


def load(task: str, length: int | None = None) -> Data:
    """The data object that FILE.py:NAME or MODULE:NAME stands for: an object, or a class or function
    that makes one, with `length=` where it is given. ValueError saying what is wrong.

    >>> _ = Path("mine.py").write_text("from lddm_lite.tasks import Binsaw as Saw")
    >>> load("mine.py:Saw", 8).length
    8
    """
    from .._common import data_contract

    place, _, name = task.rpartition(":")
    if not place or not name.isidentifier():
        raise ValueError(f"--task must be a task by name, FILE.py:NAME or MODULE:NAME, got {task!r}")
    made: Any = getattr(_module(place), name, None)
    if made is None:
        raise ValueError(f"--task {task}: {place} has no {name}")
    if callable(made) and (inspect.isclass(made) or not hasattr(made, "sample")):
        given = {} if length is None else {"length": length}
        try:
            inspect.signature(made).bind(**given)
        except TypeError as e:
            what = "--length: " if given else ""
            raise ValueError(f"{what}--task {task}: {name} cannot be called so: {e}") from None
        made = made(**given)
    elif length is not None and length != getattr(made, "length", None):
        raise ValueError(f"--length {length}: not with --task {task}, an object that has length {made.length}")
    data_contract.check(made, f"--task {task}")
    return made


def _module(place: str):
    path = Path(place).expanduser()
    if place.endswith(".py"):
        if not path.is_file():
            raise ValueError(f"--task: there is no file {place}")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = sys.modules.get(path.stem, module)  # dataclasses and pickle look there
        sys.path.insert(0, str(path.resolve().parent))
        try:
            spec.loader.exec_module(module)
        except Exception as e:
            raise ValueError(f"--task: {place} cannot be run: {type(e).__name__}: {e}") from e
        finally:
            sys.path.pop(0)
        return module
    sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except ImportError as e:
        raise ValueError(f"--task: there is no module {place!r} ({e}); for a file, FILE.py:NAME") from None
    finally:
        sys.path.pop(0)


def picture(shape: str | None) -> tuple[int, int] | None:
    """ "8x8" as (8, 8). ValueError for something else.

    >>> picture("8x8")
    (8, 8)
    """
    if shape is None:
        return None
    rows, x, columns = shape.lower().partition("x")
    if not (x and rows.strip().isdigit() and columns.strip().isdigit()):
        raise ValueError(f"--shape must be ROWSxCOLUMNS, such as 8x8, got {shape!r}")
    return int(rows), int(columns)


def arrays(options: dict) -> Data:
    """The data of `--ids`, with the options of `IDS_ONLY`. ValueError for files that hold something
    else.

    >>> import numpy as np
    >>> np.save("rows.npy", [[0, 1], [1, 1]])
    >>> arrays({"ids": "rows.npy"}).length
    2
    """
    from ..tasks.arrays import from_arrays

    words = {k: None if options.get(k) is None else _lines(f"--{k}", options[k]) for k in ("labels", "names")}
    classes = None if options.get("classes") is None else _array("--classes", options["classes"])
    try:
        return from_arrays(
            _array("--ids", options["ids"]), pad_id=options.get("pad_id"), shape=picture(options.get("shape")),
            classes=classes, **words,
        )  # fmt: skip
    except ValueError as e:
        raise ValueError(f"--ids {options['ids']}: {e}") from None


def held_out_arrays(model: Model, ids: str, classes: str | None = None) -> Data:
    """Held-out rows in the words of a model: `ids` without, `classes` with the class of each.

    >>> held_out_arrays(model, "rows.npy")  # doctest: +SKIP
    """
    import torch

    from ..tasks.arrays import ArrayData

    rows = _array("--ids", ids)
    if rows.dtype.kind not in "iu" or rows.ndim < 2 or not rows.size:
        raise ValueError(f"--ids {ids} must hold rows of integers [N, L], got {rows.dtype} {list(rows.shape)}")
    x = torch.from_numpy(rows.reshape(len(rows), -1).astype("int64"))
    about = model.data.get("classes")
    if (about is None) != (classes is None):
        raise ValueError(
            "--classes: " + ("the model has none" if about is None else "the model has classes; give those of the rows")
        )
    if about is not None and classes is not None:
        of = _array("--classes", classes)
        most = len(about["names"])
        if of.dtype.kind not in "iu" or of.shape != (len(x),) or not 0 <= int(of.min()) <= int(of.max()) < most:
            raise ValueError(f"--classes {classes} must hold an integer in 0..{most - 1} for each of the {len(x)} rows")
        x = torch.cat([torch.from_numpy(of.astype("int64")).view(-1, 1) + about["first"], x], 1)
    try:
        x = model.check_tokens("--ids", x).cpu()
    except (ValueError, RuntimeError) as e:
        raise ValueError(f"--ids {ids}: {e}") from None
    return ArrayData(x, model.labels, model.config.pad_id, model.data.get("shape"), about and about["names"])


def _array(option: str, file: str):
    try:
        return read_array(user_path(option, file))
    except ValueError as e:
        raise ValueError(f"{option}: {brief(e)}") from None


def _lines(option: str, file: str) -> list[str]:
    from ..text.lines import iter_lines

    found = list(itertools.islice(iter_lines(user_path(option, file), strip=False), arguments.limit("vocab") + 1))
    arguments.within("vocab", len(found), f"{option}: the lines of {file}")
    return found

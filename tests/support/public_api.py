"""What the library shows: each callable that a face names, with its parameters."""

import importlib
import inspect
from collections.abc import Iterator

ROOMS = "diffusion evaluation networks plots tasks text training widgets course".split()


def qualified(function) -> str:
    """The name under which a function was defined."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    return getattr(plain, "__qualname__", repr(plain))


def parameters(function) -> list[str]:
    """The names of its parameters, but for those of any number."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in ("self", "cls")]


def walk() -> Iterator[tuple[str, str, list[str]]]:
    """(name as it is called, name as it was defined, parameters) of all functions, classes and methods."""
    seen = set()
    for room in [importlib.import_module(f"lddm_lite.{r}") for r in ROOMS] + [importlib.import_module("lddm_lite")]:
        for name in room.__all__:
            found = getattr(room, name)
            if id(found) in seen or inspect.ismodule(found) or not callable(found):
                continue
            seen.add(id(found))
            yield found.__qualname__, qualified(found), parameters(found)
            for attribute, member in inspect.getmembers(found) if inspect.isclass(found) else ():
                own = any(attribute in vars(c) for c in found.__mro__ if c.__module__.startswith("lddm_lite"))
                if own and not attribute.startswith("_") and callable(member):
                    yield f"{found.__qualname__}.{attribute}", qualified(member), parameters(member)

"""Base class of the widgets: data that live in the browser, outputs that work without a kernel,
pages of their own."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path as File

import anywidget
import traitlets as T

from .._common import files, schemas
from . import payload

__all__ = ["Kept", "Widget"]


class Kept(T.TraitType):
    """A trait whose values are in a domain of `schemas`, or in the one that a method of the widget
    gives, by its name. TraitError names the trait, what was given, and what is allowed.

    >>> class Walk(T.HasTraits):
    ...     lead = Kept(0.5, schemas.number(0.0, 0.5))
    >>> Walk(lead=2)
    Traceback (most recent call last):
    traitlets.traitlets.TraitError: lead must be a number in [0.0, 0.5], got 2
    """

    def __init__(self, default, of: schemas.Domain | str):
        super().__init__(default)
        self.of = of

    def validate(self, obj, value):
        of = getattr(obj, self.of) if isinstance(self.of, str) else self.of
        try:
            return of(str(self.name), value)
        except ValueError as e:
            raise T.TraitError(str(e)) from None


class Widget(anywidget.AnyWidget):
    """Base of the widgets. A subclass names its `_kind`, which is also the name of its browser code
    (`payload.bundle`), the traits of its `_state`, and where its code does not lie among the
    library's, the `_folder` that holds it.

    Shown as the result of a cell it is plain HTML that holds code and data, and so lives on in the
    saved notebook; the traits named in `shared` follow it as long as the kernel runs, at most one
    message a second. Inside a box of other widgets the same code draws it from the traits.
    """

    _kind = ""
    _folder: str | None = None  # of browser code of your own
    _state: tuple[str, ...] = ()  # traits that both sides share
    _packed: dict[str, bytes] = {}  # the weights of models that the page runs, by their keys

    kind = T.Unicode().tag(sync=True)
    bus = T.Unicode().tag(sync=True)
    shared = T.List(T.Unicode()).tag(sync=True)
    data = T.Bytes().tag(sync=True)

    def __init__(self, head: dict, arrays: dict, **state):
        self.title = head["title"]
        super().__init__(
            _esm=payload.bundle(self._kind, self._folder) + "\nexport default { initialize, render };",
            kind=self._kind,
            bus=uuid.uuid4().hex[:12],
            shared=list(self._state),
            data=payload.pack(head, arrays),
            **state,
        )
        self.on_msg(self._asked)

    def still(self) -> bytes | None:
        """A PNG that stands in where scripts do not run, or None."""
        return None

    def answer(self, message: dict) -> dict:
        """The reply to a question from the browser (runs in the kernel): `{"weights": key}` -> them,
        for a page that lost the cell in which they lay. More in subclasses."""
        key = schemas.record({"weights": schemas.text()}, others=schemas.anything)("message", message)["weights"]
        if key not in self._packed:
            raise ValueError("message.weights must be the key of a model of this widget")
        return {"weights": base64.b64encode(self._packed[key]).decode()}

    def weights(self) -> dict[str, bytes]:
        """Models that the page runs, packed, by their keys."""
        return self._packed

    def _asked(self, _, message, buffers):
        try:
            reply = self.answer(message)
        except Exception as e:  # the page must not wait for ever: it shows the reason
            reply = {"error": f"{type(e).__name__}: {e}"}
        self.send({**reply, "id": message["id"]})

    def _fragment(self, live: bool) -> str:
        state = {name: getattr(self, name) for name in self._state}
        return payload.fragment(
            payload.bundle(self._kind, self._folder),
            uuid.uuid4().hex[:12],
            self._kind,
            self.data,
            state,
            self.bus if live else "",
            self.still(),
            f"{self.title}: a still picture of an interactive figure",
            {key: block for key, block in self.weights().items() if not live or _first_here(key)},
        )

    def _repr_mimebundle_(self, **kwargs):
        # No widget-view here: reopened without a kernel it would show "model not found" instead of
        # the widget.
        return {"text/html": self._fragment(live=True), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title})"

    def to_html(self, path) -> File:
        """Write one HTML file that opens offline, with no kernel; whole or not at all. Returns its
        path."""
        path = files.user_path("path", path)
        files.write(path, payload.page(self.title, self._fragment(live=False)))
        return path


_CARRIERS: dict[str, object] = {}  # key of a model -> the cell whose output holds it


def _first_here(key: str) -> bool:
    """Must the output of this cell hold that model? Not where another cell's does: weights lie once
    in a notebook. A cell that is run again holds what it held."""
    try:
        from IPython import get_ipython

        shell = get_ipython()
        cell = shell.get_parent()["metadata"].get("cellId") or shell.execution_count
    except (ImportError, AttributeError, KeyError):  # no notebook, where nothing can be shared
        return True
    return _CARRIERS.setdefault(key, cell) == cell

"""History of a training run: rows of plain numbers that save and plot themselves."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from .._common import files, schemas

__all__ = ["History"]

FIXED = ("step", "stage", "lr", "loss", "seconds")  # in every row; terms of the loss come beside them
HELD_OUT = ("held_out", "held_out_se")  # in the rows in which a bound was taken


_STEP = schemas.whole(0)
ROWS = schemas.items(
    schemas.record({"step": _STEP}, {"stage": schemas.whole(1, 2)}, others=schemas.number(finite=False)))  # fmt: skip
EVENTS = schemas.items(schemas.pair(_STEP, schemas.text()))
PREVIEWS = schemas.items(schemas.pair(_STEP, schemas.items(schemas.text())))
HISTORY = schemas.record(
    {"rows": ROWS, "events": EVENTS}, {"interrupted": schemas.boolean, "previews": PREVIEWS})  # fmt: skip


class History:
    """Rows {step, stage, lr, loss, <term>..., seconds}, each the mean over the steps since the last
    row; losses in nats per sequence. Where a bound on held-out data was taken, `held_out` and its
    standard error `held_out_se` (nats per sequence). `events`: (step, text) of what else happened.
    `previews`: (step, samples) of `preview_every`. `state` holds what resuming needs.

    >>> h = History([{"step": 10, "stage": 1, "tokens": 5.0}]); h.column("tokens")
    [5.0]
    """

    @schemas.checked(rows=schemas.maybe(ROWS), events=schemas.maybe(EVENTS), interrupted=schemas.boolean,
                     previews=schemas.maybe(PREVIEWS))  # fmt: skip
    def __init__(self, rows=None, events=None, interrupted: bool = False, previews=None):
        self.rows: list[dict] = list(rows or [])
        self.events: list[tuple[int, str]] = [tuple(e) for e in events or []]
        self.previews: list[tuple[int, list[str]]] = [(step, list(texts)) for step, texts in previews or []]
        self.interrupted = interrupted
        self.state: Any = None  # a `TrainState`

    @schemas.checked(name=schemas.text())
    def column(self, name: str) -> list[float]:
        """All values of one column; rows without it give nan."""
        return [row.get(name, float("nan")) for row in self.rows]

    def terms(self) -> list[str]:
        """Names of the loss terms seen, in order of appearance."""
        return list(dict.fromkeys(k for row in self.rows for k in row if k not in FIXED + HELD_OUT))

    def plot(self, ax=None):
        """Loss terms against steps (see `plots.training`)."""
        from ..plots import training

        return training(self, ax=ax)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        previews = {"previews": self.previews} if self.previews else {}
        return {"rows": self.rows, "events": self.events, "interrupted": self.interrupted, **previews}

    @classmethod
    def from_dict(cls, raw: dict) -> History:
        """The inverse of `to_dict`. ValueError for anything else."""
        raw = HISTORY("raw", raw)
        return cls(raw["rows"], raw["events"], raw.get("interrupted", False), raw.get("previews"))

    def save(self, path) -> None:
        """Write JSON, or CSV when the name ends in .csv (a row a line, columns named in the first);
        whole or not at all. OSError on a full disk leaves the old file.

        >>> History([{"step": 10, "tokens": 5.0}]).save("history.csv")
        >>> open("history.csv").read().splitlines()[1]
        '10,5.0'
        """
        text, path = io.StringIO(), files.user_path("path", path)
        if path.suffix == ".csv":
            names = list(dict.fromkeys(k for row in self.rows for k in row)) or FIXED
            out = csv.DictWriter(text, names, lineterminator="\n")
            out.writeheader()
            out.writerows(self.rows)
        else:
            json.dump(self.to_dict(), text)
        files.write(path, text.getvalue())

    def __repr__(self) -> str:
        if not self.rows:
            return "History(empty)"
        last = self.rows[-1]
        terms = ", ".join(f"{k} {last[k]:.2f}" for k in self.terms() if k in last)
        end = ", interrupted" if self.interrupted else ""
        return f"History(step {last['step']}: {terms}{end})"

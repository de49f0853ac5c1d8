"""What happened during training: rows of plain numbers that save themselves and plot themselves."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

__all__ = ["History"]


class History:
    """Rows {step, stage, lr, loss, <term>..., seconds}, each the mean over the steps since the last row; losses in nats
    per sequence. `events`: (step, text) of what else happened. `state` holds what resuming needs.

    >>> h = History([{"step": 10, "stage": 1, "tokens": 5.0}]); h.column("tokens")
    [5.0]
    """

    def __init__(self, rows=None, events=None, interrupted: bool = False):
        self.rows: list[dict] = list(rows or [])
        self.events: list[tuple[int, str]] = [tuple(e) for e in events or []]
        self.interrupted = interrupted
        self.state = None

    def column(self, name: str) -> list[float]:
        """All values of one column; rows without it give nan."""
        return [row.get(name, float("nan")) for row in self.rows]

    def terms(self) -> list[str]:
        """Names of the loss terms seen, in order of appearance."""
        fixed = {"step", "stage", "lr", "seconds", "loss"}
        return list(dict.fromkeys(k for row in self.rows for k in row if k not in fixed))

    def plot(self, ax=None):
        """Loss terms against steps (see `plots.training`)."""
        from .plots import training

        return training(self, ax=ax)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return {"rows": self.rows, "events": self.events, "interrupted": self.interrupted}

    @classmethod
    def from_dict(cls, raw: dict) -> History:
        """The inverse of `to_dict`."""
        return cls(raw["rows"], raw["events"], raw.get("interrupted", False))

    def save(self, path) -> None:
        """Write JSON, or CSV when the name ends in .csv; whole or not at all."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        with open(part, "w", newline="", encoding="utf-8") as f:
            if path.suffix == ".csv":
                names = list(dict.fromkeys(k for row in self.rows for k in row))
                out = csv.DictWriter(f, names)
                out.writeheader(), out.writerows(self.rows)
            else:
                json.dump(self.to_dict(), f)
        os.replace(part, path)

    def __repr__(self) -> str:
        if not self.rows:
            return "History(empty)"
        last = self.rows[-1]
        terms = ", ".join(f"{k} {last[k]:.2f}" for k in self.terms() if k in last)
        return f"History(step {last['step']}: {terms}{', interrupted' if self.interrupted else ''})"

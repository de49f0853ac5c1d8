"""Comparison figure of several systems at equal NFE: quality, and beside it what keeps quality
honest."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from .._common import schemas
from .._common.arguments import shown
from .curves import EXACT, doubling_axis, excess_axis, points
from .style import GROUPS, SOFT, axes, in_legend, look

__all__ = ["comparison"]

_LINES = ["-", "--", "-.", ":"]  # of models that share a system
_PANELS = {  # column -> (label of the axis, its scale)
    "gen_ppl": ("Gen PPL", "log"),
    "entropy": ("token entropy (nats)", "linear"),
    "distinct_2": ("distinct pairs (share)", "linear"),
    "coherent": ("coherent samples (share)", "linear"),
    "excess": ("excess (nats per sequence)", "symlog"),
}


_ROW = schemas.record(
    {"model": schemas.text(), "system": schemas.text(), "nfe": schemas.whole(1)}, others=schemas.anything)
_REPORT = schemas.record(
    {"kind": schemas.choice("task", "text"), "rows": schemas.items(_ROW)},
    {"real": schemas.maybe(schemas.mapping(schemas.anything))}, others=schemas.anything)  # fmt: skip


@schemas.checked(report=_REPORT)
def comparison(report: dict, ax=None):
    """Two panels of a report of `comparison.compare` (also as read from JSON) against the total
    NFE, with bars of two standard errors: Gen PPL and token entropy for text (entropy and distinct
    pairs where no judge was), with a line for as many real sentences; coherence and excess nats for
    tasks, with the exact predictor without latents dashed, dotted in its best steps.

    `ax`: two Axes to draw into. Returns both. ValueError for a report without rows, or other than
    two Axes.

    >>> rows = [{"model": "mdlm", "system": "mdlm", "nfe": 1, "entropy": 5.0, "distinct_2": 0.9}]
    >>> comparison({"kind": "text", "rows": rows, "real": {"entropy": 5.5, "distinct_2": 0.95}})[0].get_ylabel()
    'token entropy (nats)'
    """
    rows = report.get("rows") or []
    if not rows:
        raise ValueError("report has no rows: nothing was compared")
    if report["kind"] == "task":
        names = ["coherent", "excess"]
    else:
        names = ["gen_ppl", "entropy"] if any("gen_ppl" in row for row in rows) else ["entropy", "distinct_2"]
    with look():
        if ax is None:
            figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained")
        else:
            panels = list(ax) if isinstance(ax, list | tuple | np.ndarray) else []
            if len(panels) != 2 or not all(isinstance(panel, Axes) for panel in panels):
                got = len(panels) if len(panels) > 2 else shown(ax)
                raise ValueError(f"ax must be two Axes, got {got}")
            figure = panels[0].figure
        for panel, name in zip(panels, names, strict=True):
            _panel(axes(panel, (4.8, 4.0)), rows, name, report.get("real") or {}, report["kind"] == "text")
        handles, labels = panels[0].get_legend_handles_labels()
        lines = -(-len(labels) // 4)
        if ax is None:
            figure.legend(handles, labels, loc="outside upper center", ncols=min(4, -(-len(labels) // lines)))
        else:
            panels[0].legend(handles, labels)
        return panels[0], panels[1]


def _panel(ax, rows, name: str, real: dict, text: bool) -> None:
    label, scale = _PANELS[name]
    models = list(dict.fromkeys(row["model"] for row in rows))
    seen: dict[str, int] = {}
    for k, model in enumerate(models):
        own = sorted((r for r in rows if r["model"] == model and r.get(name) is not None), key=lambda r: r["nfe"])
        system = next(r["system"] for r in rows if r["model"] == model)
        nth = seen[system] = seen.get(system, -1) + 1
        line: dict = {"label": in_legend(model)}
        if system == "exact" and model.startswith("exact"):
            system = line["label"] = EXACT.format("best" if "best" in model else "even")
        elif nth:
            line |= {"color": GROUPS[(k + 3) % len(GROUPS)], "ls": _LINES[nth % 4]}
        points(ax, own, "nfe", name, system, k, positive=scale == "log", **line)
    if text and real.get(name) is not None:
        ax.axhline(real[name], color=SOFT, lw=1.4, ls=":", label="real sentences")
    doubling_axis(ax, [row["nfe"] for row in rows], "network calls in all (NFE)")
    ax.set_ylabel(label)
    if scale == "log":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    elif scale == "symlog":
        excess_axis(ax)
    if name == "coherent":
        ax.set_ylim(-0.04, 1.04)

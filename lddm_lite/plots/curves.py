"""Numbers against steps, NFE and noise times: training, the few-step frontier, the bound's
integrand."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.ticker import FixedLocator, MaxNLocator

from .._common import schemas
from .._common.arguments import numbers_of
from .style import COLOURS, FAINT, GROUPS, MARKERS, OTHERS, SOFT, TERMS, axes, look

__all__ = ["bound_rates", "doubling_axis", "excess_axis", "frontier", "points", "training"]

EXACT = "exact predictor, {} steps"  # of the system `exact`, in legends, by its schedule
BEST = ", best steps"  # what the name of a curve ends with whose steps are so placed


@schemas.checked(history=schemas.has("a History", "rows", "terms", "column"))
def training(history, ax=None):
    """Loss terms of a `History` against steps, nats per sequence, and where the encoder was frozen
    (METHOD 5).

    Returns the Axes. Raises ValueError for a history without rows.

    >>> from lddm_lite import History
    >>> training(History([{"step": 1, "stage": 2, "tokens": 2.0}, {"step": 2, "stage": 2, "tokens": 1.0}])).get_xlabel()
    'training step'
    """
    if not history.rows:
        raise ValueError("history has no rows: nothing was trained yet")
    with look():
        ax = axes(ax, (6.4, 3.2))
        steps, mark = history.column("step"), "o" if len(history.rows) < 3 else None
        for k, term in enumerate(history.terms()):
            colour, style = TERMS.get(term, GROUPS[(k + 3) % len(GROUPS)]), ["-", "--", "-.", ":"][k % 4]
            ax.plot(steps, history.column(term), label=term, color=colour, lw=1.8, ls=style, marker=mark)
        ax.set(xlabel="training step", ylabel="loss (nats per sequence)")
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        stages = history.column("stage")
        if 1 in stages and 2 in stages:
            ax.axvline(steps[stages.index(2)], color=SOFT, lw=1.2, ls=":", label="encoder frozen")
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if len(steps) == 1:
            ax.set_xlim(steps[0] - 1, steps[0] + 1)
        ax.legend()
        return ax


@schemas.checked(rows=schemas.items(schemas.mapping(schemas.anything), least=1), key=schemas.text(), x=schemas.text())
def frontier(rows, ax=None, key: str = "excess", x: str = "nfe"):
    """Quality against NFE: `rows` as from `few_steps.frontier` (dicts with system, nfe, excess,
    excess_se, ...), with bars of two standard errors. `key`: the column to draw; `x`: 'nfe',
    network calls, or 'token_steps'.

    The exact predictor without latents (system 'exact', or a name that begins so) is drawn dashed in
    even steps and dotted in its best ones, two limits of models without latents in such steps
    (METHOD 8). Rows in the best steps (`schedule` "best") of other systems are dash-dotted. Excess is
    in nats per sequence, on an axis linear below 1 and logarithmic above. Returns the Axes.
    ValueError for no rows, or a row without one of the columns.

    >>> frontier([{"system": "mdlm", "nfe": 1, "excess": 44.0, "excess_se": 0.2}]).get_xscale()
    'log'
    """
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty; give at least one row")
    for name in ("system", x, key):
        if any(name not in r for r in rows):
            has = sorted(next(r for r in rows if name not in r))
            raise ValueError(f"rows must all have {name!r}; the first without it has {has}")
    with look():
        ax = axes(ax, (6.4, 3.8))
        for k, (system, steps) in enumerate(dict.fromkeys((r["system"], r.get("schedule", "even")) for r in rows)):
            own = [r for r in rows if (r["system"], r.get("schedule", "even")) == (system, steps)]
            name = EXACT.format(steps) if system == "exact" else system
            if steps == "best" and not name.endswith(BEST):
                name += BEST
            points(ax, sorted(own, key=lambda r: r[x]), x, key, name, k, label=name)
        names = {"nfe": "network calls (NFE)", "token_steps": "token steps"}
        doubling_axis(ax, [r[x] for r in rows], names.get(x, x))
        ax.set_ylabel("excess (nats per sequence)" if key == "excess" else key)
        if key == "excess":
            excess_axis(ax)
        _headroom(ax, 0.3)
        ax.legend(loc="upper right", ncols=2)
        return ax


def points(ax, rows: list[dict], x: str, y: str, system: str, k: int, positive: bool = False, **line) -> None:
    """Columns x and y of rows as points with bars of two standard errors (column "y_se"), joined by
    a line, in the look of a system.

    - `ax`: Axes to draw into;
    - `rows`: dictionaries, in the order of the line;
    - `x`, `y`: names of the columns;
    - `system`: whose look; with `BEST` at its end, that of the system in its best steps;
    - `k`: which look a system has that is none of the five;
    - `positive`: on a logarithmic axis, where a bar that reaches 0 would have no foot;
    - `line`: `label`, and what differs from the look.

    >>> ax = axes(None, (4, 3))
    >>> points(ax, [{"nfe": 1, "excess": 44.0, "excess_se": 0.2}], "nfe", "excess", "mdlm", 0)
    >>> ax.lines[0].get_color() == COLOURS["mdlm"]
    True
    """
    up = [2 * (r.get(f"{y}_se") or 0.0) for r in rows]
    down = [min(e, 0.9 * r[y]) if positive else e for e, r in zip(up, rows, strict=True)]
    best, exact = system.endswith(BEST), system == "exact" or system.startswith("exact predictor")
    kind = "exact" if exact else system.removesuffix(BEST)
    usual = {
        "color": COLOURS.get(kind, OTHERS[k % len(OTHERS)]),
        "marker": MARKERS.get(kind, "X*<>hp"[k % 6]),
        "ls": {(False, False): "-", (False, True): "-.", (True, False): "--", (True, True): ":"}[exact, best],
    }
    at, values = [r[x] for r in rows], [r[y] for r in rows]
    ax.errorbar(at, values, [down, up], ms=6.5, mec="white", mew=0.6, lw=1.8, capsize=2, **{**usual, **line})


def doubling_axis(ax, values: list[int], name: str) -> None:
    """A logarithmic x axis for numbers of steps: powers of two, so many that their labels do not
    touch.

    >>> ax = axes(None, (4, 3))
    >>> doubling_axis(ax, [1, 6], "steps")
    >>> ax.get_xticks().tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    ax.set_xscale("log", base=2)
    low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    ax.xaxis.set_major_locator(FixedLocator([2.0**k for k in range(low, high + 1, -(-(high - low + 1) // 9))]))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    ax.minorticks_off()
    ax.set_xlabel(name)


def excess_axis(ax) -> None:
    """A y axis for excess nats: linear below 1, logarithmic above, and a line at 0.

    >>> ax = axes(None, (4, 3))
    >>> excess_axis(ax)
    >>> ax.get_yscale()
    'symlog'
    """
    ax.set_yscale("symlog", linthresh=1, linscale=0.8)
    ax.margins(y=0.08)
    marks = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    ax.yaxis.set_major_locator(FixedLocator([*(-v for v in marks[:0:-1]), *marks]))
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    ax.minorticks_off()
    ax.axhline(0, color=FAINT, lw=0.8, zorder=0)


def _headroom(ax, share: float) -> None:
    """Room for a legend above the data: `share` of their height, on whatever scale the axis has.
    The limits still follow the data, so that axes which share them keep all of theirs in view."""
    low, high = ax.yaxis.get_transform().transform(ax.dataLim.intervaly)
    top = ax.yaxis.get_transform().inverted().transform(high + share * (high - low))
    ax.update_datalim([(ax.dataLim.x0, top)])
    ax.autoscale_view()


def bound_rates(table, ax=None):
    """The integrand of the bound (M9) against the noise time, a curve per channel; the area under
    it is the nats that the channel contributes, and stands in the legend.

    `table`: rows as from `bound_integrand.along_path`, or columns {"t": [n], "tokens": [n],
    "latents": [n]}, in nats per unit of time; columns "tokens_se" and "latents_se" draw bands of
    two standard errors. Each channel has its own time: t_x for tokens (M3), t_z for latents (M7).
    Areas are sums of trapezia. Returns the Axes. Raises ValueError for a table without 't' or
    without both channels, with columns of different lengths, with fewer than two points, or with
    numbers that are not finite.

    >>> ax = bound_rates({"t": [0, 1], "tokens": [2, 4], "latents": [1, 0]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['tokens: 3.00 nats', 'latents: 0.50 nats']
    """
    table = _columns(table)
    with look():
        ax = axes(ax, (6.4, 3.4))
        for name, style in (("tokens", "-"), ("latents", "--")):
            if name not in table:
                continue
            t, y = table["t"], table[name]
            label = f"{name}: {np.trapezoid(y, t):.2f} nats"
            ax.plot(t, y, color=TERMS[name], lw=1.8, ls=style, label=label, zorder=3)
            ax.fill_between(t, 0, y, color=TERMS[name], alpha=0.14, lw=0, zorder=1)
            if f"{name}_se" in table:
                half = 2 * table[f"{name}_se"]
                ax.fill_between(t, y - half, y + half, color=TERMS[name], alpha=0.35, lw=0, zorder=2)
        ax.set(xlabel="noise time t of the channel (0 clean, 1 pure noise)", ylabel="rate (nats per unit of time)")
        ax.set(xlim=(float(table["t"][0]), float(table["t"][-1])), ylim=(min(0.0, ax.get_ylim()[0]), None))
        ax.set_ylim(top=ax.get_ylim()[1] * 1.22)  # room for the legend above the curves
        ax.legend(loc="upper left", ncols=2)
        return ax


def _columns(table) -> dict[str, np.ndarray]:
    """Rows or columns -> float columns sorted by t; ValueError naming what is wrong."""
    if not isinstance(table, dict):
        rows = schemas.items(schemas.mapping(schemas.anything))("table", table)
        names = dict.fromkeys(k for r in rows for k in r)
        table = {k: [r.get(k, np.nan) for r in rows] for k in names}
    wanted = ("t", "tokens", "latents", "tokens_se", "latents_se")
    table = {k: numbers_of(f"table[{k!r}]", table[k]).astype(float) for k in wanted if k in table}
    if "t" not in table or not {"tokens", "latents"} & set(table):
        raise ValueError(f"table must have 't' and at least one of 'tokens' and 'latents', got {sorted(table)}")
    for name, column in table.items():
        if column.ndim != 1 or len(column) != len(table["t"]) or len(column) < 2:
            raise ValueError(f"table[{name!r}] must be as long as 't', and at least 2, got shape {column.shape}")
        if not np.isfinite(column).all():
            raise ValueError(f"table[{name!r}] holds numbers that are not finite")
    order = np.argsort(table["t"])
    return {k: v[order] for k, v in table.items()}

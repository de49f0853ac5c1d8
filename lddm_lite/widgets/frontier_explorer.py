"""The frontier explorer: quality against diversity, whose points the page draws again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as File

import numpy as np
from matplotlib.figure import Figure

from .._common import documents, files, schemas
from .._common.arguments import shown
from .._common.quantised import KINDS
from ..model import LatentDiffusion, load
from ..plots.run_frame import png
from ..plots.style import COLOURS, FAINT, MARKERS, SOFT
from . import payload
from .base import Widget
from .infill import named
from .playground import SHIPPED, about_model
from .scrubber_data import exported

__all__ = ["FrontierExplorer", "shipped"]

NUMBERS = ("excess", "excess_se", "mode_tv", "spread")
_POINT = {name: schemas.number() for name in NUMBERS}
_LIMIT = schemas.items(schemas.record({**_POINT, "nfe": schemas.whole(1)}, others=schemas.anything))
_ROW = schemas.record(
    {**_POINT, "model": schemas.text(), "nfe": schemas.whole(1), "token_steps": schemas.whole(1),
     "latent_steps": schemas.whole(0), "lead": schemas.number(), "temperature": schemas.number(),
     "order": schemas.text()},
    others=schemas.anything,
)  # fmt: skip
_TASK = schemas.record(
    {"data": schemas.text(), "systems": schemas.mapping(schemas.text()), "even": _LIMIT, "best": _LIMIT,
     "true": schemas.items(schemas.record(_POINT, others=schemas.anything), least=1),
     "rows": schemas.items(_ROW, least=1)},
    others=schemas.anything,
)  # fmt: skip
FOUND = schemas.record(  # what `evaluation.measure_frontier` writes
    {"format": schemas.constant("lddm-lite frontier"), "n": schemas.whole(1), "seed": schemas.whole(0),
     "tasks": schemas.items(_TASK, least=1)},
    others=schemas.anything,
)  # fmt: skip


class FrontierExplorer(Widget):
    """Quality against diversity: the excess of samples against how far their modes are from the
    true ones, or how much two of them differ, over steps, temperature, order and system, with the
    exact limits without latents in even and in best steps. A click on a point draws its first
    samples again, from their seed, in the page.

    - `models`: those to take along, as for `Playground`; None takes the measured ones that ship;
    - `found`: what `evaluation.measure_frontier` writes, as a dictionary or a file; None for
      what ships, `data/results/frontier.json`;
    - `task`: "binsaw" or another name with which the measured data begin, where there are several;
    - `weights`: how models travel, one of `_common.quantised.KINDS`;
    - `samples`: drawn again at a click;
    - `title`: above it.

    Needs no kernel. Raises ValueError for data that were not measured, and files that hold something
    else.

    >>> from lddm_lite import tasks
    >>> from lddm_lite.evaluation.measure_frontier import limits, measure
    >>> task = tasks.Binsaw(length=8)
    >>> models = {"mine": LatentDiffusion.preset("mdlm", task, width=16)}
    >>> rows = measure(models, task, (2,), (1.0,), ("even",), n=16)
    >>> about = {"data": repr(task), "systems": {"mine": "mdlm"}, **limits(task, (2,), 16), "rows": rows}
    >>> found = {"format": "lddm-lite frontier", "n": 16, "seed": 0, "command": "", "machine": "", "tasks": [about]}
    >>> FrontierExplorer(models, found)
    FrontierExplorer(Quality against diversity: Binsaw)
    """

    _kind = "frontier-explorer"

    @schemas.checked("title", task=schemas.text(most=100), weights=schemas.choice(*KINDS), samples=schemas.whole(1, 64))
    def __init__(
        self, models=None, found=None, *, task: str = "binsaw", weights: str = "int8", samples: int = 16,
        title: str | None = None,
    ):  # fmt: skip
        if found is None:
            found = shipped()
        elif isinstance(found, Mapping):
            found = FOUND("found", dict(found))
        else:
            found = documents.read_document(files.user_path("found", found), FOUND)
        about = _of_task(found, task)
        given = named(list(about["systems"]) if models is None else models)
        self.models = {n: m if isinstance(m, LatentDiffusion) else load(m) for n, m in given.items()}
        unknown = [name for name in self.models if name not in about["systems"]]
        if unknown:
            measured = ", ".join(about["systems"])
            raise ValueError(f"models must be among those measured, {measured}; got {shown(unknown[0])}")
        sent = {name: exported(model, weights, False) for name, model in self.models.items()}
        self._packed = {w.key: payload.pack(w.head, w.arrays) for w in sent.values()}
        data = str(about["data"]).split("(")[0]
        head: dict = {
            "title": title or f"Quality against diversity: {data}",
            "n": found["n"],
            "seed": found["seed"],
            "made": f"{found.get('command', '')}; {found.get('machine', '')}",
            "samples": samples,
            "systems": about["systems"],
            "limits": {name: about[name] for name in ("even", "best", "true")},
            "plans": [{k: row[k] for k in row if k not in NUMBERS} for row in about["rows"]],
            "models": {},
        }
        arrays: dict[str, np.ndarray] = {"numbers": np.array([[row[k] for k in NUMBERS] for row in about["rows"]])}
        for k, (name, model) in enumerate(self.models.items()):
            own, behind = about_model(name, model)
            head["groups"] = own["groups"]
            kept = {key: own[key] for key in ("name", "plane", "view")}
            head["models"][name] = kept | {"key": sent[name].key, "index": k, "head": sent[name].head}
            arrays |= {f"{kind}{k}": a for kind, a in behind.items()}
        self._about = about
        super().__init__(head, arrays)

    def still(self) -> bytes:
        """All points, and both limits, as PNG."""
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        ax = figure.add_subplot()
        for name, system in self._about["systems"].items():
            look: dict = {"color": COLOURS.get(system, SOFT), "marker": MARKERS.get(system, "o"), "alpha": 0.7}
            x, y, nfe = self._columns([row for row in self._about["rows"] if row["model"] == name])
            ax.scatter(x, y, s=[6 + 3 * v for v in nfe], label=name, **look)
        for how, line in (("even", ":"), ("best", "--")):
            x, y, _ = self._columns(self._about[how])
            ax.plot(x, y, line, color="black", label=f"exact, {how} steps")
        ax.set(xlabel="mode TV", ylabel="excess, nats a sequence")
        ax.spines[:].set_color(FAINT)
        ax.legend(frameon=False, fontsize=8)
        return png(figure)

    def _columns(self, rows) -> tuple:
        return tuple([row[k] for row in rows] for k in ("mode_tv", "excess", "nfe"))


def shipped() -> dict:
    """What was measured of the models that ship. ValueError where it is not there."""
    file = SHIPPED / "results" / "frontier.json"
    if not file.is_file():
        raise ValueError(f"there is no {File(*file.parts[-3:])}: `make frontier` measures it, or give found=")
    return documents.read_document(file, FOUND)


def _of_task(found: dict, task: str) -> dict:
    """The part of what was measured that is of a task; of none of that name, the first."""
    return ([part for part in found["tasks"] if task in part["data"].lower()] or found["tasks"])[0]

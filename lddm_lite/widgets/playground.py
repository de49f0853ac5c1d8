"""The playground: models that sample in the page, without a kernel."""

from __future__ import annotations

import functools
import json
from pathlib import Path as File

import numpy as np
import torch

from .._common import arguments, documents, schemas
from .._common.quantised import KINDS
from ..diffusion.unmasking_order import ORDERS
from ..model import LatentDiffusion, load
from ..plots import plane
from ..tasks import MixtureTask, make
from ..text import prompts
from . import payload
from .base import Kept, Widget
from .infill import named
from .scrubber_data import encoded, exported, hidden, hues, linear, view_of

__all__ = ["Playground", "about_model"]

CLOUD = 300  # encoded sequences behind the latent plane
SHIPPED = File(__file__).resolve().parents[2] / "data"
RESULTS = ("binsaw-compared.json", "newswire-compared.json")
MEASURES: tuple[str, ...] = ("nfe", "token_steps", "latent_steps", "excess", "excess_se")
MEASURES += ("kl_forward", "kl_forward_se", "kl_reverse", "kl_reverse_se")


_NUMBER = schemas.maybe(schemas.number())
MEASURED = schemas.record({"data": schemas.text(), "rows": schemas.items(schemas.record({"model": schemas.text()}, {
    k: _NUMBER for k in MEASURES}, others=schemas.anything))}, others=schemas.anything)  # fmt: skip
_STEPS, _HEAT = schemas.whole(1, 128), schemas.number(0.0, 5.0)
PLAN = schemas.record({
    "model": schemas.whole(0), "seed": schemas.whole(0, 2**31 - 2), "samples": schemas.whole(1, 64),
    "order": schemas.choice(*ORDERS), "temperature": _HEAT, "top_p": schemas.number(maximum=1.0, above=0.0),
    "eta": schemas.number(0.0, 1.0), "latent_temperature": _HEAT, "schedule": schemas.text(most=10_000),
    "token_steps": _STEPS, "latent_steps": _STEPS, "lead": schemas.number(0.0, 0.5),
})  # fmt: skip


class Playground(Widget):
    """Playground: choose a model, its steps or any schedule, order, temperature and seed; *Sample*
    runs it in the browser, in a worker, and opens the run in a scrubber beside the last one. It
    needs no kernel, not even in a saved notebook, and the same seed gives the run that
    `LatentDiffusion.sample` gives, up to what rounding decides.

    - `models`: a dictionary from names to models, folders or names of checkpoints that ship, or a
      list of these, or one: with the library's own networks (see `LatentDiffusion.to_web`);
    - `weights`: how they travel, one of `_common.quantised.KINDS`;
    - `encoder`: take encoders along, for the ring in the latent plane that says where the finished
      sequence would be encoded; they are a third of a model of Binsaw;
    - `samples`, `seed`: where the controls begin;
    - `start`: sample once when the widget is first seen;
    - `title`: above it.

    On Binsaw a table tells excess and modes of what was drawn, beside the exact limits and what was
    measured of a model that ships. Weights lie once in a page, by their key, and serve all its
    widgets. Trait: `plan`, the controls as a dictionary. Raises ValueError for models that no page
    can run.

    >>> from lddm_lite import tasks
    >>> Playground(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=16), width=16))
    Playground(Models that sample here: mdlm)
    """

    _kind = "playground"
    _state = ("plan",)
    plan = Kept({}, "_plan").tag(sync=True)
    models: dict[str, LatentDiffusion] = {}

    @schemas.checked(
        "title", weights=schemas.choice(*KINDS), encoder=schemas.boolean, samples=schemas.whole(1, 64),
        seed=schemas.whole(0, 2**31 - 2), start=schemas.boolean,
    )  # fmt: skip
    def __init__(
        self,
        models,
        *,
        weights: str = "int8",
        encoder: bool = False,
        samples: int = 16,
        seed: int = 0,
        start: bool = True,
        title: str | None = None,
    ):
        given = named(models)
        self.models = {n: m if isinstance(m, LatentDiffusion) else load(m) for n, m in given.items()}
        sent = {name: exported(model, weights, encoder) for name, model in self.models.items()}
        self._packed = {w.key: payload.pack(w.head, w.arrays) for w in sent.values()}
        head: dict = {"title": title or f"Models that sample here: {', '.join(sent)}", "start": start, "groups": None}
        arrays: dict[str, np.ndarray] = {}
        head["models"] = []
        for k, (name, model) in enumerate(self.models.items()):
            about, own = about_model(name, model)
            if about["groups"] and head["groups"] in (None, about["groups"]):  # colours have one meaning in a page
                head["groups"] = about["groups"]
            elif about["groups"]:
                own.pop("hue", None)
            head["models"].append(about | {"key": sent[name].key, "index": k, "head": sent[name].head})
            arrays |= {f"{kind}{k}": a for kind, a in own.items()}
        plan = dict(model=0, seed=seed, samples=samples, order="ancestral", temperature=1.0, top_p=1.0, eta=1.0)
        plan |= dict(latent_temperature=1.0, schedule="") | head["models"][0]["usual"]
        super().__init__(head, arrays, plan=plan)

    def _plan(self, name: str, value) -> dict:
        given = PLAN(name, value)
        arguments.integer(f"{name}.model", given.get("model", 0), 0, max(0, len(self.models) - 1))
        return given

    def still(self) -> bytes:
        """A run of the first model, as PNG."""
        from .. import plots

        model = next(iter(self.models.values()))
        trace = model.sample(self.plan["samples"], seed=self.plan["seed"])
        return plots.png(plots.frame(trace, trace.steps))


def about_model(name: str, model: LatentDiffusion) -> tuple[dict, dict]:
    """What the page says of a model, and the arrays behind its latent plane."""
    c = model.config
    task = _task(json.dumps(model.data)) if prompts.task_of(model) is not None else None
    steps = {"none": (8, 1), "continuous": (1, 7) if c.lead == 0.5 else (8, 8), "discrete": (3, c.slots)}[c.latent]
    if c.latent == "discrete" and c.lead == 0:
        steps = (4, 4)
    about: dict = {"name": name, "plane": None, "groups": None, "view": view_of(model.data, c.length, c.vocab)}
    about["usual"] = {"token_steps": steps[0], "latent_steps": steps[1], "lead": model.path.lead}
    if task is not None and task.name == "binsaw":
        entropy = task.entropy()
        about["truth"] = {"entropy": entropy.value, "entropy_se": entropy.stderr}
        about |= _measured(name, model)
    arrays: dict = {}
    if c.latent == "continuous":
        z, x = _cloud(model, task)
        if c.slots * c.dim != 2:
            project = plane(z)
            about["plane"] = linear(project, c.slots, c.dim)
        arrays["cloud"] = plane(z)(z).astype("f4")
        if x is not None and task is not None:
            value, about["groups"] = hues(hidden(task, x), x, [])
            arrays["hue"] = value
    return about, arrays


@functools.lru_cache(maxsize=4)
def _task(spec: str) -> MixtureTask:
    """The task of a specification; its entropy takes a second, so tasks are kept."""
    return make(**json.loads(spec))


def _cloud(model: LatentDiffusion, task: MixtureTask | None):
    """Latents [N, m, d] for the backdrop, encoded, or, where no encoder is at hand, drawn; and the
    sequences, if encoded."""
    if task is not None and model.config.encoder == "learned":
        x = task.sample(CLOUD, seed=17)
        return encoded(model, x).numpy(), x
    drawn = model.sample(CLOUD, token_steps=1, latent_steps=16, seed=17).latents
    assert drawn is not None  # only models with latents have a backdrop
    return drawn[-1], None


def _measured(name: str, model: LatentDiffusion) -> dict:
    """From `data/results`: exact limits for the model's data, and what was measured of it, if it is
    the one that ships under this name."""
    for file in RESULTS:
        try:
            found = documents.read_document(SHIPPED / "results" / file, MEASURED)
        except (OSError, ValueError):
            continue
        if prompts.task_of(model) is None or found.get("data") != repr(_task(json.dumps(model.data))):
            continue
        rows: dict[str, list] = {}
        for row in found["rows"]:
            rows.setdefault(row["model"], []).append({k: row[k] for k in MEASURES if row.get(k) is not None})
        out: dict = {"limits": {how: rows.get(f"exact, {how} steps", []) for how in ("even", "best")}}
        if _ships(name, model):
            out["measured"] = rows.get(model.config.system, [])
        return out
    return {}


def _ships(name: str, model: LatentDiffusion) -> bool:
    """Has the model the weights of the checkpoint of this name?"""
    folder = SHIPPED / "checkpoints" / name
    if not (folder / "config.json").is_file():
        return False
    there, here = LatentDiffusion.load(folder).state_dict(), model.state_dict()
    return there.keys() == here.keys() and all(torch.equal(v, here[k].cpu()) for k, v in there.items())

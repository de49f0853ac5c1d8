"""Payload of the scrubber: arrays of each run, in few bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .._common import arguments, randomness, schemas
from .._common.modes import evaluating
from ..diffusion import sampler
from ..diffusion.paths import Knot, Path
from ..diffusion.trace import Trace
from ..model import LatentDiffusion
from ..networks.web_export import WebModel
from ..plots import plane
from ..tasks import MixtureTask
from .drawings import MOST, SIZE, drawn

__all__ = ["collect", "encoded", "exported", "go_on", "goes_on", "hidden", "hues", "linear", "structures", "view_of"]

CLOUD = 800  # sequences of a task that are encoded as the backdrop of the latent plane
WORDS = 4096  # labels at most of a model whose runs go on in a page
PROB = 65535  # probabilities travel as 16-bit integers
_ONE = dict(least=1, most=1)
_PLAN = schemas.record(  # what a page asks for, to go on with one sequence of a run
    {"first": schemas.whole(0), "seed": schemas.whole(0),
     "start": schemas.items(schemas.items(schemas.whole(0)), **_ONE), "free": schemas.items(schemas.whole(0), **_ONE),
     "rows": schemas.items(schemas.whole(0), **_ONE),
     "latents": schemas.maybe(schemas.items(schemas.items(schemas.number()), **_ONE))},
    others=schemas.anything,
)  # fmt: skip


def collect(
    traces,
    model: LatentDiffusion | Sequence[LatentDiffusion | None] | None,
    task: MixtureTask | None,
    data: np.ndarray | torch.Tensor | None,
    hue,
    order,
    cloud,
    names,
    samples: int,
) -> tuple[dict, dict, dict]:
    """Payload of the scrubber: (head, arrays) for `payload.pack`, and options for `plots.frame`.

    - `traces`: a list, of as many sequences each (`side_by_side`);
    - `model`, `task`, `data`, `hue`, `order`, `cloud`, `names`, `samples`: as for `Scrubber`.

    ValueError names the argument at fault.
    """
    cloud = [cloud] if cloud is not None and not isinstance(cloud, list | tuple) else cloud
    if cloud is not None:
        cloud = [None if c is None else arguments.numbers_of("cloud", c) for c in cloud]
        cloud = cloud * len(traces) if len(cloud) == 1 else cloud
    models, clouds = _each("model", model, len(traces)), _each("cloud", cloud, len(traces))
    names = [None] * len(traces) if names is None else _each("names", list(names), len(traces))
    if data is not None:
        data = schemas.ids("data", data)
    if task is not None and data is None and any(m is not None for m in models):
        data = task.sample(CLOUD, seed=17)
    if task is not None and hue is None and data is not None:
        hue = hidden(task, data)
    values, groups = hues(hue, data, clouds)
    n = min(len(traces[0]), samples)
    orders = _orders(order, traces, task)
    head = {"samples": n, "groups": groups, "runs": []}
    arrays: dict[str, np.ndarray] = {}
    for k, t in enumerate(traces):
        run, own = _run(t, n, names[k], orders[k][:n], models[k] is not None and goes_on(t, models[k]))
        if run["view"] is not None and run["view"]["kind"] == "molecule":
            run["view"] |= structures(("".join(t.words(i)) for i in range(n)), MOST // len(traces))
        if t.latent_kind == "continuous" and clouds[k] is None and models[k] is not None and data is not None:
            clouds[k] = encoded(models[k], data).numpy()
        own |= _latents(t, n, models[k], clouds[k], values)
        if models[k] is not None and goes_on(t, models[k]):
            run["model"] = _at_hand(t, models[k], clouds[k], k)
            if run["model"]["plane"] is not None:
                own["z"] = t.latents[:, :n].reshape(t.steps + 1, n, -1)
        head["runs"].append(run)
        arrays |= {f"{name}{k}": a for name, a in own.items()}
    behind = any(c is not None for c in clouds)
    still = {"order": orders, "cloud": clouds if behind else None, "hue": values if behind else None}
    return head, arrays, still | {"names": [r["name"] for r in head["runs"]]}


def hidden(task: MixtureTask, x):
    """Mode labels: the hidden mode of each sequence, Binsaw's shift in [0, 1), cyclic; for other
    tasks names of topics or modes."""
    if hasattr(task, "find_shift") and hasattr(task, "period"):
        return (task.find_shift(x) / task.period).numpy() % 1
    best = task.posterior(x).argmax(-1)
    if hasattr(task, "topic_of") and hasattr(task, "topics"):
        return [task.topics[int(i)] for i in task.topic_of[best]]
    return [f"mode {int(i)}" for i in task.mode_of[best]]


def _each(name, value, count) -> list:
    """One entry for each trace, from one entry for all or a list."""
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(f"{name} must have one entry for each of the {count} traces, got {len(value)}")
        return list(value)
    return [value] * count


def hues(hue, data: np.ndarray | torch.Tensor | None, clouds):
    """(values [N] or None, group names or None): numbers stay, names become group numbers, the most
    frequent first."""
    if hue is None:
        return None, None
    hue = arguments.numbers_of("hue", hue, "iufbU")
    if hue.ndim != 1:
        raise ValueError(f"hue must hold one value for each encoded sequence, got shape {hue.shape}")
    size = len(data) if data is not None else next((len(c) for c in clouds if c is not None), len(hue))
    if hue.shape != (size,):
        raise ValueError(f"hue must hold one value for each of the {size} encoded sequences, got shape {hue.shape}")
    if hue.dtype.kind == "f":
        return hue % 1, None
    found, index, count = np.unique(hue.astype(str), return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-count, kind="stable"), kind="stable")
    return rank[index], [str(v) for v in found[np.argsort(-count, kind="stable")]]


def _orders(order, traces, task: MixtureTask | None) -> list[np.ndarray]:
    n = len(traces[0])
    many = isinstance(order, (list, tuple)) and len(order) == len(traces)
    given = list(order) if many else [order] * len(traces)
    if order is None and task is not None:
        given = [np.unique(np.asarray(hidden(task, t.tokens)), return_inverse=True)[1] for t in traces]
    given = [None if v is None else arguments.numbers_of("order", v) for v in given]
    for v in given:
        if v is not None and np.asarray(v).shape != (n,):
            raise ValueError(f"order must hold {n} numbers, one for each sequence, got shape {np.asarray(v).shape}")
    return [np.zeros(n) if v is None else np.asarray(v, dtype=float) for v in given]


def view_of(about: dict, length: int, vocab: int, used=None) -> dict | None:
    """View of sequences in a page, of `Trace.meta` or `model.data`: as pictures or as molecules;
    None for what their labels say, bits, symbols or words. Of a picture: `shape`, `first`, how many
    tokens stand in front, and `shades`, from 0 light to 1 dark, of all ids, or of those `used`.

    >>> view_of({"shape": [2, 2], "levels": 3, "first": 1}, 5, 4)
    {'kind': 'picture', 'shape': [2, 2], 'first': 1, 'shades': [0.0, 0.5, 1.0, 1.0]}
    """
    shape, classes = about.get("shape"), about.get("classes")
    first: Any
    levels: Any
    if isinstance(shape, list | tuple) and len(shape) == 2:
        behind = (1, classes.get("first")) if isinstance(classes, dict) else (0, vocab)
        first, levels = about.get("first", behind[0]), about.get("levels", behind[1])
        numbers: list[Any] = [*shape, first, levels]  # of a file, perhaps: what is no picture is not shown as one
        if all(type(v) is int and v >= 0 for v in numbers) and 0 < shape[0] * shape[1] <= length - first:
            ids = range(vocab) if used is None else used
            shades = [0.0 if v >= vocab else round(min(1.0, v / max(1, levels - 1)), 4) for v in ids]
            return {"kind": "picture", "shape": [*shape], "first": first, "shades": shades}
    return {"kind": "molecule"} if "molecules" in (about.get("text") or {}) or "molecules" in about else None


def structures(strings, most: int = MOST) -> dict:
    """What the view of molecules has besides: `drawings` of `most` of the strings, and their `size`."""
    return {"size": [*SIZE], "drawings": drawn(strings, most)}


def goes_on(t: Trace, model: LatentDiffusion) -> bool:
    """Branching: can runs of `t` go on from their steps with this model? Not with another one's,
    nor where tokens are masked again on the way, nor with so many words that a page had better not
    know them."""
    c = model.config
    same = t.labels == model.labels and t.latent_kind == c.latent and t.tokens.shape[1] == c.length
    plain = t.events is None and "remask" not in t.meta and bool((t.reveal_step >= 0).all())
    return same and plain and c.vocab <= WORDS


def _at_hand(t: Trace, model: LatentDiffusion, cloud, index: int) -> dict:
    """What a page must know of the model of a run that may go on (scrubber_branches.js)."""
    c, names = model.config, {"temperature": "temperature", "top_p": "topP", "eta": "eta"}
    names |= {"latent_temperature": "latentTemperature"}
    draws = {"order": t.order} | {names[k]: v for k, v in t.meta.items() if k in names}
    to = None
    if t.latents is not None and c.latent == "continuous" and c.slots * c.dim != 2:
        to = linear(plane(t.latents[-1] if cloud is None else np.asarray(cloud)), c.slots, c.dim)
    return {"index": index, "name": model.name, "mask": c.vocab, "draws": draws, "plane": to}


def linear(project, slots: int, dim: int) -> dict:
    """A projection of `plots.plane` for a page: {mean [D], axes [2][D]}."""
    eye, zero = np.eye(slots * dim).reshape(-1, slots, dim), np.zeros((1, slots, dim))
    axes = (project(eye) - project(zero)).T
    return {"mean": (-project(zero)[0] @ axes).tolist(), "axes": axes.tolist()}


@torch.no_grad()
def go_on(t: Trace, model: LatentDiffusion, plan: dict) -> dict:
    """Run a branch in the kernel, what the engine gives for the same plan (engine_sampler.js):
    lists of one row each."""
    plan = _PLAN("message.go_on", plan)
    arguments.integer("message.go_on.first", plan["first"], 0, t.steps - 1)
    start = model.check_tokens("message.go_on.start", plan["start"], mask_ok=True)
    branch = sampler.Branch(plan["first"], torch.as_tensor(plan["free"]), plan["rows"])
    z = plan["latents"]
    if z is not None:
        kind = torch.float32 if t.latent_kind == "continuous" else torch.long
        shape = model.latent_shape(1)
        flat = torch.tensor(z[0], dtype=kind)
        z = schemas.of_shape("message.go_on.latents", flat, (math.prod(shape),)).reshape(shape)
    how = {k: v for k, v in t.meta.items() if k in ("temperature", "top_p", "eta", "latent_temperature")}
    knots = [Knot(*k) for k in t.knots]
    draws = sampler.Draws(order=t.order, **how)
    on = sampler.sample(model, start, knots, Path(t.lead), plan["seed"], draws, latents=z, branch=branch)
    assert on.alternatives is not None and on.alternative_probs is not None  # the sampler notes them
    out = {"tokens": on.tokens, "when": on.reveal_step, "prob": on.confidence}
    out |= {"alts": on.alternatives.reshape(1, -1), "altp": on.alternative_probs.reshape(1, -1)}
    if on.latents is not None:
        out["latents"] = on.latents.reshape(on.steps + 1, 1, -1)
        if model.encoder is not None:
            out["goals"] = encoded(model, on.tokens).numpy().reshape(1, -1)
    reply = {name: value.tolist() for name, value in out.items()}
    return reply | ({"drawings": drawn(["".join(on.words(0))])} if "molecules" in t.meta else {})


def exported(model: LatentDiffusion, weights: str, encoder: bool) -> WebModel:
    """A model for a page, with its encoder if asked for and able."""
    able = model.config.latent != "none" and model.config.encoder == "learned"
    return model.to_web(weights, encoder=encoder and able)


def _run(t: Trace, n: int, name, order, whole: bool) -> tuple[dict, dict]:
    """Head and token arrays of one trace. Only the words that occur travel, and ids are renumbered
    among them, unless the `whole` vocabulary is wanted, for what a reader types."""
    alternatives = t.tokens[..., None] if t.alternatives is None else t.alternatives
    likely = t.confidence[..., None] if t.alternative_probs is None else t.alternative_probs
    bits = len(t.labels) == 2 and all(len(v) == 1 for v in t.labels)
    ids = np.concatenate([t.tokens[:n].ravel(), alternatives[:n].ravel()])
    # before a position is revealed its alternatives may be masks
    everything = np.arange(len(t.labels) + 1), ids
    used, index = everything if bits or whole else np.unique(ids, return_inverse=True)
    index = index.reshape(-1)
    labels = ["[MASK]" if v == t.mask_id else str(t.labels[v]) for v in used]
    size = t.tokens[:n].size
    pad: list[int] = [] if t.pad_id is None else np.flatnonzero(used == t.pad_id).tolist()
    run = {
        "name": name or f"{t.model or 'model'}, NFE {t.nfe}",
        "nfe": t.nfe,
        "knots": t.knots,
        "latent": t.latent_kind,
        "bits": bits,
        "labels": labels,
        "pad": pad[0] if pad else -1,
        "seed": t.seed,
        "view": view_of(t.meta, t.tokens.shape[1], len(t.labels), used.tolist()),
    }
    arrays = {
        "tokens": index[:size].reshape(n, -1),
        "when": t.reveal_step[:n],
        "prob": np.round(np.clip(t.confidence[:n], 0, 1) * PROB).astype(int),
        "alts": index[size:].reshape(alternatives[:n].shape),
        "altp": np.round(np.clip(likely[:n], 0, 1) * PROB).astype(int),
        "order": np.argsort(order, kind="stable"),
    }
    if t.latents is not None and t.latent_kind == "discrete":
        run["codeMask"] = int(t.meta.get("code_mask", t.latents.max()))
    return run, arrays


def _latents(t: Trace, n: int, model: LatentDiffusion | None, cloud, values) -> dict:
    """Arrays of the latent views of one trace."""
    if t.latents is None:
        return {}
    goal = None if model is None else encoded(model, t.tokens[:n]).numpy()
    if t.latent_kind == "discrete":
        return {"codes": t.latents[:, :n]} | ({} if goal is None else {"goal": goal})
    cloud = None if cloud is None else np.asarray(cloud)
    if cloud is not None and cloud.shape[1:] != t.latents.shape[2:]:
        want = ", ".join(map(str, ("N", *t.latents.shape[2:])))
        raise ValueError(f"cloud must be [{want}] like the latents, got {cloud.shape}")
    to = plane(t.latents[-1] if cloud is None else cloud)
    out = {"plane": to(t.latents[:, :n])}
    if cloud is not None:
        out["cloud"] = to(cloud)
        if values is not None:
            out["hue"] = values
    if goal is not None:
        out["goal"] = to(goal)
    return out


@torch.no_grad()
def encoded(model: LatentDiffusion, x) -> torch.Tensor:
    """Latents of all sequences x [N, L], on the CPU."""
    g = randomness.generator(0, model.device)
    with evaluating(model):
        return torch.cat([model.encode(part, g).cpu() for part in torch.as_tensor(x).long().split(512)])

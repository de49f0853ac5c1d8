"""Training state for exact resume: all that the next step depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from .._common import checkpoint, schemas
from .._common.protocols import is_frozen
from .config import TrainConfig
from .history import HISTORY, History

__all__ = ["TrainState", "restore", "snapshot"]


@dataclass
class TrainState:
    """Training state: raw weights, averages, optimiser moments and generator states (tensors), and
    counters (JSON)."""

    tensors: dict[str, torch.Tensor]
    meta: dict

    def __post_init__(self):
        schemas.mapping(schemas.is_a(torch.Tensor))("tensors", self.tensors)
        schemas.mapping(schemas.anything)("meta", self.meta)

    @property
    def options(self) -> dict:
        """The TrainConfig of the run, as a dict; options that are younger than the run have their
        defaults."""
        return {**asdict(TrainConfig()), **self.meta["options"]}

    def write(self, folder) -> None:
        """Save to `folder` as a checkpoint (safetensors + JSON), in place of one that is there."""
        checkpoint.write(folder, self.tensors, {"kind": "training state", **self.meta})

    @classmethod
    def read(cls, folder) -> TrainState:
        """Load from `folder`; CheckpointError when there is none or it is damaged."""

        def is_state(meta: dict, found: checkpoint.Form) -> None:
            if meta.get("kind") != "training state":
                raise checkpoint.CheckpointError(f"{folder} holds no training state")
            try:
                meta |= _META("", meta)
            except ValueError as e:
                raise checkpoint.CheckpointError(f"{folder}/config.json holds no training state: {e}") from None

        return cls(*checkpoint.read(folder, fits=is_state))


_META = schemas.record(
    {"step": schemas.whole(0), "stage": schemas.whole(1, 2), "options": schemas.mapping(schemas.anything),
     "window": schemas.items(schemas.mapping(schemas.number(finite=False))), "history": HISTORY},
    {"model": schemas.mapping(schemas.anything), "data": schemas.text("[0-9a-f]{64}")},
    others=schemas.anything)  # fmt: skip


def snapshot(run) -> TrainState:
    """Snapshot of a `Trainer` between two steps."""
    tensors = {f"model.{k}": v.detach().clone() for k, v in run.model.state_dict().items()}
    tensors |= {f"ema.{i}": v.clone() for i, v in enumerate(run.ema)}
    for i, p in enumerate(run.params):
        for name, v in run.optimiser.state(p).items():
            tensors[f"optimiser.{i}.{name}"] = v.detach().clone()
    tensors["random.data"], tensors["random.noise"] = run.g_data.get_state(), run.g_noise.get_state()
    meta = {"step": run.step, "stage": run.stage, "options": asdict(run.config), "window": run.window[:]}
    meta |= {"model": run.model.config.to_dict(), "data": run.fingerprint}
    meta |= {} if run.again is None else {"again": run.again}
    return TrainState(tensors, {**meta, "history": {**run.history.to_dict(), "rows": run.history.rows[:]}})


def restore(run, state: TrainState) -> None:
    """Restore a snapshot into a fresh `Trainer` of the same model and options."""
    t, device = state.tensors, run.model.device
    own = run.model.config.to_dict()
    stopped = state.meta.get("model", own)
    differ = [f"{k} {stopped.get(k)!r}, now {own[k]!r}" for k in own if stopped.get(k) != own[k]]
    if differ:
        raise ValueError(f"resume: the stopped run was of another model: {'; '.join(differ)}")
    if state.meta.get("data", run.fingerprint) != run.fingerprint:
        raise ValueError("resume: the data are not those of the stopped run: their fingerprint differs")
    _check(run, state)
    run.model.load_state_dict({k[6:]: v for k, v in t.items() if k.startswith("model.")})
    run.ema = [t[f"ema.{i}"].to(device) for i in range(len(run.params))]
    for i, p in enumerate(run.params):
        names = run.optimiser.moments(p)
        if f"optimiser.{i}.{names[0]}" in t:
            moments = {n: t[f"optimiser.{i}.{n}"].clone() for n in names}
            run.optimiser.load(p, {n: v if n == "step" else v.to(device) for n, v in moments.items()})
    run.g_data.set_state(t["random.data"])
    run.g_noise.set_state(t["random.noise"].cpu())
    run.step, run.stage, run.window = state.meta["step"], state.meta["stage"], list(state.meta["window"])
    run.history = History.from_dict(state.meta["history"])


def _check(run, state: TrainState) -> None:
    """CheckpointError unless the state has all tensors of this run, and sound ones, and no others:
    native code takes them as they are."""
    t, model = state.tensors, checkpoint.form_of(run.model.state_dict())
    frozen = is_frozen(run.model.encoder)  # its statistics are checked where they are taken over
    form: checkpoint.Form = {f"model.{k}": v for k, v in model.items() if not (frozen and k.startswith("encoder."))}
    for i, p in enumerate(run.params):
        shape = tuple(p.shape)
        form[f"ema.{i}"] = shape, p.dtype
        names = run.optimiser.moments(p)
        if any(f"optimiser.{i}.{name}" in t for name in names):
            step = (), torch.float32
            form |= {f"optimiser.{i}.{name}": step if name == "step" else (shape, p.dtype) for name in names}
    for name, g in (("data", run.g_data), ("noise", run.g_noise)):
        form[f"random.{name}"] = tuple(g.get_state().shape), torch.uint8
    try:
        found = checkpoint.form_of(t)
        checkpoint.compare({k: v for k, v in found.items() if not (frozen and k.startswith("model.encoder."))}, form)
        for name, (_, dtype) in form.items():
            if name.startswith(("ema.", "optimiser.")) and t[name].dtype != dtype:
                raise ValueError(f"{name} must be {dtype}, got {t[name].dtype}")
        for i in range(len(run.params)):
            _check_moments(i, t)
        for name, g in (("data", run.g_data), ("noise", run.g_noise)):
            try:
                torch.Generator(g.device).set_state(t[f"random.{name}"].cpu())
            except RuntimeError as e:
                raise ValueError(f"random.{name} is no state of a generator ({str(e).splitlines()[0]})") from None
    except ValueError as e:
        raise checkpoint.CheckpointError(f"the state to go on from is damaged: {e}") from None
    if state.meta["step"] > run.config.steps or (state.meta["stage"] == 1 and run.stage == 2):
        raise checkpoint.CheckpointError(
            f"the state to go on from is damaged: step {state.meta['step']} of {run.config.steps} in stage "
            f"{state.meta['stage']}"
        )


def _check_moments(i: int, t: dict[str, torch.Tensor]) -> None:
    """ValueError where AdamW would divide by the root of a negative number."""
    if f"optimiser.{i}.step" not in t:
        return
    step, square = t[f"optimiser.{i}.step"], t[f"optimiser.{i}.exp_avg_sq"]
    if not 0 <= float(step) <= 2**53 or bool((square < 0).any()):
        raise ValueError(f"optimiser.{i} holds a step or squares below 0")

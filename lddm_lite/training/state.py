"""Training state for exact resume: all that the next step depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from .._common import checkpoint
from .config import TrainConfig
from .history import History

__all__ = ["TrainState", "restore", "snapshot"]

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class TrainState:
    """Raw weights, averages, optimiser moments and generator states (tensors), and counters (JSON).
    """

    tensors: dict[str, torch.Tensor]
    meta: dict

    @property
    def options(self) -> dict:
        """The TrainConfig of the run, as a dict; options that are younger than the run have their
        defaults."""
        return {**asdict(TrainConfig()), **self.meta["options"]}

    def write(self, folder) -> None:
        """Save to `folder` as a checkpoint (safetensors + JSON)."""
        checkpoint.write(folder, self.tensors, {"kind": "training state", **self.meta})

    @classmethod
    def read(cls, folder) -> TrainState:
        """Load from `folder`; CheckpointError when there is none or it is damaged."""
        tensors, meta = checkpoint.read(folder)
        if meta.get("kind") != "training state":
            raise checkpoint.CheckpointError(f"{folder} holds no training state")
        return cls(tensors, meta)


def snapshot(run) -> TrainState:
    """The state of a `_Run` between two steps."""
    tensors = {f"model.{k}": v.detach().clone() for k, v in run.model.state_dict().items()}
    tensors |= {f"ema.{i}": v.clone() for i, v in enumerate(run.ema)}
    for i, p in enumerate(run.params):
        for name, v in run.optimiser.state.get(p, {}).items():
            tensors[f"optimiser.{i}.{name}"] = v.detach().clone()
    tensors["random.data"], tensors["random.noise"] = run.g_data.get_state(), run.g_noise.get_state()
    meta = {"step": run.step, "stage": run.stage, "options": asdict(run.config), "window": run.window[:]}
    meta["model"] = run.model.config.to_dict()
    meta |= {} if run.again is None else {"again": run.again}
    return TrainState(tensors, {**meta, "history": {**run.history.to_dict(), "rows": run.history.rows[:]}})


def restore(run, state: TrainState) -> None:
    """Put a snapshot back into a fresh `_Run` of the same model and options."""
    t, device = state.tensors, run.model.device
    own = run.model.config.to_dict()
    stopped = state.meta.get("model", own)
    differ = [f"{k} {stopped.get(k)!r}, now {own[k]!r}" for k in own if stopped.get(k) != own[k]]
    if differ:
        raise ValueError(f"resume: the stopped run was of another model: {'; '.join(differ)}")
    run.model.load_state_dict({k[6:]: v for k, v in t.items() if k.startswith("model.")})
    run.ema = [t[f"ema.{i}"].to(device) for i in range(len(run.params))]
    for i, p in enumerate(run.params):
        if f"optimiser.{i}.step" in t:
            moments = {n: t[f"optimiser.{i}.{n}"].clone() for n in _MOMENTS}
            run.optimiser.state[p] = {n: v if n == "step" else v.to(device) for n, v in moments.items()}
    run.g_data.set_state(t["random.data"])
    run.g_noise.set_state(t["random.noise"].cpu())
    run.step, run.stage, run.window = state.meta["step"], state.meta["stage"], list(state.meta["window"])
    run.history = History.from_dict(state.meta["history"])

"""Cost estimate of a training run: parameters, memory, tokens per step, time.

Parameters, and the memory of weights, gradients, optimiser and averages, are counted. The memory of
activations, and the time, are measured on a copy of the model; nothing is written.
"""

from __future__ import annotations

import copy
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .._common import randomness, schemas
from .._common.protocols import Data, Model, is_frozen
from ..networks import custom_parts
from . import preflight
from .config import TrainConfig
from .loop import Trainer
from .optimiser import Optimiser
from .precision import computing

__all__ = ["Forecast", "estimate"]

MEASURED = 32  # sequences at most, on which activations are measured; a larger piece has in proportion
TIMED, PATIENCE = 5, 10.0  # steps that are timed in each stage, and seconds after which fewer will do


@dataclass(frozen=True)
class Forecast:
    """Forecast of a training run, what `estimate` found: parameters; bytes; tokens; seconds.
    `seconds` is without saving and validation.

    >>> Forecast(1, 0, 4, 4, 8, 4, 100, 64, (0.1, 0.2), 30.0, 1).memory
    120
    """

    denoiser: int  # parameters
    encoder: int  # parameters that are trained; what is frozen is not counted
    weights: int  # bytes, with buffers
    gradients: int
    optimiser: int  # moments: two numbers a weight of AdamW, one of Muon
    ema: int
    activations: int  # what the backward pass keeps of one piece of the batch, at its largest
    tokens_per_step: int  # of all processes together
    seconds_per_step: tuple[float, float]  # in stage 1 and 2; the same number twice where there is no stage 1
    seconds: float  # all steps
    processes: int

    @property
    def memory(self) -> int:
        """Bytes in each process, all of the above together; libraries and caches come on top."""
        return self.weights + self.gradients + self.optimiser + self.ema + self.activations

    def __str__(self) -> str:
        first, second = self.seconds_per_step
        two = f" ({first:.3g} s in stage 1)" if first != second else ""
        each = f" in each of {self.processes} processes" if self.processes > 1 else ""
        return (
            f"parameters   {self.denoiser + self.encoder:,}: denoiser {self.denoiser:,}, encoder {self.encoder:,}\n"
            f"memory       {_bytes(self.memory)}{each}: weights {_bytes(self.weights)}, gradients "
            f"{_bytes(self.gradients)}, optimiser {_bytes(self.optimiser)}, averages {_bytes(self.ema)}, "
            f"activations {_bytes(self.activations)} (measured); the libraries' own comes on top\n"
            f"per step     {self.tokens_per_step:,} tokens, {second:.3g} s{two}\n"
            f"time         {_time(self.seconds)} for all steps, as measured now"
        )


@schemas.checked("model", processes=schemas.whole(1), config=schemas.maybe(schemas.is_a(TrainConfig)))
def estimate(model: Model, data: Data, config: TrainConfig | None = None, processes: int = 1) -> Forecast:
    """Forecast of `fit(model, data, config)` on this machine, with `processes` like this one. Takes
    some steps in each stage (at most about half a minute, unless a single sequence takes longer);
    model and generators stay as they are. ValueError as for `fit`.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> model = LatentDiffusion.preset("mdlm", task, width=16)
    >>> estimate(model, task, TrainConfig(steps=10, batch=4)).tokens_per_step
    32
    """
    config = config or TrainConfig()
    config = config if config.accumulate > 1 else replace(config, accumulate=processes)
    # held_out is no part of it
    preflight.check_together(model, data, replace(config, validate_every=0, tensorboard=False))
    preflight.check_micro_batches(model, config, processes)
    if is_frozen(model.encoder) and model.config.encoder != "mixture":
        shallow: Any = copy.copy(model)
        shallow._modules = {**shallow._modules, "encoder": _Table(model.config)}
        model = shallow
    params: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    size = sum(p.numel() * p.element_size() for p in params)
    kept = Optimiser(model, params, config).moments
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    stages = (1, 2) if custom_parts.learned(model.encoder) and config.stage1 > 0 else (2,)
    piece = config.batch // config.accumulate
    activations = max(_activations(model, data, config, stage, piece) for stage in stages)
    each = [_seconds(model, data, config, stage, piece, config.accumulate // processes) for stage in stages]
    share = config.stage1 if len(stages) == 2 else 0.0
    return Forecast(
        denoiser=sum(p.numel() for p in model.denoiser.parameters()),
        encoder=sum(p.numel() for p in model.encoder.parameters()) if model.encoder is not None else 0,
        weights=size + buffers,
        gradients=size,
        optimiser=sum(p.numel() * p.element_size() * len([m for m in kept(p) if m != "step"]) for p in params),
        ema=size,
        activations=activations,
        tokens_per_step=config.batch * model.config.length,
        seconds_per_step=(each[0], each[-1]),
        seconds=config.steps * (share * each[0] + (1 - share) * each[-1]),
        processes=processes,
    )


def _trial(model: Model, data: Data, config: TrainConfig, stage: int, rows: int, pieces: int = 1) -> Trainer:
    """A run on a copy of the model, in `stage`, whose batches are `pieces` of `rows` sequences."""
    rows = max(rows, 1 if model.encoder is None else 2)
    run = Trainer(copy.deepcopy(model), data, replace(config, batch=rows * pieces, accumulate=pieces), None)
    run.stage = stage
    return run


def _activations(model: Model, data: Data, config: TrainConfig, stage: int, piece: int) -> int:
    """Bytes that autograd keeps for the backward pass of one piece, parameters left out."""
    run = _trial(model, data, config, stage, min(piece, MEASURED))
    own = {t.untyped_storage().data_ptr() for t in [*run.model.parameters(), *run.model.buffers()]}
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def note(t):
        held = _Kept(t.untyped_storage())
        kept.add(held)
        return held

    def never(held):
        raise AssertionError("nothing is differentiated")

    run.model.train(stage == 1)
    with computing(run.model, config.precision), torch.autograd.graph.saved_tensors_hooks(note, never):
        few = config.few_step1 if stage == 1 else config.few_step2
        loss = run.model.loss(data.sample(run.config.batch, run.g_data), run.g_noise, stage, few)
    stores = {held.store.data_ptr(): held.store.nbytes() for held in kept}  # one store may be kept for several uses
    del loss  # until here it held all that its backward pass needs, and only that is left in `kept`
    return round(sum(n for at, n in stores.items() if at not in own) * piece / run.config.batch)


class _Kept:
    """What autograd is given to keep in place of a tensor: never asked for, since nothing is
    differentiated."""

    def __init__(self, store):
        self.store = store


def _seconds(model: Model, data: Data, config: TrainConfig, stage: int, piece: int, pieces: int) -> float:
    """Seconds per step of so many pieces: the median of a few steps, after smaller ones that warm
    up."""
    small = min(piece, 8)
    with _timing(model, data, config, stage, small) as step:
        step()
        guess = step() * piece * pieces / small
    if guess * TIMED > 3 * PATIENCE:  # too slow for whole steps: in proportion to one with fewer sequences
        fewer, count = max(small, min(piece, int(piece * pieces * PATIENCE / TIMED / guess))), 1
    else:
        fewer, count = piece, pieces
    with _timing(model, data, config, stage, fewer, count) as step:
        step()
        times: list[float] = []
        started = time.perf_counter()
        while len(times) < TIMED and (not times or time.perf_counter() - started < PATIENCE):
            times.append(step())
    return sorted(times)[len(times) // 2] * piece * pieces / (fewer * count)


@contextmanager
def _timing(model: Model, data: Data, config: TrainConfig, stage: int, rows: int, pieces: int = 1):
    """Within the block: a function that takes a step and returns its seconds."""
    run = _trial(model, data, config, stage, rows, pieces)

    def step() -> float:
        started = time.perf_counter()
        run._one_step()
        if run.model.device.type == "cuda":
            torch.cuda.synchronize()
        run.step += 1
        return time.perf_counter() - started

    with computing(run.model, config.precision, config.compile, lambda text: None):
        yield step


class _Table(nn.Module):
    """In place of a frozen encoder, whose latents training looks up: some latents, at once."""

    frozen = True

    def __init__(self, config):
        super().__init__()
        self.config = config
        if config.latent == "discrete":
            self.register_buffer("codebook", torch.randn(config.codes, config.dim, generator=randomness.generator(1)))

    def forward(self, x):
        c, g = self.config, randomness.generator(0, x.device)
        if c.latent == "discrete":
            return torch.randint(c.codes, (len(x), c.slots), device=x.device, generator=g)
        return torch.randn(len(x), c.slots, c.dim, device=x.device, generator=g)


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} GB" if n < 1000 else f"{n:,.0f} GB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"

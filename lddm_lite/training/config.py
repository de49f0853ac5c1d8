"""Training options: one dataclass, whose fields they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._common import schemas
from .._common.options import check_fields, option
from .._common.quantised import KINDS
from ..diffusion.loss import TOLD, WEIGHTS

__all__ = ["TrainConfig", "TrainingError"]


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the step and the cause. The last good weights are in
    the model."""


@dataclass(frozen=True)
class TrainConfig:
    """Training options. Every field is an option of `fit` and of `python -m lddm_lite train`."""

    steps: int = option(2_000, "training steps", minimum=1)
    batch: int = option(64, "sequences per step", minimum=1)
    seed: int = option(0, "seed of weights, data and noise; the same one repeats the run", minimum=0)
    lr: float = option(2e-3, "peak learning rate; linear warm-up, then cosine to zero", above=0, below=math.inf)
    warmup: int = option(100, "steps of warm-up", minimum=0)
    muon: float = option(
        0.0, "peak learning rate of Muon, for the matrices of the transformer blocks, which then learn in fewer steps; "
        "0: AdamW for all", minimum=0.0, below=math.inf)
    weight_decay: float = option(0.01, "weight decay", minimum=0.0)
    clip: float = option(1.0, "largest gradient norm", above=0)
    ema: float = option(
        0.99, "decay of the averaged weights, which are the ones kept; it ramps up over the first steps",
        minimum=0.0, maximum=1.0)
    stage1: float = option(
        0.3, "share of steps that train the encoder; longer while the tokens ignore z", minimum=0.0, maximum=1.0)
    late_codes: bool = option(
        False, "discrete systems: no codes in stage 1, whose latents then give the codebook by k-means")
    few_step1: float = option(
        0.5, "share of token times moved to the start of sampling (t_x=1) in stage 1: what few steps need",
        minimum=0.0, maximum=1.0)
    few_step2: float = option(0.25, "the same in stage 2", minimum=0.0, maximum=1.0)
    weight: str = option(
        "counts", "of a masked token in the loss: 1/t, n/k where k of n are masked, or 1", choices=WEIGHTS)
    told: float = option(
        TOLD, "of data with classes: share of sequences learned given their class, which sampling by class needs",
        minimum=0.0, maximum=1.0)
    log_every: int = option(20, "steps per row of the history", minimum=1)
    save_every: int = option(500, "steps between checkpoints, when there is a folder for them", minimum=1)
    weights: str = option(
        "float32", "how the finished model's weights are kept; the run goes on from whole ones", choices=KINDS)
    precision: str = option(
        "float32", "bf16: autocast of the transformer blocks; weights and losses stay float32; auto: whichever a few "
        "steps show to be faster here, noted in run.json and kept",
        choices=("float32", "bf16", "auto"))
    compile: bool = option(
        False, "torch.compile the transformer blocks: minutes at the start, faster steps on a GPU")
    accumulate: int = option(
        1, "pieces in which a batch is worked on, one after another or by several processes: less memory", minimum=1)
    validate_every: int = option(
        0, "steps between bounds on held-out data, kept in the history; 0: never", minimum=0)
    preview_every: int = option(
        0, "steps between a few samples, printed and kept in the history; 0: never", minimum=0)
    tensorboard: bool = option(False, "write the history for TensorBoard too, into the folder tensorboard of the run")

    def __post_init__(self):
        check_fields(self)
        if self.batch % self.accumulate:
            raise ValueError(f"batch must be a multiple of accumulate={self.accumulate}, got {self.batch}")

    @schemas.checked(step=schemas.whole(0), again=schemas.maybe(schemas.whole(0)))
    def lr_at(self, step: int, again: int | None = None) -> float:
        """Learning rate of step 0, 1, ...: linear warm-up, then cosine to zero. `again`: the step
        from which a run went on to more steps than planned; from there it warms up to half the
        peak.

        >>> TrainConfig(steps=200, lr=1.0, warmup=100).lr_at(49), TrainConfig(steps=400, lr=1.0).lr_at(299, again=200)
        (0.5, 0.5)
        """
        first, peak = (0, self.lr) if again is None else (again, self.lr / 2)
        step, steps = step - first, self.steps - first
        if step < self.warmup:
            return peak * (step + 1) / self.warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, steps - self.warmup)))

"""How to train: one commented dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._common import arguments
from ..diffusion.loss import WEIGHTS

__all__ = ["TrainConfig", "TrainingError"]


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the step and the cause. The last good weights are in
    the model."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field is an option of `fit` and of `python -m lddm_lite train`."""

    steps: int = 2_000
    batch: int = 64  # sequences per step
    seed: int = 0
    lr: float = 2e-3  # peak; linear warm-up, then cosine to zero
    warmup: int = 100  # steps
    weight_decay: float = 0.01
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.99  # decay of the weights used for sampling; ramps up over the first steps
    stage1: float = 0.3  # share of steps that train the encoder; extended while the tokens do not respond to z
    late_codes: bool = False  # discrete latents: not quantised in stage 1; k-means of them then gives the codebook
    few_step1: float = 0.5  # share of token times moved to the start of sampling in stage 1, and ...
    few_step2: float = 0.25  # ... in stage 2 (see objective.training_loss)
    weight: str = "counts"  # of a masked token in the loss: time (1/t) | counts (n/k) | one (see `loss.training_loss`)
    log_every: int = 20  # steps per row of the history
    save_every: int = 500  # steps between checkpoints, when `out` is given
    precision: str = "float32"  # of the transformer blocks: float32 | bf16 (autocast; weights and losses stay float32)
    compile: bool = False  # torch.compile the transformer blocks of the denoiser
    accumulate: int = 1  # pieces in which a batch is worked on, one after another or by several processes
    validate_every: int = 0  # steps between bounds on `held_out`; 0: never
    preview_every: int = 0  # steps between a few samples; 0: never
    tensorboard: bool = False  # write the history for TensorBoard too, into the folder tensorboard of `out`

    def __post_init__(self):
        for name in ("steps", "batch", "log_every", "save_every", "accumulate"):
            arguments.integer(name, getattr(self, name), minimum=1)
        for name in ("seed", "warmup", "validate_every", "preview_every"):
            arguments.integer(name, getattr(self, name), minimum=0)
        if self.precision not in ("float32", "bf16"):
            raise ValueError(f"precision must be float32 or bf16, got {self.precision!r}")
        if self.weight not in WEIGHTS:
            raise ValueError(f"weight must be one of {', '.join(WEIGHTS)}, got {self.weight!r}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch must be a multiple of accumulate={self.accumulate}, got {self.batch}")
        for name in ("stage1", "few_step1", "few_step2", "ema"):
            arguments.number(name, getattr(self, name), 0.0, 1.0)
        for name in ("lr", "clip"):
            if arguments.number(name, getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")
        if math.isinf(self.lr):
            raise ValueError(f"lr must be finite, got {self.lr!r}")

    def lr_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ...: linear warm-up, then cosine to zero.

        >>> TrainConfig(steps=200, lr=1.0, warmup=100).lr_at(49)
        0.5
        """
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))

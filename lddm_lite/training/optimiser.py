"""Optimisers of a training run: AdamW, and Muon for the matrices of the transformer blocks.

Muon (Jordan et al. 2024) takes the momentum of a matrix and makes its singular values alike before
it steps. torch has it; steps have the size that AdamW's would have (`match_rms_adamw`).
"""

from __future__ import annotations

import torch
from torch import nn

from .._common.protocols import Model, trunk
from .config import TrainConfig

__all__ = ["MOMENTS", "Optimiser"]

MOMENTS = {"AdamW": ("step", "exp_avg", "exp_avg_sq"), "Muon": ("momentum_buffer",)}


class Optimiser:
    """Optimisers of a model's parameters, which step together.

    - `model`, `params`: whose parameters, and those of them that are trained;
    - `config`: with its `muon` above 0 the matrices of attention and MLPs are Muon's, all else AdamW's.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16, blocks=1)
    >>> opt = Optimiser(model, list(model.parameters()), TrainConfig(muon=0.01))
    >>> opt.step_with(0.5)
    >>> [type(part).__name__ for part in opt.parts], opt.moments(model.denoiser.trunk.token[0].up.weight)
    (['AdamW', 'Muon'], ('momentum_buffer',))
    """

    def __init__(self, model: Model, params: list[torch.Tensor], config: TrainConfig):
        self.config = config
        own = {id(p) for p in _matrices(model)} if config.muon else set()
        rest, matrices = ([p for p in params if (id(p) in own) == mine] for mine in (False, True))
        decay = config.weight_decay
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=config.lr, weight_decay=decay, betas=(0.9, 0.99), fused=True)
        ]
        if matrices:
            muon = torch.optim.Muon(matrices, lr=config.muon, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            self.parts.append(muon)
        self._of = {id(p): part for part in self.parts for group in part.param_groups for p in group["params"]}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step_with(self, lr: float) -> None:
        """One step at AdamW's learning rate `lr`; Muon's has the same share of its peak."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr if isinstance(part, torch.optim.AdamW) else lr / self.config.lr * self.config.muon
            part.step()

    def moments(self, p: torch.Tensor) -> tuple[str, ...]:
        """The names of what is kept of a parameter between steps."""
        return MOMENTS[type(self._of[id(p)]).__name__]

    def state(self, p: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is kept of a parameter, by name; nothing before its first step."""
        return self._of[id(p)].state.get(p, {})

    def load(self, p: torch.Tensor, state: dict[str, torch.Tensor]) -> None:
        """Take over what was kept of a parameter."""
        self._of[id(p)].state[p] = state


def _matrices(model: Model) -> list[torch.Tensor]:
    """The weights of attention and MLPs in the blocks of denoiser and encoder; adaLN is left out, which
    begins at zero."""
    return [
        layer.weight
        for network in (model.denoiser, model.encoder)
        if (blocks := trunk(network)) is not None
        for name, layer in blocks.named_modules()
        if isinstance(layer, nn.Linear) and not name.endswith("modulation")
    ]

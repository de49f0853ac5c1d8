"""Bayes-optimal denoisers: the best any network could do, run through the same sampler and the same
bound."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from .._common import schemas
from .._common.arguments import shown
from .._common.protocols import Channel, Encoder, Task
from .._common.randomness import draw_categorical
from ..diffusion.channels import GaussianChannel
from ..diffusion.prediction import Prediction
from ..tasks.binsaw import Binsaw
from ..tasks.mixture import MixtureTask

__all__ = ["ExactDenoiser", "ShiftEncoder", "enumerated"]


def enumerated(task: Task) -> MixtureTask:
    """The same law with one component per sequence, so that a component decides z_0 for any
    deterministic encoder.

    ValueError above 4,096 sequences. METHOD 8.

    >>> from lddm_lite.tasks import MixtureOfProducts
    >>> enumerated(MixtureOfProducts(length=4)).components
    16
    """
    x = task.all_sequences()
    if len(x) > 4096:
        raise ValueError(
            f"{task.vocab}**{task.length} sequences are too many; the exact latent denoiser stops at 4,096"
        )
    onehot = torch.nn.functional.one_hot(x, task.vocab).double()
    out = MixtureTask(task.log_prob(x), onehot.clamp_min(1e-300).log(), labels=task.labels)
    out._entropy = task.entropy()
    return out


class ShiftEncoder(nn.Module):
    """Binsaw's own latent, its hidden shift, drawn from its posterior: z_0 = sqrt(2) (cos, sin) of
    the shift's angle or, with `codes`, which of so many equal bins of its period the shift is in.

    A stochastic encoder: the bound with it exceeds the entropy by I(z_0; z | x), z at the noise
    floor; for a code, which has no such noise, by H(code | x).

    >>> ShiftEncoder(Binsaw(length=8), codes=4).points.shape
    torch.Size([512, 1])
    """

    stochastic = True

    @schemas.checked(codes=schemas.maybe(schemas.whole(2, limit="codes")))
    def __init__(self, task: Task, codes: int | None = None):
        super().__init__()
        if not isinstance(task, Binsaw):
            raise ValueError(f"task must be a Binsaw, got {shown(task)}")
        self.task = task
        if codes is None:
            a = task.angle()
            self.points = math.sqrt(2) * torch.stack([a.cos(), a.sin()], -1).unsqueeze(1)  # [G, m=1, d=2]
        else:
            self.points = (task.shift / task.period * codes).long().clamp_max(codes - 1).unsqueeze(1)  # [G, m=1]

    @schemas.checked("g", x=schemas.ids)
    def forward(self, x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        """Sequences [B, L] -> z_0 [B, 1, 2] or codes [B, 1], random."""
        z = self.points[draw_categorical(self.task.log_joint(x), g)]
        return z.float() if z.is_floating_point() else z


class ExactDenoiser(nn.Module):
    """E[x_0 | x_t, z_t] and E[z_0 | x_t, z_t] exactly, by a posterior over the components of
    `task`.

    `latents`: z_0 of each component, [G, m, d] float, [G, m] codes, or None. Without latents any
    task works; with a learned encoder use `enumerated(task)` and its encodings; on Binsaw the
    latent may be the shift itself. Same call as `Denoiser`; float64 throughout. Raises ValueError
    when `latents` does not have one entry per component.
    """

    exact = True
    points: Any  # z_0 of each component, or None
    channel: Any  # noise of the latents, or None; `LatentDiffusion.exact` tells it

    @schemas.checked(
        task=schemas.has("a task, of known law", "log_joint", "probs", "components"),
        latents=schemas.maybe(schemas.tensor),
        channel=schemas.maybe(schemas.has("noise of latents", "corrupt", "rate")),
    )  # fmt: skip
    def __init__(self, task: Task, latents: torch.Tensor | None = None, channel: Channel | None = None):
        super().__init__()
        if latents is not None and not latents.dim():
            raise ValueError(f"latents must be a tensor [G, m, d] or codes [G, m], got {shown(latents)}")
        if latents is not None and len(latents) != task.components:
            raise ValueError(f"latents must hold {task.components} entries, one per component, got {len(latents)}")
        self.task, self.points, self.channel = task, latents, channel

    @schemas.checked(**schemas.CALL)
    @schemas.fitting
    def forward(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """Exact predictions of clean tokens and latents, as `protocols.Denoiser.forward`. Without
        `x_t` all are masked, and may be asked for. `lengths` are not needed."""
        if x_t is None and z_t is None or z_t is None and self.points is not None:
            got = f"{shown(x_t)}, {shown(z_t)}"
            raise ValueError(f"x_t, z_t must be tokens, and latents where there are some, got {got}")
        if self.points is not None and t_z is None:
            raise ValueError("t_z must be the noise times of z_t, got None")
        task = self.task
        n = len(x_t) if x_t is not None else len(z_t)
        log_w = task.log_prior.expand(n, -1) if x_t is None else task.log_joint(x_t)  # [B, G]
        if self.points is not None:
            log_w = log_w + self._latent_log_lik(z_t, t_z)
        w = log_w.softmax(-1)
        tokens = latents = None
        if where is not None:
            p = (w @ task.probs.flatten(1)).reshape(n, task.length, task.vocab)
            tokens = p[where].clamp_min(1e-300).log()
        if need_latents and self.points is not None:
            if self.points.is_floating_point():
                latents = torch.einsum("bg,gmd->bmd", w, self.points.double())
            else:
                onehot = torch.nn.functional.one_hot(self.points, self.channel.vocab).double()
                latents = torch.einsum("bg,gmk->bmk", w, onehot).clamp_min(1e-300).log()
        return Prediction(tokens, latents)

    def _latent_log_lik(self, z_t, t_z) -> torch.Tensor:
        """log q(z_t | z_0 of each component) up to a constant: [B, G]."""
        if isinstance(self.channel, GaussianChannel):
            a, sigma = self.channel.coefficients(t_z.double().reshape(-1, 1))
            z, points = z_t.double().flatten(1), self.points.double().flatten(1)  # [B, m d], [G, m d]
            # |z - a z0|^2 = |z|^2 - 2a z.z0 + a^2 |z0|^2; the first term is the same for every
            # component
            return (a * (z @ points.T) - 0.5 * a**2 * points.pow(2).sum(-1)) / sigma**2
        clash = (z_t.unsqueeze(1) != self.points) & (z_t.unsqueeze(1) != self.channel.mask_id)  # [B, G, m]
        return torch.where(clash.any(-1), -1e6, 0.0).double()


def build(
    task: Task, encoder: Encoder | str | None = None, codes: int | None = None
) -> tuple[dict, ExactDenoiser, Encoder | None]:
    """(config changes, denoiser, encoder) of the exact model for `LatentDiffusion.exact`."""
    if (codes is not None) != (isinstance(encoder, str) and encoder == "shift-code"):
        got = f"{shown(codes)}, {shown(encoder)}"
        raise ValueError(f"codes must be given for encoder='shift-code', and for no other; got {got}")
    if encoder is None:
        return dict(latent="none"), ExactDenoiser(task), None
    if isinstance(encoder, str) and encoder in ("shift", "shift-code"):
        encoder = ShiftEncoder(task, codes)
        kind = dict(latent="continuous", dim=2) if codes is None else dict(latent="discrete", codes=codes)
        return dict(slots=1, **kind), ExactDenoiser(task, encoder.points), encoder
    if not isinstance(encoder, nn.Module):
        raise ValueError(f"encoder must be None, 'shift', 'shift-code' or an encoder module, got {shown(encoder)}")
    table = enumerated(task)
    with torch.no_grad():
        points = encoder.eval()(task.all_sequences())
    if points.is_floating_point():
        changes = dict(latent="continuous", slots=points.shape[1], dim=points.shape[2])
    else:
        config: Any = encoder.config
        changes = dict(latent="discrete", slots=points.shape[1], codes=config.codes)
    return changes, ExactDenoiser(table, points), encoder

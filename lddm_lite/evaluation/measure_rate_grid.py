"""Monte Carlo estimates of the integrands of the bound (M9) over the whole square of noise times.

    python -m lddm_lite.evaluation.measure_rate_grid --out lddm_lite/widgets/static/binsaw_rates.json

measures again what the widget `PathExplorer` shows: Binsaw with 32 and with 128 bits, exact
predictors.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from .._common import files, randomness, schemas
from .._common.arguments import shown
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.progress import bar as progress_bar
from .._common.protocols import Model, is_exact, is_stochastic
from .._common.randomness import draw_categorical
from ..diffusion.channels import GaussianChannel
from ..diffusion.paths import Path
from ..diffusion.rate_grid import BEND_X, BEND_Z, RateGrid, nodes

__all__ = ["mean_log", "rate_grid"]

GROUPS = 16  # independent parts, from whose differences all standard errors are taken
BATCH = 2048


@torch.no_grad()
@schemas.checked("model", "draws", "seed", "progress", points=schemas.whole(4, 1025))
def rate_grid(model: Model, x, points: int = 33, draws: int = 1, seed: int = 0, progress: bool = False) -> RateGrid:
    """Estimate both rates of `model` at points x points noise times (see `RateGrid`).

    - `model`: with latents, without padding;
    - `x`: at least 16 sequences [B, L];
    - `points`: times each way, at least 4;
    - `draws`: noise draws per sequence;
    - `seed`: of the noise;
    - `progress`: show a bar.

    At every node the same sequences, masks (nested) and Gaussian noise are used, so that the
    surfaces are smooth and differences between paths are known better than either. With an exact
    model a loss is replaced by its mean under the prediction itself (for tokens the prediction's
    entropy; for latents |z_0|^2 - |z_hat|^2): the same mean, much less noise. Given k of L masked
    tokens the rate does not depend on t_x; so it is measured for counts k, and times are their
    binomial mixtures: exact at t=0 (one token masked) and t=1 (all). ValueError for a model without
    latents, one with padding or another schedule of them, or fewer than 16 sequences.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=4)
    >>> grid = rate_grid(LatentDiffusion.exact(task, "shift"), task.sample(64), points=5)
    >>> grid.tokens.shape, bool(abs(grid.tokens[-1, -1] - 4 * np.log(2)) < 0.1)
    ((5, 5), True)
    """
    if model.latent_channel is None or model.config.pad_id is not None:
        why = "has no latents" if model.latent_channel is None else "has padding"
        raise ValueError(f"model must have latents and no padding; {model.name!r} {why}")
    x = model.check_tokens("x", x)
    if len(x) < GROUPS:
        raise ValueError(f"x must hold at least {GROUPS} sequences, got {len(x)}")
    gaussian = model.config.latent == "continuous"
    if gaussian and type(model.latent_channel).log_snr is not GaussianChannel.log_snr:
        got = shown(model.latent_channel)
        raise ValueError(f"model must have the usual schedule, its log-SNR linear in t; got {got}")
    token_axis = _counts(model.config.length, points, BEND_X)
    even = _Axis(nodes(points, BEND_Z), np.eye(points), np.eye(points))  # Gaussian latents are measured at the nodes
    latent_axis = even if gaussian else _counts(model.config.slots, points, BEND_Z)
    g = randomness.generator(seed, model.device)
    total = GROUPS * draws * len(latent_axis.levels)
    measured = []  # per group: [2, levels of tokens, levels of latents]
    with evaluating(model), progress_bar(total=total, show=progress, desc="rates") as bar:
        for rows in x.tensor_split(GROUPS):
            sums = np.zeros((2, len(token_axis.levels), len(latent_axis.levels)))
            for part in (b for b in rows.split(BATCH) for _ in range(draws)):
                sums += len(part) * _measure(model, part, token_axis.levels, latent_axis.levels, g, bar)
            measured.append(sums / (draws * len(rows)))
        prior = float(model.latent_channel.prior_kl(model.encode(x, g)).mean()) if gaussian else 0.0
    tokens = np.stack([token_axis.own @ m[0] @ latent_axis.other.T for m in measured])
    latents = np.stack([token_axis.other @ m[1] @ latent_axis.own.T for m in measured])
    grid = RateGrid(
        title=str(model.data.get("task", model.name)),
        tokens=tokens.mean(0),
        latents=latents.mean(0),
        tokens_se=_se(tokens),
        latents_se=_se(latents),
        log_snr=(model.latent_channel.log_snr_max, model.latent_channel.log_snr_min) if gaussian else None,
        prior=prior,
        data=model.data,
    )
    parts = [replace(grid, tokens=a, latents=b) for a, b in zip(tokens, latents, strict=True)]
    leads = [Path(v) for v in (0.0, 0.25, 0.5)]
    bound_se = max(_se([p.bound(path).total for p in parts]) for path in leads)
    walks = [(path, *b) for path in leads for b in ((1, 16), (8, 16), (8, 8))]
    excess_se = max(_se([p.bound(*b).excess for p in parts]) for b in walks)
    return replace(grid, bound_se=float(bound_se), excess_se=float(excess_se), **_truth(model, seed, 8 * len(x)))


def _measure(model: Model, x, counts, levels, g, bar) -> np.ndarray:
    """Mean rates over sequences x, given k masked tokens and latents at a level:
    [2, counts, levels]. For Gaussian latents the second is half the squared error."""
    n, length = x.shape
    exact, gaussian = is_exact(model.denoiser), model.config.latent == "continuous"
    z0, noise = model.encode(x, g), int(torch.randint(1 << 31, (1,), generator=g, device=g.device))
    rank = randomness.rand(x.shape, g, x).argsort(1).argsort(1)
    if not gaussian:
        slot_rank = randomness.rand(z0.shape, g, x).argsort(1).argsort(1)
    out = np.zeros((2, len(counts), len(levels)))
    for j, level in enumerate(levels):
        bar.update()
        t_z = torch.full((n,), float(level), device=x.device)
        if gaussian:
            z_t = model.latent_channel.corrupt(z0, t_z, randomness.generator(noise, model.device))
        else:
            z_t, t_z = z0.masked_fill(slot_rank < level, model.latent_channel.mask_id), t_z / z0.shape[1]
        for i, k in enumerate(counts.tolist()):
            turns = max(2, min(8, length // (4 * k))) if k else 1  # disjoint sets where they fit
            for turn in range(turns):
                hit = (rank + turn * (length // turns)) % length < k
                x_t = x.masked_fill(hit, model.token_channel.mask_id)
                said = model.predict(x_t, z_t, t_z, hit if k else None)
                if k:
                    lp = mean_log(said.tokens) if exact else said.tokens
                    rate = model.token_channel.rate(x, x_t, lp, torch.full((n,), k / length, device=x.device))
                    out[0, i, j] += float(rate.mean()) / turns
                if gaussian:
                    a, b = (v.double().flatten(1).pow(2).sum(1) for v in (z0, said.latents))
                    half = (a - b) / 2 if exact else (z0 - said.latents).pow(2).flatten(1).sum(1) / 2
                    out[1, i, j] += float(half.mean()) / turns
                elif level:
                    lp = mean_log(said.latents) if exact else said.latents
                    out[1, i, j] += float(model.latent_channel.rate(z0, z_t, lp, t_z).mean()) / turns
    return out


def mean_log(log_p: torch.Tensor) -> torch.Tensor:
    """Negative entropy of log-probabilities [..., V], for each v: what log p is on average when p
    is right.

    >>> mean_log(torch.tensor([0.5, 0.5]).log())
    tensor([-0.6931, -0.6931])
    """
    return (log_p.exp() * log_p).sum(-1, keepdim=True).expand_as(log_p)


@dataclass(frozen=True)
class _Axis:
    """Levels of one channel's noise at which it is measured, and the matrices [points, levels] that
    turn values there into values at the times of the nodes: for the channel's `own` rate, and for
    the `other` one's."""

    levels: np.ndarray
    own: np.ndarray
    other: np.ndarray


def _counts(n: int, points: int, bend: int) -> _Axis:
    """n positions of a masked channel: levels are counts k of masked ones, binomial at time t. Each
    term of (M3) belongs to one masked position, and n - 1 others are masked at random; hence k - 1
    of n - 1 for the own rate."""
    k = np.arange(n + 1) if n < points else np.unique(np.rint(n * nodes(points, bend)).astype(int))
    k = np.union1d(k, [1])
    t = nodes(points, bend)[:, None]
    own = np.zeros((points, len(k)))
    own[:, 1:] = _binomial(n - 1, t) @ _lagrange(k[1:], np.arange(1, n + 1))
    return _Axis(k, own, _binomial(n, t) @ _lagrange(k, np.arange(n + 1)))


def _binomial(n: int, t: np.ndarray) -> np.ndarray:
    """Probabilities of 0..n hits at times t [m, 1]: [m, n + 1]."""
    k = np.arange(n + 1)
    return np.array([float(math.comb(n, i)) for i in k]) * t**k * (1 - t) ** (n - k)


def _lagrange(at: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Matrix [len(to), len(at)] that interpolates from counts `at` to counts `to`, cubic in sqrt(n
    + 1 - k)."""
    out, root = np.zeros((len(to), len(at))), np.sqrt(to[-1] + 1 - np.arange(to[-1] + 1))
    for row, k in zip(out, to, strict=True):
        m = min(4, len(at))
        first = int(np.clip(np.searchsorted(at, k) - m // 2, 0, len(at) - m))
        near = range(first, first + m)
        for i in near:
            row[i] = math.prod((root[k] - root[at[j]]) / (root[at[i]] - root[at[j]]) for j in near if j != i)
    return out


def _truth(model: Model, seed: int, n: int) -> dict:
    """H of the task and, for a stochastic encoder, I(z_0; z | x) with z at the noise floor: what
    the exact bound is."""
    if not is_exact(model.denoiser):
        return {}
    task, found = model.denoiser.task, {"entropy": model.denoiser.task.entropy()}
    if is_stochastic(model.encoder):
        g, parts = randomness.generator(seed), []
        zero = torch.zeros(BATCH)
        for _ in range(math.ceil(n / BATCH)):
            log_post = task.log_joint(task.sample(BATCH, g)).log_softmax(-1)
            own = draw_categorical(log_post, g)
            z = model.latent_channel.corrupt(model.denoiser.points[own], zero, g)
            log_lik = model.denoiser._latent_log_lik(z, zero)  # [BATCH, components], up to what all share
            parts.append(log_lik[torch.arange(BATCH), own] - (log_lik + log_post).logsumexp(-1))
        found["encoder"] = Estimate.of(torch.cat(parts))
    return found


def _se(groups) -> np.ndarray:
    return np.std(groups, axis=0, ddof=1) / math.sqrt(len(groups))


def main(arguments=None) -> None:
    """Write the grids of exact Binsaw models to one JSON file."""
    from ..model import LatentDiffusion
    from ..tasks import Binsaw

    p = argparse.ArgumentParser(prog="python -m lddm_lite.evaluation.measure_rate_grid", description=main.__doc__)
    p.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    p.add_argument("--length", type=int, nargs="+", default=[32, 128], metavar="L", help="bits (default: 32 128)")
    p.add_argument("-n", type=int, default=4096, metavar="N", help="sequences (default: 4096)")
    p.add_argument("--points", type=int, default=33, metavar="N", help="times each way (default: 33)")
    o = p.parse_args(arguments)
    grids = []
    for length in o.length:
        task = Binsaw(length)
        grid = rate_grid(LatentDiffusion.exact(task, "shift"), task.sample(o.n, seed=1), o.points, progress=True)
        grids.append(replace(grid, title=f"Binsaw, {length} bits").to_dict())
        cost, truth = grid.bound(Path()), task.entropy().value + grid.encoder.value
        print(f"Binsaw {length}: bound {cost.total:.3f} ± {grid.bound_se:.3f}, entropy and encoder {truth:.3f}")
    files.write(o.out, json.dumps({"grids": grids}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

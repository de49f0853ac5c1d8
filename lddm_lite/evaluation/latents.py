"""Health of the latents: do they carry something, and can the model draw them? METHOD 5."""

from __future__ import annotations

import torch

from .._common import arguments, randomness
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.protocols import Data, Judge, Model, has_scores
from .._common.randomness import generator
from ..diffusion.paths import Path
from .judge import perplexity_of
from .text_scores import generation_report

__all__ = ["health", "latent_health", "z_response"]

BATCH = 512  # sequences in one network call


@torch.no_grad()
def health(model: Model, data: Data, n: int = 1024, seed: int = 0) -> dict:
    """Do the latents carry something, and can the model draw them? {} for a model without latents.
    METHOD 5.

    - `z_response`: relative rise of the one-step token loss when z is swapped between sequences; 0
      = ignored.
    - `spread`: mean standard deviation of a coordinate of z_0 across inputs (unit scale; 0 =
      collapsed), and `cosine`: mean cosine between the latents of two inputs (0 = in all
      directions, 1 = collapsed).
    - `perplexity` (discrete): codes effectively in use; `codes`: how many there are.
    - `one_step` (tasks): excess nats of sequences drawn in one token step, given latents: `own`,
      sampled by the model on the sequential path; `encoder`, those of fresh data: the best the
      token half can do; `zeroed` (all masked when discrete); `half` with half of the fresh data's
      tokens given, and `half_swapped`, with the latents of another sequence. `own` far above
      `encoder`: the latent half is to blame. `encoder` near `zeroed`, or `half_swapped` near
      `half`: z is ignored.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> sorted(health(LatentDiffusion.preset("co-seq", task, width=16), task, n=64))
    ['cosine', 'one_step', 'spread', 'z_response']
    """
    if model.latent_channel is None or model.encoder is None:
        return {}
    g = randomness.generator(seed, model.device)
    x0 = data.sample(arguments.integer("n", n, minimum=2), randomness.generator(seed)).to(model.device)
    with evaluating(model):
        z0 = torch.cat([model.encode(rows, g) for rows in x0.split(512)])
        discrete = model.config.latent == "discrete"
        v = (model.encoder.codebook[z0] if discrete else z0).double()  # [n, m, d]
        unit = torch.nn.functional.normalize(v, dim=-1)
        pairs = (unit.sum(0).pow(2).sum(-1) - n) / (n * (n - 1))  # mean over pairs i != j, per slot
        out: dict = {
            "z_response": z_response(model, x0[:512], seed),
            "spread": float(v.std(0).mean()),
            "cosine": float(pairs.mean()),
        }
        if discrete:
            out |= {"perplexity": model.encoder.perplexity(x0), "codes": len(model.encoder.codebook)}
        if has_scores(data):
            own = model.sample(n, token_steps=1, path=Path.sequential(), seed=seed).tokens
            zeros = torch.full_like(z0, model.latent_channel.mask_id) if discrete else torch.zeros_like(z0)
            t = torch.ones(n, device=x0.device)
            z = z0 if discrete else model.latent_channel.corrupt(z0, 0 * t, g)
            blank, half = (model.token_channel.corrupt(x0, share * t, g) for share in (1.0, 0.5))
            given = {"encoder": (blank, z), "zeroed": (blank, zeros), "half": (half, z)}
            given["half_swapped"] = (half, z.roll(1, 0))
            drawn = {"own": torch.as_tensor(own)} | {k: _one_step(model, *v, g).cpu() for k, v in given.items()}
            scores = {name: data.score(x, seed=seed + 1) for name, x in drawn.items()}
            out["one_step"] = {name: Estimate(s["excess"], s["excess_se"]) for name, s in scores.items()}
    return out


def _one_step(model: Model, x, z, g, batch: int = 512) -> torch.Tensor:
    """Sequences [n, L] with all masks of x filled at once, given finished latents z."""
    out = []
    for x_t, z_t in zip(x.split(batch), z.split(batch), strict=True):
        where, t_z = x_t == model.token_channel.mask_id, torch.zeros(len(x_t), device=x_t.device)
        said = model.predict(x_t, z_t, t_z, where, need_latents=False)
        out.append(model.token_channel.reverse_step(x_t, said.tokens, where, g))
    return torch.cat(out)


@torch.no_grad()
def z_response(model: Model, x0: torch.Tensor, seed: int = 0) -> float:
    """How much the tokens use the latents: the relative rise of the all-masked token loss when z is
    shuffled between sequences. 0 = ignored. x0 [B, L]; METHOD 5.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> z_response(LatentDiffusion.preset("co-seq", task, width=16), task.sample(8))  # untrained: nothing yet
    0.0
    """
    with evaluating(model):
        x0 = x0.to(model.device)
        g = generator(seed, model.device)
        t0, t1 = torch.zeros(len(x0), device=x0.device), torch.ones(len(x0), device=x0.device)
        x_t = model.token_channel.corrupt(x0, t1, g, keep=~model.valid(x0))
        z = model.latent_channel.corrupt(model.encode(x0, g), t0, g)
        where = x_t == model.token_channel.mask_id
        said = (model.predict(x_t, v, t0, where, False).tokens for v in (z, z.roll(1, 0)))
        own, other = (model.token_channel.rate(x0, x_t, log_probs, t1) for log_probs in said)
    return float((other.mean() - own.mean()) / own.mean())


# -- latents ---------------------------------------------------------------------------------------------------------
@torch.no_grad()
def latent_health(
    model: Model,
    data: Data,
    token_steps=(1, 4),
    n: int = 256,
    judge: Judge | None = None,
    seed: int = 0,
    decode=None,
    progress: bool = False,
) -> dict:
    """Beside `latents.health` (`z_response`, `spread`, `cosine`, ...), for a model of text, at each
    number of token steps taken after all latent steps (the sequential path):

    - `nll`: what the token steps cost on real sequences (M4), nats per token ± s.e., given
      `encoder`, the sequence's own z at the noise floor; `shuffled`, that of another sequence;
      `zeroed` (all masked when discrete). The first far below the others: z is used. Shuffled above
      zeroed: it is trusted, also when it misleads.
    - `samples`: a `generation_report` of n sequences drawn in these steps given `encoder`, z of
      real sequences: the best that the token half can do; `own`, z drawn by the model: far from it,
      the latent half is to blame; `zeroed`; and with several slots `mixed`, each slot of another
      sequence. Their lengths are those of the real sequences, but `own`'s are drawn.

    Returns {**health, "real": report, "token_steps": {steps: {"nll": {...}, "samples": {...}}}}, or
    {} for a model without latents. `decode`: ids -> text, by default that of `data`. ValueError for
    steps below 1, and data that cannot be decoded.

    >>> from lddm_lite import LatentDiffusion, text
    >>> data = text.from_lines(["the bank opened .", "rain fell .", "the river rose ."], length=6)
    >>> model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    >>> found = latent_health(model, data, (1,), n=8)
    >>> sorted(found["token_steps"][1]["nll"])
    ['encoder', 'shuffled', 'zeroed']
    """
    from ..diffusion.paths import Path

    decode = decode or getattr(data, "decode", None)
    if decode is None:
        raise ValueError(f"data must have `decode`, or `decode` must be given: {type(data).__name__} has none")
    counts = [arguments.integer("token_steps", k, minimum=1) for k in token_steps]
    out = health(model, data, n, seed)
    if not out:
        return {}
    g = randomness.generator(seed, model.device)
    x0 = data.sample(n, randomness.generator(seed)).to(model.device)
    with evaluating(model):
        given = _latents(model, x0, g)
        real = [decode(row) for row in x0.cpu()]
        out["real"], out["token_steps"] = generation_report(real, judge, progress=progress), {}
        for k in counts:
            nll, samples = {}, {}
            for name, z in given.items():  # the same noise for all, so that their differences are the latents'
                if name != "mixed":
                    nll[name] = _nll(model, x0, z, k, randomness.generator(seed + 1, model.device))
                if name != "shuffled":
                    samples[name] = _draw(model, x0, z, k, randomness.generator(seed + 2, model.device))
            samples["own"] = torch.as_tensor(model.sample(n, token_steps=k, path=Path.sequential(), seed=seed).tokens)
            written = {name: [decode(row) for row in x.cpu()] for name, x in samples.items()}
            about = {name: generation_report(texts, judge, progress=progress) for name, texts in written.items()}
            out["token_steps"][k] = {"nll": nll, "samples": about}
    return out


@torch.no_grad()
def _latents(model: Model, x0, g) -> dict[str, torch.Tensor]:
    """The finished latents that the token half is given; see `latent_health`."""
    z = torch.cat([model.encode(rows, g) for rows in x0.split(BATCH)])
    if model.config.latent == "discrete":
        zeroed = torch.full_like(z, model.latent_channel.mask_id)
    else:
        z, zeroed = model.latent_channel.corrupt(z, torch.zeros(len(z), device=z.device), g), torch.zeros_like(z)
    out = {"encoder": z, "shuffled": z.roll(1, 0), "zeroed": zeroed}
    if z.shape[1] > 1:
        out["mixed"] = torch.stack([z[:, j].roll(j, 0) for j in range(z.shape[1])], 1)
    return out


@torch.no_grad()
def _nll(model: Model, x0, z, steps: int, g) -> Estimate:
    """Nats per token of the steps t = 1, 1 - 1/K, ..., 1/K at t_z = 0 (M4)."""
    cost = []
    for x, z_0 in zip(x0.split(BATCH), z.split(BATCH), strict=True):
        clean = torch.zeros(len(x), device=x.device)
        total = clean.double()
        for j in range(steps, 0, -1):
            t, s = clean + j / steps, clean + (j - 1) / steps
            x_t = model.token_channel.corrupt(x, t, g, keep=~model.valid(x))
            said = model.predict(x_t, z_0, clean, x_t == model.token_channel.mask_id, need_latents=False)
            total = total + model.token_channel.step_cost(x, x_t, said.tokens, t, s).double()
        cost.append(total)
    return perplexity_of(torch.cat(cost).cpu(), model.valid(x0).sum(1).cpu()).nats


@torch.no_grad()
def _draw(model: Model, x0, z, steps: int, g) -> torch.Tensor:
    """Sequences of the lengths of x0, drawn given finished latents (M2)."""
    out = []
    for x, z_0 in zip(x0.split(BATCH), z.split(BATCH), strict=True):
        x, clean = x.masked_fill(model.valid(x), model.token_channel.mask_id), torch.zeros(len(x), device=x.device)
        for j in range(steps, 0, -1):
            where = model.token_channel.to_reveal(x, j / steps, (j - 1) / steps, g)
            if where.any():
                said = model.predict(x, z_0, clean, where, need_latents=False)
                x = model.token_channel.reverse_step(x, said.tokens, where, g)
        out.append(x)
    return torch.cat(out)

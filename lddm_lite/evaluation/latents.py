"""Diagnosis of the latents: do they carry what tokens share, do the tokens read them, and can the
model draw them? METHOD 5."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch

from .._common import arguments, randomness, schemas
from .._common.arguments import shown
from .._common.data_contract import read_text
from .._common.estimate import Estimate
from .._common.modes import evaluating
from .._common.progress import bar
from .._common.protocols import Data, Judge, Model, Task, has_scores, is_frozen
from .._common.randomness import generator
from ..diffusion import sampler
from ..diffusion.bound import antithetic, each_term
from ..diffusion.given_latents import without_latents
from ..diffusion.paths import Path
from ..diffusion.unmasking_order import choose
from . import tables
from .judge import perplexity_of
from .text_scores import generation_report

__all__ = ["KINDS", "RATES", "Diagnosis", "diagnose", "examples", "health", "latent_health", "z_response"]

KINDS = ("true", "wrong", "none", "sampled")  # latents that tokens are given
RATES = (1.0, 0.75, 0.5, 0.25)  # of masks
BATCH = 512  # sequences in one network call
LOGITS = 1 << 27  # float32 logits of one: 512 MiB
DRAWS = 8  # counts of visible tokens tried for each sequence, for the total correlation
PAIRS = 128  # sequences compared with all others at once
OTHERS = 8  # sequences, for each one examined, among which its latents must be told apart
TOLD = 0.8  # of the most that so many sequences can show: above, what latents tell is not known


@dataclass(frozen=True)
class Diagnosis:
    """Result of a latent diagnosis (`diagnose`): means ± s.e. over `n` sequences, in nats.

    - `costs`: {mask rate: {kind of latents: nats a masked token}}; `kinds` are those of `KINDS`, and
      without latents `none` alone.
    - `excess`: of tasks, alike: excess nats of sequences whose masked tokens are drawn at once.
    - `left`: the total correlation that is left given the true z, nats a sequence: what a single
      token step loses. None without latents.
    - `left_none`: the same given no z. `shared`: what tokens share under the law of a task, exactly.
    - `told`: I(z_0; z), what the latents tell; `law_loses`: the latent and prior terms of the bound,
      latents first, less that: what the law of the model's latents loses. Both None where `n`
      sequences are too few to know, and for frozen encoders.
    - `spread`: mean standard deviation of a coordinate of z_0 over sequences, on unit scale;
      `cosine`: mean cosine between the latents of two. 0 and 1 when collapsed.
    - `perplexity`: codes effectively in use, out of `codes`; None unless latents are discrete.

    >>> found = Diagnosis(64, {1.0: {"none": Estimate(0.7, 0.1)}}, {}, None, Estimate(2.0, 0.1))
    >>> print(found)
    tokens of 64 sequences, nats           none
    a token at mask rate 1        0.700 ± 0.100
    total correlation left        2.000 ± 0.100
    """

    n: int
    costs: dict[float, dict[str, Estimate]]
    excess: dict[float, dict[str, Estimate]]
    left: Estimate | None
    left_none: Estimate
    shared: float | None = None
    told: Estimate | None = None
    law_loses: Estimate | None = None
    spread: float | None = None
    cosine: float | None = None
    perplexity: float | None = None
    codes: int | None = None

    @property
    def z_response(self) -> float:
        """Relative rise of the token cost when z is another sequence's, at the largest mask rate;
        nan without latents. Copies of tokens raise it, too: see `left`."""
        at = self.costs[max(self.costs)]
        if "wrong" not in at:
            return math.nan
        own, other = at["true"].value, at["wrong"].value
        return other / own - 1 if own > 0 else math.inf

    def to_dict(self) -> dict:
        """What was measured, by name, with `z_response`; for JSON (`tables.as_json`)."""
        found = {name: value for name, value in vars(self).items() if value is not None and value != {}}
        return found if self.left is None else {**found, "z_response": self.z_response}

    def __str__(self) -> str:
        return "\n".join(tables.diagnosis_lines(self.to_dict()))


@torch.no_grad()
@schemas.checked(
    "model", "data", "seed", "progress", n=schemas.whole(2, limit="samples"),
    mask_rates=schemas.items(schemas.number(maximum=1.0, above=0.0), least=1),
)  # fmt: skip
def diagnose(
    model: Model, data: Data, n: int = 1024, mask_rates=RATES, seed: int = 0, progress: bool = False
) -> Diagnosis:
    """Latent diagnosis: what the latents of `model` do for n sequences of `data`, a task or a text.
    METHOD 5.

    At each mask rate that share of a sequence's tokens (of those that are no padding, and at least
    one) is masked, at random, alike for all kinds of latents, which are

    - `true`: the encoder's, at the noise floor; `wrong`: those of another sequence;
    - `none`: pure noise at t_z = 1, for codes all masked: what is known without z;
    - `sampled`: drawn by the model beside the tokens that are visible, as in infilling with latents
      first. Without any, at mask rate 1, that is p(z), and another sequence's in effect.

    Read it so. `true` at `none`: z tells the tokens nothing, or they do not read it. `wrong` far above
    `none` with tokens visible: z is trusted, also when it misleads. `sampled` near `wrong` there:
    latents do not follow visible tokens. Of tasks, `sampled` far above `true` in the excess at mask
    rate 1: the latents' own law is to blame, as in `law_loses`. `true` near `none` there: z does not
    say what tokens share, be the response to it as it may. `left` says the same without a law to
    score by, but only of what the network knows: one that has not learned what tokens share finds
    little left in any case (beside `shared` that shows), and below 0 it was not trained at such noise.

    A model without latents has `none` alone, and `left_none` is what its tokens share.

    - `model`, `data`: of the same tokens and length;
    - `n`: at least 2;
    - `mask_rates`: each in (0, 1], else ValueError;
    - `seed`: of the sequences, what is masked, and all draws;
    - `progress`: show a bar.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> found = diagnose(LatentDiffusion.exact(task, "shift"), task, n=64, mask_rates=(1.0,))
    >>> bool(found.excess[1.0]["true"].value < found.excess[1.0]["none"].value)
    True
    """
    rates = _rates(mask_rates)
    g = generator(seed, model.device)
    x = data.sample(n, generator(seed)).to(model.device)
    lengths = model.valid(x).sum(1)
    ahead = len(rates) + 1  # what comes after the rates takes about as long as one of them
    with evaluating(model), bar(total=ahead, show=progress, desc="diagnosis", unit="parts", leave=False) as told:
        z0 = _encoded(model, x, g)
        given = _given(model, x, z0, g)
        costs: dict = {}
        excess: dict = {}
        for k, rate in enumerate(rates):
            count = (rate * lengths).round().long().clamp_min(1).minimum(lengths)
            x_t, drawn, here = _masked(model, x, count, g), {}, dict(given)
            if z0 is not None:
                here["sampled"], drawn["sampled"] = _infilled(model, x_t, like=given["true"], seed=seed + k)
            costs[rate] = {kind: perplexity_of(_nats(model, x, x_t, z), count.cpu()).nats for kind, z in here.items()}
            if has_scores(data):
                drawn = {kind: _drawn(model, x_t, z, seed) for kind, z in given.items()} | drawn
                scores = {kind: data.score(rows.cpu(), seed=seed + 1) for kind, rows in drawn.items()}
                excess[rate] = {kind: Estimate(s["excess"], s["excess_se"]) for kind, s in scores.items()}
            told.update(1)
        left = {kind: _left(model, x, given[kind], seed + 2) for kind in ("true", "none") if kind in given}
        about = {} if z0 is None else _about_latents(model, data, x, z0, given["true"][0], seed)
    shared = _shared(data) if has_scores(data) and hasattr(data, "probs") else None
    return Diagnosis(n, costs, excess, left.get("true"), left["none"], shared, **about)


@torch.no_grad()
@schemas.checked("model", "data", "seed", n=schemas.whole(2, limit="samples"))
def examples(model: Model, data: Data, n: int = 6, mask_rates=RATES, seed: int = 0) -> dict[str, Any]:
    """Example sequences of a diagnosis: what `diagnose` judges, masked tokens drawn at once given
    each kind of latents.

    Returns {"real": x [n, L], "visible": {rate: x with masks [n, L]}, "drawn": {rate: {kind: [n,
    L]}}}; `wrong` latents are those of the row before.

    - `model`, `data`, `n`, `mask_rates`, `seed`: as for `diagnose`, with its errors.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> found = examples(LatentDiffusion.preset("co-seq", task, width=16), task, 2, (0.5,))
    >>> list(found["drawn"][0.5]), int((found["visible"][0.5] == 2).sum())
    (['true', 'wrong', 'none', 'sampled'], 8)
    """
    g = generator(seed, model.device)
    x = data.sample(n, generator(seed)).to(model.device)
    lengths = model.valid(x).sum(1)
    found: dict[str, Any] = {"real": x.cpu(), "visible": {}, "drawn": {}}
    with evaluating(model):
        z0 = _encoded(model, x, g)
        given = _given(model, x, z0, g)
        for k, rate in enumerate(_rates(mask_rates)):
            x_t = _masked(model, x, (rate * lengths).round().long().clamp_min(1).minimum(lengths), g)
            drawn = {kind: _drawn(model, x_t, z, seed) for kind, z in given.items()}
            if z0 is not None:
                drawn["sampled"] = _infilled(model, x_t, like=given["true"], seed=seed + k)[1]
            found["visible"][rate], found["drawn"][rate] = x_t.cpu(), drawn
    return found


def _rates(mask_rates) -> list[float]:
    rates = sorted({arguments.number("mask_rates", r, 0.0, 1.0) for r in mask_rates}, reverse=True)
    if not rates or rates[-1] == 0:
        raise ValueError(f"mask_rates must hold numbers in (0, 1], got {shown(mask_rates)}")
    return rates


def batch_size(model: Model) -> int:
    """Batch size: sequences in one network call, so that its logits fit into memory.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> batch_size(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16))
    512
    """
    return max(1, min(BATCH, LOGITS // (model.config.length * model.config.vocab)))


def _encoded(model: Model, x, g) -> torch.Tensor | None:
    """z_0 of sequences [n, L], or None."""
    if model.latent_channel is None or model.encoder is None:
        return None
    return torch.cat([model.encode(rows, g) for rows in x.split(BATCH)])


def _given(model: Model, x, z0, g) -> dict[str, tuple]:
    """{kind: (z, t_z)} of `KINDS`, but for `sampled`."""
    done = torch.zeros(len(x), device=x.device)
    if model.latent_channel is None:
        return {"none": (None, None)}
    none = model.latent_channel.prior(model.latent_shape(len(x)), g).to(x.device), done + 1
    if z0 is None:
        return {"none": none}
    z = model.latent_channel.corrupt(z0, done, g) if model.config.latent == "continuous" else z0
    return {"true": (z, done), "wrong": (z.roll(1, 0), done), "none": none}


def _infilled(model: Model, x_t, like: tuple, seed: int) -> tuple[tuple, torch.Tensor]:
    """((z, t_z), tokens [n, L]): latents drawn beside the visible tokens, of the kind that those of
    `like` are, and then all masks at once."""
    path = Path.sequential()
    run = sampler.sample(model, x_t, model.knots(path, 1), path, seed, batch=batch_size(model))
    assert run.latents is not None
    return (torch.as_tensor(run.latents[-1]).to(like[0]), like[1]), torch.as_tensor(run.tokens).long()


def _masked(model: Model, x, count, g) -> torch.Tensor:
    """x [n, L] with `count` [n] of its tokens masked, at random."""
    valid = model.valid(x)
    return x.masked_fill(choose(valid, valid.sum(1) - count, g), model.token_channel.mask_id)


def _split(model: Model, *tensors):
    """Batches of tensors [n, ...] or None that go together."""
    size = batch_size(model)
    for i in range(0, len(tensors[0]), size):
        yield [t if t is None else t[i : i + size] for t in tensors]


def _nats(model: Model, x, x_t, given: tuple) -> torch.Tensor:
    """What the masked tokens of x_t [n, L] cost given latents (z, t_z): nats [n], float64."""
    out = []
    for rows, noised, z_t, t in _split(model, x, x_t, *given):
        said = model.predict(noised, z_t, t, noised == model.token_channel.mask_id, need_latents=False)
        one = torch.ones(len(rows), device=rows.device)
        out.append(model.token_channel.rate(rows, noised, said, one).double().cpu())
    return torch.cat(out)


def _drawn(model: Model, x_t, given: tuple, seed: int, steps: int = 1) -> torch.Tensor:
    """Sequences [n, L] with the masks of x_t filled in so many steps, given latents (z, t_z)."""
    z, t_z = given
    path = Path.sequential()
    knots = without_latents(path.knots(steps), 0.0 if z is None else float(t_z[0]))
    trace = sampler.sample(model, x_t, knots, path, seed, batch=batch_size(model), latents=z)
    return torch.as_tensor(trace.tokens).long()


def _left(model: Model, x, given: tuple, seed: int) -> Estimate:
    """The total correlation that is left given latents: all tokens in one step less one at a time,
    the latter by counts of masked ones that are uniform on 1..n, any of them alike (M3)."""
    g, lengths = generator(seed, model.device), model.valid(x).sum(1)
    out = _nats(model, x, _masked(model, x, lengths, g), given)
    for _ in range(DRAWS):
        count = (antithetic(len(x), g, x) * lengths).ceil().long().clamp_min(1).minimum(lengths)
        nats = _nats(model, x, _masked(model, x, count, g), given)
        out = out - (lengths / count.clamp_min(1)).double().cpu() * nats / DRAWS
    return Estimate.of(out)


def _shared(task: Task) -> float:
    """sum_i H(x_i) - H(x) under the law of a task, nats per sequence."""
    p = torch.einsum("g,glv->lv", task.log_prior.double().softmax(0), task.probs.double())
    return float(torch.special.entr(p).sum()) - task.entropy().value


def _about_latents(model: Model, data: Data, x, z0, z, seed: int) -> dict:
    """The fields of `Diagnosis` that are of the latents alone."""
    n, out = len(x), {}
    v = z0
    if model.config.latent == "discrete":
        share = torch.nn.functional.one_hot(z0, model.config.codes).double().mean(0)  # [m, K]
        out = {"perplexity": float(torch.special.entr(share).sum(-1).exp().mean()), "codes": model.config.codes}
        v = model.encoder.codebook[z0] if hasattr(model.encoder, "codebook") else None
    if v is not None:
        v = v.double()  # [n, m, d]
        unit = torch.nn.functional.normalize(v, dim=-1)
        pairs = (unit.sum(0).pow(2).sum(-1) - n) / (n * (n - 1))  # mean over pairs i != j, per slot
        out |= {"spread": float(v.std(0).mean()), "cosine": float(pairs.mean())}
    if is_frozen(model.encoder):  # tells all sentences apart, and is dear to ask about more of them
        return out
    told, most = _told(model, data, x, z0, z, seed)
    if float(told.mean()) < TOLD * most:
        bound = model.nelbo(x, Path.sequential(), draws=4, seed=seed, batch=batch_size(model))
        out["told"] = Estimate.of(told)
        law = bound.latents.value + bound.prior.value - out["told"].value
        error = math.hypot(bound.latents.stderr, bound.prior.stderr, out["told"].stderr)
        out["law_loses"] = Estimate(law, error)
    return out


def _told(model: Model, data: Data, x, z0, z, seed: int) -> tuple[torch.Tensor, float]:
    """(log q(z | z_0) - log q(z) of each sequence [n], the most that its mean could be), q(z) being
    the mean over `OTHERS` times n further sequences of the same length and its own. On average it
    is below I(z_0; z), a little where it is far from that most."""
    g = generator(seed + 3, model.device)
    more = data.sample(OTHERS * len(x), generator(seed + 3)).to(model.device)
    theirs, lengths, own_lengths = _encoded(model, more, g), model.valid(more).sum(1), model.valid(x).sum(1)
    told, most = [], []
    for rows, own, n in zip(*(v.split(PAIRS) for v in (z, z0, own_lengths)), strict=True):
        among = _log_likelihood(model, rows, theirs).masked_fill(n.unsqueeze(1) != lengths, -torch.inf)
        itself = _log_likelihood(model, rows, own).diagonal()
        size = (n.unsqueeze(1) == lengths).sum(1) + 1.0
        told.append(itself - torch.logaddexp(among.logsumexp(1), itself) + size.log().double())
        most.append(size.log())
    return torch.cat(told).cpu(), float(torch.cat(most).mean())


def _log_likelihood(model: Model, z, z0) -> torch.Tensor:
    """log q(z | z_0) at the noise floor, of all pairs [n, N], up to what does not depend on z_0."""
    if model.config.latent == "discrete":
        return torch.where((z.unsqueeze(1) == z0).all(-1), 0.0, -torch.inf).double()
    a, sigma = (v.double() for v in model.latent_channel.coefficients(torch.zeros((), device=z.device)))
    return -(torch.cdist(z.flatten(1).double(), a * z0.flatten(1).double()) / sigma).pow(2) / 2


@torch.no_grad()
@schemas.checked("model", "data", "seed", n=schemas.whole(2, limit="samples"))
def health(model: Model, data: Data, n: int = 1024, seed: int = 0) -> dict:
    """Latent health in short, of `diagnose` what there was before it: `z_response`, `spread`,
    `cosine`, `perplexity`, `codes`, and for tasks `one_step`, the excess of one token step given
    latents `own` (sampled), `encoder` (true), `zeroed` (none), `half` and `half_swapped` (true and
    wrong, half of the tokens given). {} for a model without latents.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> sorted(health(LatentDiffusion.preset("co-seq", task, width=16), task, n=64))
    ['cosine', 'one_step', 'spread', 'z_response']
    """
    found = diagnose(model, data, n, (1.0, 0.5), seed)
    if found.left is None:
        return {}
    out = {k: v for k, v in found.to_dict().items() if k in ("z_response", "spread", "cosine", "perplexity", "codes")}
    if found.excess:
        whole, half = found.excess[1.0], found.excess[0.5]
        out["one_step"] = {"own": whole["sampled"], "encoder": whole["true"], "zeroed": whole["none"]}
        out["one_step"] |= {"half": half["true"], "half_swapped": half["wrong"]}
    return out


@torch.no_grad()
@schemas.checked("model", "seed", x0=schemas.ids)
def z_response(model: Model, x0: torch.Tensor, seed: int = 0) -> float:
    """Response of the tokens to the latents: the relative rise of the all-masked token loss when z
    is shuffled between sequences. 0 = ignored. x0 [B, L]; METHOD 5.

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
        said = (model.predict(x_t, v, t0, where, False) for v in (z, z.roll(1, 0)))
        own, other = (model.token_channel.rate(x0, x_t, v, t1) for v in said)
    return float((other.mean() - own.mean()) / own.mean())


@torch.no_grad()
@schemas.checked(
    "model", "data", "seed", "progress", n=schemas.whole(2, limit="samples"), token_steps=schemas.counts,
    decode=schemas.maybe(schemas.function),
)  # fmt: skip
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
    """Latent health of a text model: beside what `diagnose` finds, at each number of token steps
    taken after all latent steps (the sequential path):

    - `nll`: what the token steps cost on real sequences (M4), nats per token ± s.e., given
      `encoder`, the true z of `diagnose`; `shuffled`, the wrong one; `zeroed`, none.
    - `samples`: a `generation_report` of n sequences drawn in these steps given `encoder`, z of
      real sequences: the best that the token half can do; `own`, z drawn by the model: far from it,
      the latent half is to blame; `zeroed`, none; and with several slots `mixed`, each slot of another
      sequence. Their lengths are those of the real sequences, but `own`'s are drawn.

    Returns {**diagnosis, "real": report, "token_steps": {steps: {"nll": {...}, "samples": {...}}}}, or
    {} for a model without latents.

    - `model`, `data`: of the same tokens and length;
    - `token_steps`: numbers of them, each at least 1;
    - `n`: sequences, real ones and of each kind of samples, at least 2;
    - `judge`: as for `generation_report`; None for no Gen PPL;
    - `seed`: of the sequences and all draws;
    - `decode`: ids -> text; None for that of `data`;
    - `progress`: show the judge's bars.

    ValueError for steps below 1.

    >>> from lddm_lite import LatentDiffusion, text
    >>> data = text.from_lines(["the bank opened .", "rain fell .", "the river rose ."], length=6)
    >>> model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    >>> found = latent_health(model, data, (1,), n=8)
    >>> sorted(found["token_steps"][1]["nll"])
    ['encoder', 'shuffled', 'zeroed']
    """
    decode = decode or functools.partial(read_text, data)
    counts = [arguments.integer("token_steps", k, minimum=1) for k in token_steps]
    found = diagnose(model, data, n, seed=seed)
    if found.left is None:
        return {}
    out = found.to_dict()
    g = randomness.generator(seed, model.device)
    x0 = data.sample(n, randomness.generator(seed)).to(model.device)
    with evaluating(model):
        given, blank = _latents(model, x0, g), x0.masked_fill(model.valid(x0), model.token_channel.mask_id)
        real = arguments.texts("decode: what it gives", [decode(row) for row in x0.cpu()], blank=True)
        out["real"], out["token_steps"] = generation_report(real, judge, progress=progress), {}
        for k in counts:
            nll, samples = {}, {}
            for name, z in given.items():  # the same noise for all, so that their differences are the latents'
                if name != "mixed":
                    nll[name] = _nll(model, x0, z, k, seed + 1)
                if name != "shuffled":
                    samples[name] = _drawn(model, blank, z, seed + 2, k)
            samples["own"] = torch.as_tensor(model.sample(n, token_steps=k, path=Path.sequential(), seed=seed).tokens)
            written = {name: [decode(row) for row in x.cpu()] for name, x in samples.items()}
            about = {name: generation_report(texts, judge, progress=progress) for name, texts in written.items()}
            out["token_steps"][k] = {"nll": nll, "samples": about}
    return out


def _latents(model: Model, x0, g) -> dict[str, tuple]:
    """The latents (z, t_z) that the token half is given; see `latent_health`."""
    given = _given(model, x0, _encoded(model, x0, g), g)
    out = {"encoder": given["true"], "shuffled": given["wrong"], "zeroed": given["none"]}
    z, t_z = given["true"]
    if z.shape[1] > 1:
        out["mixed"] = torch.stack([z[:, j].roll(j, 0) for j in range(z.shape[1])], 1), t_z
    return out


def _nll(model: Model, x0, given: tuple, steps: int, seed: int) -> Estimate:
    """Nats per token of the steps t = 1, 1 - 1/K, ..., 1/K given latents (z, t_z) (M4)."""
    how = {"token_steps": steps, "seed": seed, "batch": batch_size(model)}
    terms, _, _ = each_term(model, x0, **how, latents=given[0], latent_time=float(given[1][0]))
    return perplexity_of(terms[0], model.valid(x0).sum(1).cpu()).nats

"""The sampler: walk the knots of a path from pure noise to clean, one network call a segment.
METHOD 7."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from .._common import arguments, schemas
from .._common.arguments import shown
from .._common.modes import evaluating
from .._common.options import check_fields, option
from .._common.protocols import MaskedNoise, Model
from .._common.randomness import Streams, at_quantiles, quantiles, rand, wide
from .trace import Trace
from .unmasking_order import ORDERS, choose, still_masked

__all__ = ["Branch", "Draws", "nucleus", "remasked", "sample"]

TOP = 5  # alternatives remembered for each revealed position
_SORTED = 1 << 22  # float64 entries of one chunk of a nucleus: 32 MiB each for values, places and sums


@dataclass(frozen=True)
class Draws:
    """How tokens and codes are drawn: the options of `LatentDiffusion.sample`, `generate_text` and
    `infill`. ValueError names a bad one.

    All but `order` and `eta` trade entropy for likelihood when they sharpen, and so does
    `order="confidence"`: look at both.

    >>> Draws(top_p=0.9).changed()
    {'top_p': 0.9}
    """

    temperature: float = option(
        1.0, "of token draws: below 1 sharper, above 1 flatter, 0 the most probable", minimum=0.0, below=math.inf)
    eta: float = option(
        1.0, "noise of the Gaussian latents' reverse step: 1 ancestral, 0 DDIM", minimum=0.0, maximum=1.0)
    top_p: float | None = option(
        None, "draw tokens from the fewest that have this probability together (default: 1, from all)",
        above=0, maximum=1)
    order: str = option(
        "ancestral", "which tokens a step reveals: each by chance, equally many a step, or the most probable, which "
        "lowers the entropy; codes follow even for both of the latter", choices=ORDERS)
    latent_temperature: float = option(1.0, "of the draws of discrete latents", minimum=0.0, below=math.inf)
    remask: float = option(
        0.0, "how often, over the whole run, a visible token is masked again and drawn anew (ReMDM); order ancestral "
        "only; look at the entropy", minimum=0.0, below=math.inf)

    def __post_init__(self):
        check_fields(self)
        if self.remask and self.order != "ancestral":
            raise ValueError(f"remask needs order='ancestral', got order={self.order!r}")

    @classmethod
    def of(cls, **options) -> Draws:
        """From options by name. ValueError for one that there is not.

        >>> Draws.of(temperature=0.5).temperature
        0.5
        """
        allowed = [f.name for f in fields(cls)]
        for name in options:
            if name not in allowed:
                known = ", ".join([*allowed, "latents", "batch", "length", "label"])
                raise ValueError(f"unknown option {name!r}; allowed are {known} and progress")
        return cls(**options)

    def changed(self) -> dict:
        """The options that are not the usual ones."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {k: v if isinstance(v, str) else float(v) for k, v in given.items()}

    @schemas.checked(log_probs=schemas.rows)
    def tokens(self, log_probs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [N, V] at this temperature, then cut to the nucleus."""
        log_probs = _tempered(log_probs, self.temperature)
        return log_probs if self.top_p is None or self.top_p == 1 else nucleus(log_probs, self.top_p)

    @schemas.checked(log_probs=schemas.rows)
    def codes(self, log_probs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [N, K] of codes at the latent temperature."""
        return _tempered(log_probs, self.latent_temperature)


def _tempered(log_probs: torch.Tensor, temperature: float) -> torch.Tensor:
    """p^(1/temperature), normalised; at 0 all on the most probable one, the first of equals."""
    if temperature == 0:
        best = torch.zeros_like(log_probs, dtype=torch.bool).scatter(-1, log_probs.argmax(-1, keepdim=True), True)
        return torch.zeros_like(log_probs).masked_fill(~best, -torch.inf)
    return log_probs if temperature == 1 else (log_probs / temperature).log_softmax(-1)


@schemas.checked(log_probs=schemas.rows)
def nucleus(log_probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """Log-probabilities [N, V] cut, row by row, to the fewest most probable tokens that have at
    least `top_p` together, and normalised; the others have -inf. The most probable token always
    stays. Sums are float64. Source: Holtzman et al. 2020, arXiv 1904.09751. Lowers the entropy of
    what is drawn; at 1 nothing is cut.

    >>> nucleus(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).exp()
    tensor([[0.6250, 0.3750, 0.0000]])
    """
    if not 0 < arguments.number("top_p", top_p, 0.0, 1.0):
        raise ValueError(f"top_p must be in (0, 1], got {shown(top_p)}")
    if top_p == 1:
        return log_probs
    out = []
    for rows in log_probs.split(max(1, _SORTED // log_probs.shape[-1])):
        p, at = wide(rows).softmax(-1).sort(dim=-1, descending=True, stable=True)
        cut = p.cumsum(-1) - p >= top_p  # those before it suffice
        cut[:, 0] = False
        out.append(rows.masked_fill(torch.zeros_like(cut).scatter(-1, at, cut), -torch.inf).log_softmax(-1))
    return torch.cat(out)


@dataclass(frozen=True)
class Branch:
    """Where a run goes on from, rather than from pure noise: `start` and `latents` are then the
    state after `step` steps.

    - `step`: how many are done;
    - `free` [n]: positions that were masked at t = 1, of which the schedule leaves a share;
    - `rows` [n]: which sequences of the run before these were, whose random numbers they draw.
    """

    step: int
    free: torch.Tensor
    rows: Sequence[int]


@torch.no_grad()
@schemas.checked(
    "model", "batch", "seed", start=schemas.ids, knots=schemas.knots, path=schemas.path,
    draws=schemas.has("a Draws", "temperature", "order"), progress=schemas.maybe(schemas.function),
    alike=schemas.boolean, branch=schemas.maybe(schemas.is_a(Branch)),
)  # fmt: skip
def sample(
    model: Model,
    start,
    knots,
    path,
    seed,
    draws: Draws = Draws(),
    batch: int = 512,
    progress=None,
    latents=None,
    alike: bool = False,
    branch: Branch | None = None,
) -> Trace:
    """Fill the masks of `start` [n, L] along `knots` and record everything in a Trace.

    Tokens that are not the mask in `start` are given: they stay as they are. A step is one network
    call (NFE), in which only those sequences take part that change.

    - `model`, `start` [n, L]: ids on its device, the mask id V where tokens are to be drawn.
    - `knots`: the noise times between steps, falling (`model.knots`).
    - `path`: the one that the knots were taken from; its lead is noted in the Trace.
    - `seed`: all draws come from it, a stream a sequence: what becomes of one depends neither on how
      many others there are, nor on `batch`.
    - `draws`: how tokens, codes and latents are drawn. ValueError for a latent temperature other
      than 1 without discrete latents.
    - `batch`: sequences in one network call.
    - `progress`: called as progress(done, total) after each step; what it raises ends the run. None
      for no calls.
    - `latents`: z at t_z = 0 for each sequence, taken as they are; `knots` then move tokens alone.
    - `alike`: all sequences draw the same numbers, and so differ by what they are given alone.
    - `branch`: where the run goes on from a step of another on the same knots; what was there before
      counts as given. `Trace.branch` puts both together.
    """
    if draws.latent_temperature != 1 and model.config.latent != "discrete":
        raise ValueError(
            f"latent_temperature must be 1 for {model.name!r}, which has {model.config.latent} latents: only codes are "
            f"drawn from a distribution; got {shown(draws.latent_temperature)}"
        )
    start = model.check_tokens("start", start, mask_ok=True)
    if latents is not None:
        latents = schemas.of_shape("latents", latents, model.latent_shape(len(start)))
    if isinstance(seed, torch.Generator):
        number, noted = int(torch.randint(2**62, (), generator=seed, device=seed.device)), -1
    else:
        number = noted = seed
    firsts = range(0, len(start), batch)
    calls, total = itertools.count(1), len(firsts) * (len(knots) - 1 - (0 if branch is None else branch.step))

    def told():
        if progress is not None:
            progress(next(calls), total)

    with evaluating(model):
        parts = []
        for first in firsts:
            at = slice(first, min(first + batch, len(start)))
            numbers: Sequence[int] = [0] * (at.stop - first) if alike else range(first, at.stop)
            numbers = numbers if branch is None else branch.rows[at]
            z = None if latents is None else latents[at].to(start.device)
            free = None if branch is None else branch.free[at].to(start.device)
            begun = (0, None) if branch is None else (branch.step, free)
            parts.append(_denoise(model, start[at], z, knots, Streams(number, numbers, "sample"), draws, told, *begun))

    def joined(name: str):
        found = [part[name] for part in parts]
        return None if found[0] is None else torch.cat(found, _AXIS.get(name, 0)).cpu().numpy()

    return Trace(
        **{name: joined(name) for name in parts[0] if name != "calls"},
        calls=sum(part["calls"] for part in parts),
        knots=[(k.t_x, k.t_z) for k in knots],
        labels=model.labels,
        mask_id=model.token_channel.mask_id,
        pad_id=model.config.pad_id,
        lead=path.lead,
        seed=noted,
        model=model.name,
        order=draws.order,
        meta={k: v for k, v in draws.changed().items() if k != "order"},
    )


_AXIS = {"latents": 1}  # [steps + 1, n, ...]; all others are [n, ...]


def _denoise(model: Model, x, z, knots, streams: Streams, draws, told, begin: int = 0, free=None) -> dict:
    n, device, mask = len(x), x.device, model.token_channel.mask_id
    hidden = x == mask  # what is given is never masked again
    free = hidden.sum(-1) if free is None else free  # [n], masked at the start
    reveal_step = torch.where(x == mask, -1, 0)
    confidence = torch.ones(x.shape, device=device)
    top = min(TOP, model.config.vocab)
    alternatives = x.unsqueeze(-1).repeat(1, 1, top)
    alternative_probs = torch.zeros(*x.shape, top, device=device)
    if z is None and model.latent_channel is not None:
        z = model.latent_channel.prior(model.latent_shape(n), streams.at(0)).to(device)
    latents = None if z is None else [z] * (begin + 1)
    slots = torch.full((n,), model.config.slots, device=device)
    calls = 0  # a sequence each
    blank = bool((x[model.valid(x)] == mask).all())  # nothing given but padding
    lengths = model.valid(x).sum(1) if model.config.pad_id is not None else None
    for k, (a, b) in enumerate(zip(knots[begin:], knots[begin + 1 :], strict=False), start=begin + 1):
        g, moves_x, moves_z = streams.at(k), b.t_x < a.t_x, b.t_z < a.t_z
        where = _positions(model.token_channel, x, free, a.t_x, b.t_x, draws, g) if moves_x else None
        skip = blank and a.t_x == 1 and not moves_x  # only latents move and no token is seen
        t_z, s_z = (torch.full((n,), v, device=device) for v in (a.t_z, b.t_z))
        asked = [None if skip else x, z, t_z, where, lengths]
        idle = False
        if where is not None and not moves_z:  # a sequence in which nothing is about to be revealed needs no prediction
            at = where.any(1).nonzero().squeeze(1)
            asked, idle = [t if t is None else t.index_select(0, at) for t in asked], len(at) == 0
        x_in, z_in, t_in, where_in, lengths_in = asked
        unseen = blank and a.t_x == 1 and (z is None or (a.t_z == 1 and model.config.latent == "discrete"))
        ask: Any = functools.partial(_nothing_seen, model) if unseen else model.predict
        calls += 0 if idle else len(z_in if x_in is None else x_in)
        out: Any = None if idle else ask(x_in, z_in, t_in, where_in, moves_z, lengths_in)
        if where is not None and not idle:
            drawn = _drawn(out, quantiles(where, g).to(device), draws, top)
            if draws.order == "confidence":
                where, drawn = _most_probable(drawn, still_masked(free, b.t_x), where, g)
            x = x.masked_scatter(where, drawn.ids)
            reveal_step = reveal_step.masked_fill(where, k)
            confidence = confidence.masked_scatter(where, drawn.probs)
            spot = where.unsqueeze(-1)
            alternatives = alternatives.masked_scatter(spot, drawn.best)
            alternative_probs = alternative_probs.masked_scatter(spot, drawn.best_probs)
        if moves_z:
            if model.config.latent == "continuous":
                z = model.latent_channel.reverse_step(z, out.latents.to(z), t_z, s_z, g, draws.eta)
            else:
                codes = Draws(order="ancestral" if draws.order == "ancestral" else "even")
                here = _positions(model.latent_channel, z, slots, a.t_z, b.t_z, codes, g)
                z = model.latent_channel.reverse_step(z, draws.codes(out.latents[here]), here, g)
        if latents is not None:
            latents.append(z)
        if where is not None and draws.remask and b.t_x > 0:
            sigma = remasked(a.t_x, b.t_x, draws.remask)
            x, reveal_step = _masked_again(x, hidden & ~where, sigma, mask, reveal_step, g)
        told()
    return dict(
        calls=calls,
        tokens=x,
        reveal_step=reveal_step,
        confidence=confidence,
        alternatives=alternatives,
        alternative_probs=alternative_probs,
        latents=None if latents is None else torch.stack(latents),
    )


def remasked(t: float, s: float, remask: float) -> float:
    """The probability with which a step t -> s masks a visible token again: `remask` times (t - s),
    capped at s / (1 - t), the most that the share s of masked tokens allows. Source: Wang et al.
    2025, ReMDM, arXiv 2503.00307, whose sigma it is, with a cap in proportion to the step: as steps
    shrink, fewer tokens are drawn at once, and with an exact predictor the law becomes exact.

    >>> remasked(0.5, 0.25, 1.0), remasked(0.5, 0.0, 1.0), remasked(1.0, 0.9, 1.0)
    (0.25, 0.0, 0.0)
    """
    return 0.0 if t >= 1 else min(remask * (t - s), s / (1 - t), 1.0)


def _masked_again(x, visible, sigma: float, mask: int, reveal_step, g):
    """(x, reveal_step) after each token that was `visible` before the step and not given is masked
    again with probability sigma; it is revealed anew later, and its first reveal forgotten."""
    again = visible & (rand(x.shape, g, x) < sigma) & (x != mask)
    return x.masked_fill(again, mask), reveal_step.masked_fill(again, -1)


def _positions(channel: MaskedNoise, x, free, t: float, s: float, draws: Draws, g) -> torch.Tensor:
    """Bool [n, L]: positions whose prediction a step t -> s needs. All masked ones for
    `confidence`, which chooses among them afterwards; else those that the step reveals. With
    remasking more are revealed, so that the share s stays masked: (t - s + sigma (1 - t)) / t."""
    if draws.remask:
        chance = (t - s + remasked(t, s, draws.remask) * (1 - t)) / t
        return (x == channel.mask_id) & (rand(x.shape, g, x) < chance)
    if draws.order == "ancestral":
        return channel.to_reveal(x, t, s, g)
    masked = x == channel.mask_id
    return masked if draws.order == "confidence" else choose(masked, still_masked(free, s), g)


def _nothing_seen(model: Model, x, z, t_z, where, moves_z: bool, lengths):
    """The network call in which no token and no code is visible: what it says depends on the length
    alone, so that one sequence of each length is asked."""
    n = len(x) if z is None else len(z)
    at = torch.zeros(n, dtype=torch.long) if lengths is None else lengths.cpu()
    kinds, kind = at.unique(return_inverse=True)
    first = torch.stack([(kind == k).nonzero()[0, 0] for k in range(len(kinds))])
    one = [v if v is None else v[first.to(v.device)] for v in (x, z, t_z, lengths)]
    masked: Any = None if where is None else one[0] == model.token_channel.mask_id
    out = model.predict(one[0], one[1], one[2], masked, moves_z, one[3])
    rows = None
    if masked is not None:
        number = masked.flatten().cumsum(0).view_as(masked) - 1  # of each row of the prediction
        rows = number[kind.to(masked.device)][where]
    return out.taken(rows, kind.to(model.device))


@dataclass
class _Drawn:
    """Tokens drawn at N positions."""

    ids: torch.Tensor  # [N]
    probs: torch.Tensor  # [N], theirs, in the law that they were drawn from
    said: torch.Tensor  # [N], their log-probabilities in the model's own, untempered and uncut
    best: torch.Tensor  # [N, top] most probable ids
    best_probs: torch.Tensor  # [N, top]

    def rows(self, at: torch.Tensor) -> _Drawn:
        """Those at some of the positions."""
        return _Drawn(*(getattr(self, f.name)[at] for f in fields(self)))


def _drawn(out, u: torch.Tensor, draws: Draws, top: int) -> _Drawn:
    """Draw a token for each row of a prediction, at the quantiles u [N], piece by piece."""
    found, first = [], 0
    for said in out.pieces():
        law = draws.tokens(said)
        ids = at_quantiles(law, u[first : first + len(law)])
        first += len(law)
        at, best = ids.unsqueeze(-1), law.topk(top, -1)
        probs, own = (v.gather(-1, at).squeeze(-1) for v in (law, said))
        found.append((ids, probs.exp().float(), own, best.indices, best.values.exp().float()))
    return _Drawn(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _most_probable(drawn: _Drawn, keep, masked, g) -> tuple[torch.Tensor, _Drawn]:
    """One step of order `confidence`: (where it changes x, what is drawn there). Of the tokens
    drawn at all masked positions those stay to which the model itself gives most probability."""
    where = choose(masked, keep, g, drawn.said)
    return where, drawn.rows(where[masked])

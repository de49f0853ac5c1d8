"""Exact law of a sampler, where it can be written down. METHOD 7, 8.

| law | where | how |
|---|---|---|
| `sequence_law` | few sequences; no latents, or codes | over all partly revealed states, step by step |
| `TokenMixture` | all tokens in one step, any latents | a mixture of products, a component for each z |

Both are float64, and take the sampler's options (`Draws`) as it takes them itself.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .._common.modes import evaluating
from .._common.protocols import Model
from ..diffusion import sampler
from ..diffusion.paths import Knot, Path
from ..diffusion.sampler import Draws
from ..diffusion.unmasking_order import still_masked

__all__ = ["TokenMixture", "sequence_law", "token_mixture"]

SEQUENCES, STATES = 4096, 1 << 16  # up to which a law is enumerated: sequences, and states with masks
CODES = 4096  # states of codes, up to which their law is enumerated; beyond them codes are drawn
DRAWN, GROUPS = 6000, 20  # latents drawn where they cannot be listed; groups of them, which tell what this costs
PLAIN = Draws()  # what the model says, as it is
_ENTRIES = 1 << 22  # float64 entries of one chunk: 32 MiB
_NEVER = -1e6  # log of a probability of 0, finite so that 0 times it is 0


# -- enumeration ---------------------------------------------------------------------------------------------------
def sequence_law(model: Model, knots: list[Knot], draws: Draws = PLAIN) -> torch.Tensor | None:
    """Law of a sampler by enumeration: the probability of every sequence [V**L] under the sampler
    of these knots and draws, in the order of `Task.all_sequences`. None where it cannot be
    enumerated: above 4,096 sequences or 65,536 states with masks, with continuous latents or
    padding, in several token steps of the order `confidence`, with remasking.

    The probability of a state, with some tokens and codes revealed, goes on to all states that a
    step can lead to: (M2) for each position, or equal chances for all sets of as many positions as
    the order `even` reveals, times the predictions.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.exact(tasks.MixtureOfProducts(length=2, modes=1, noise=0.5))  # two fair coins
    >>> sequence_law(model, model.knots(model.path, 2))
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    c = model.config
    token_steps = sum(b.t_x < a.t_x for a, b in itertools.pairwise(knots))
    if draws.remask or c.pad_id is not None or c.latent == "continuous":
        return None
    if draws.order == "confidence" and token_steps > 1:
        return None
    sizes = _sizes(model, c.length)
    if c.vocab**c.length > SEQUENCES or math.prod(sizes) > STATES:
        return None
    mass = _walk(model, knots, draws, c.length).reshape(sizes)
    revealed = mass[tuple(slice(-1) for _ in sizes)]  # the last id of each is the mask
    return revealed.reshape(c.vocab**c.length, -1).sum(1)


def _sizes(model: Model, length: int) -> list[int]:
    """How many ids, masks included, each of the first `length` positions and each slot of codes
    can have: the digits of a state."""
    c = model.config
    return [c.vocab + 1] * length + [c.codes + 1] * (c.slots if c.latent == "discrete" else 0)


@torch.no_grad()
def _walk(model: Model, knots: list[Knot], draws: Draws, length: int) -> torch.Tensor:
    """Probability of each state at the last of the knots; with `length` 0 of the codes alone, while
    all tokens are masked."""
    mass = torch.zeros(math.prod(_sizes(model, length)), dtype=torch.float64)
    mass[-1] = 1.0  # all masked
    with evaluating(model):
        for a, b in itertools.pairwise(knots):
            mass = _step(model, mass, a, b, draws, length)
    return mass


def _step(model: Model, mass: torch.Tensor, a: Knot, b: Knot, draws: Draws, length: int) -> torch.Tensor:
    sizes = _sizes(model, length)
    size = torch.tensor(sizes)
    stride = size.flip(0).cumprod(0).flip(0) // size
    at = mass.nonzero().squeeze(1)  # [S]
    states = at.unsqueeze(1) // stride % size  # [S, digits]
    channel = torch.tensor([b.t_x < a.t_x] * length + [b.t_z < a.t_z] * (len(sizes) - length))
    hidden = (states == size - 1) & channel  # what may be revealed
    # from the mask, the last id of a digit, to itself and to its other ids
    moves = [F.pad(torch.arange(1 - n, 0), (1, 0)) * k for n, k in zip(sizes, stride.tolist(), strict=True)]
    chunks = [_predictions(model, rows, a, b, draws, length) for rows in states.split(_rows(model))]
    said = [torch.cat(digit) for digit in zip(*chunks, strict=True)]  # [S, ids] of each digit
    out = torch.zeros_like(mass)
    _, kind = (hidden.long() << torch.arange(len(sizes))).sum(1).unique(return_inverse=True)
    for rows in kind.argsort().split(kind.bincount().tolist()):  # states with the same masks
        weight, shift = mass[at[rows]].unsqueeze(1), torch.zeros(1, dtype=torch.long)  # [n, ways], [ways]
        masked = hidden[rows[0]].tolist()
        for t, s, digits in ((a.t_x, b.t_x, range(length)), (a.t_z, b.t_z, range(length, len(sizes)))):
            places = [i for i in digits if masked[i]]
            least, most, share = _revealed(len(places), len(digits), t, s, draws)
            count = torch.zeros_like(shift)  # revealed so far
            for left, i in zip(range(len(places), 0, -1), places, strict=True):
                p = said[i][rows] * share  # [n, ids]
                p = F.pad(p, (1, 0), value=1 - share if least < most else 1.0)  # first the mask, which stays
                weight = (weight.unsqueeze(2) * p.unsqueeze(1)).flatten(1)
                shift = (shift.unsqueeze(1) + moves[i]).flatten()
                if least == most:
                    count = (count.unsqueeze(1) + (moves[i] < 0)).flatten()
                    can = (count <= most) & (count + left > least)  # `left` counts this position too
                    weight, shift, count = weight[:, can], shift[can], count[can]
            if least == most:
                weight = weight / math.comb(len(places), most)
        out.index_add_(0, (at[rows].unsqueeze(1) + shift).flatten(), weight.flatten())
    return out


def _revealed(masked: int, total: int, t: float, s: float, draws: Draws) -> tuple[int, int, float]:
    """(least, most, factor) of the `masked` ones among `total` positions that a step reveals; the
    factor is what each of them brings in: its chance, or 1 where their number is fixed."""
    if masked == 0 or s == 0:
        return masked, masked, 1.0
    if draws.order == "ancestral":
        return 0, masked, (t - s) / t
    count = masked - int(still_masked(torch.tensor(total), s))
    return count, count, 1.0


def _rows(model: Model) -> int:
    """States in one network call."""
    c = model.config
    return max(1, min(4096, _ENTRIES // (c.length * c.vocab)))


def _predictions(model: Model, states: torch.Tensor, a: Knot, b: Knot, draws: Draws, length: int):
    """What is drawn from at each digit of states [S, digits], where it is masked and its channel
    moves: a list of [S, ids]."""
    c, device = model.config, model.device
    moves_x, moves_z = b.t_x < a.t_x, b.t_z < a.t_z
    x, z = states[:, :length].to(device), states[:, length:].to(device)
    where = x == c.vocab if moves_x else None
    x_t = x if moves_x or a.t_x < 1 else None  # only latents move and no token is seen
    t_z = torch.full((len(x),), a.t_z, device=device)
    out = model.predict(x_t, None if c.latent == "none" else z, t_z, where, moves_z)
    tokens = torch.zeros(*x.shape, c.vocab, dtype=torch.float64)
    if where is not None:
        tokens[where.cpu()] = draws.tokens(out.tokens).double().softmax(-1).cpu()
    said = list(tokens.unbind(1))
    if c.latent == "discrete":
        codes = draws.codes(out.latents.flatten(0, 1)) if moves_z else torch.zeros(z.numel(), c.codes)
        said += codes.double().softmax(-1).unflatten(0, z.shape).cpu().unbind(1)
    return said


# -- mixtures of products ------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class TokenMixture:
    """q(x) = sum_z q(z) prod_i p(x_i | z): the law of all tokens in one step, given what latents
    have become before it (`token_mixture`).

    - `latents`: z of each component [G, ...], None without latents; `weights`: q(z) [G].
    - `t_z`: the latents' noise time.
    - `groups`: 1 where all z are listed. Else z is drawn, G times, and q is the mean of so many
      independent ones.
    """

    model: Model
    draws: Draws
    latents: torch.Tensor | None
    weights: torch.Tensor
    t_z: float
    groups: int = 1

    @torch.no_grad()
    def log_prob(self, x) -> tuple[torch.Tensor, torch.Tensor]:
        """(log q(x) [B] of sequences [B, L], what each group says q(x) is, as a multiple of what
        all say [groups, B]).

        The logarithm of a mean over N drawn z is too low by half its relative variance, to first
        order: so much is added. The mean of the multiples over sequences spreads over the groups as
        the mean of log q would.
        """
        x = self.model.check_tokens("x", x).cpu()
        onehot = F.one_hot(x, self.model.config.vocab).flatten(1).double()  # [B, L V]
        parts = torch.arange(len(self.weights)).chunk(self.groups)
        with evaluating(self.model):
            each, squares = torch.stack([self._log_sums(onehot, at) for at in parts], 1)  # [groups, B]
        log_q = each.logsumexp(0)
        shares = (each - log_q).exp().nan_to_num(1 / self.groups) * self.groups  # nan where none has any
        if self.groups > 1:
            squared = (squares.logsumexp(0) - 2 * log_q).exp()  # sum of the squared posteriors of z
            log_q = log_q + (squared - 1 / len(self.weights)).nan_to_num(0.0) / 2  # nan where q(x) is 0
        return log_q, shares

    def _log_sums(self, onehot: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """log of the sum over components `at` of q(z) p(x | z), and of its squares: [2, B]."""
        total = torch.full((2, len(onehot)), -torch.inf, dtype=torch.float64)
        for some in at.split(_rows(self.model)):
            log_probs = self._tokens(some).flatten(1).T  # [L V, n]
            log_weights = self.weights[some].log()
            found = []
            for part in onehot.split(max(1, _ENTRIES // len(some))):
                joint = part @ log_probs + log_weights
                found.append(torch.stack([joint.logsumexp(-1), (2 * joint).logsumexp(-1)]))
            total = torch.logaddexp(total, torch.cat(found, 1))
        return total.masked_fill(total[:1] < _NEVER / 2, -torch.inf)

    def _tokens(self, at: torch.Tensor) -> torch.Tensor:
        """log p(x_i | z) of components `at`: [n, L, V], float64."""
        c, device = self.model.config, self.model.device
        x = torch.full((len(at), c.length), c.vocab, device=device)
        z = None if self.latents is None else self.latents[at].to(device)
        t_z = torch.full((len(at),), self.t_z, device=device)
        said = self.model.predict(x, z, t_z, torch.ones_like(x, dtype=torch.bool), need_latents=False)
        log_probs = self.draws.tokens(said.tokens).double().log_softmax(-1).clamp_min(_NEVER)
        return log_probs.unflatten(0, x.shape).cpu()


def token_mixture(
    model: Model, knots: list[Knot], draws: Draws = PLAIN, drawn: int = DRAWN, seed: int = 0
) -> TokenMixture | None:
    """One-step law as a mixture of products: that of the sampler, if it draws all tokens in one
    step; else, or with padding, None. Without latents it is one product; codes are all listed where
    their states are at most 4,096.

    - `model`, `knots`: whose sampler, and the noise times between its steps;
    - `draws`: how it draws tokens, codes and latents;
    - `drawn`: latents drawn where they are not listed: more codes, and continuous ones;
    - `seed`: of these.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.exact(tasks.MixtureOfProducts(length=2, modes=1, noise=0.5))
    >>> token_mixture(model, model.knots(model.path, 1)).log_prob([[0, 1]])[0].exp()
    tensor([0.2500], dtype=torch.float64)
    """
    c = model.config
    moving = [k for k, (a, b) in enumerate(itertools.pairwise(knots)) if b.t_x < a.t_x]
    if len(moving) != 1 or c.pad_id is not None:
        return None
    before = knots[: moving[0] + 1]
    t_z = before[-1].t_z
    if c.latent == "none":
        return TokenMixture(model, draws, None, torch.ones(1, dtype=torch.float64), t_z)
    sizes = _sizes(model, 0)
    if c.latent == "discrete" and math.prod(sizes) <= CODES:
        mass = _walk(model, before, draws, 0)
        z = mass.reshape(sizes).nonzero()  # [G, m]
        return TokenMixture(model, draws, z, mass[mass > 0], t_z)
    start = torch.full((drawn, c.length), model.token_channel.mask_id, device=model.device)
    latents = sampler.sample(model, start, before, Path(), seed, draws).latents
    assert latents is not None  # a model with latents records them
    z = torch.from_numpy(latents[-1])
    z = z if z.is_floating_point() else z.long()
    return TokenMixture(model, draws, z, torch.full((drawn,), 1 / drawn, dtype=torch.float64), t_z, GROUPS)

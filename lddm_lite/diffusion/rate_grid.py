"""Rate surfaces: the two integrands of the bound (M9) over the square of noise times, and the cost
of any path read off them.

`measure_rate_grid.rate_grid` measures a `RateGrid`; here it is only read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from .._common import schemas
from .._common.arguments import integer
from .._common.estimate import Estimate
from .channels import GaussianChannel
from .paths import Curve, Knot, Path

__all__ = ["PathCost", "RateGrid", "nodes"]

BEND_X, BEND_Z = 2, 1  # nodes of t_x crowd towards 1, where the first tokens tell most; t_z is even in log-SNR
_PANEL = 1 / 16  # of the index coordinate of an axis: Gauss-Legendre of order 4 on each, 2 on pieces below half of one
_RULES = {order: np.polynomial.legendre.leggauss(order) for order in (2, 4)}


def nodes(n: int, bend: int) -> np.ndarray:
    """n times in [0, 1], 0 and 1 among them, t = 1 - (1 - p)^bend at evenly spaced p.

    >>> nodes(3, 2).tolist()
    [0.0, 0.75, 1.0]
    """
    return 1 - (1 - np.linspace(0, 1, n)) ** bend


_NUMBER, _TABLE = schemas.number(), schemas.array("f", [2])


@dataclass(frozen=True)
class PathCost:
    """What a path costs, nats per sequence: the terms of the bound, as in `Nelbo`. With finitely
    many steps `nfe` > 0, and `excess_tokens`, `excess_latents` are the parts of `tokens`, `latents`
    that those steps lose (M12)."""

    tokens: float
    latents: float
    prior: float
    nfe: int = 0
    excess_tokens: float = 0.0
    excess_latents: float = 0.0

    @property
    def total(self) -> float:
        """The bound: tokens + latents + prior."""
        return self.tokens + self.latents + self.prior

    @property
    def excess(self) -> float:
        """Nats lost to finite steps; 0 in continuous time."""
        return self.excess_tokens + self.excess_latents


@dataclass(frozen=True, eq=False)
class RateGrid:
    """rho_x and rho_z of (M9) at nodes of the square; between them a cubic through the four nearest
    nodes each way.

    - `tokens` [n_x, n_z]: rho_x, nats per unit t_x (M3);
    - `latents` [n_x, n_z]: for Gaussian latents the mean of |z_0 - z_hat|^2 / 2, so that rho_z =
      -dSNR/dt times it (M7); for discrete ones rho_z itself (M3);
    - `tokens_se`, `latents_se`: standard errors;
    - `log_snr`: (max, min) of the Gaussian channel, None for discrete latents;
    - `prior`: (M8);
    - `entropy`: H of the task; `encoder`: what a stochastic encoder adds to the bound on every
      path, I(z_0; z | x); None and 0 where unknown;
    - `bound_se`, `excess_se`: standard errors of a continuous bound and of an excess of a few nats;
    - `data`: spec of the task.

    Index 0 is t=0, the last one t=1; `t_x`, `t_z` are the times. All in nats. ValueError for shapes
    that disagree.

    >>> flat = RateGrid("flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0))
    >>> round(flat.bound(Path(0.2)).total, 6), flat.bound(Path(0.2), 2, 2).nfe
    (5.0, 4)
    """

    title: str
    tokens: np.ndarray
    latents: np.ndarray
    tokens_se: np.ndarray | None = None
    latents_se: np.ndarray | None = None
    log_snr: tuple[float, float] | None = None
    prior: float = 0.0
    entropy: Estimate | None = None
    encoder: Estimate = Estimate(0.0)
    bound_se: float = 0.0
    excess_se: float = 0.0
    data: dict = field(default_factory=dict)  # the task's spec

    def __post_init__(self):
        for name in ("tokens", "latents", "tokens_se", "latents_se"):
            if getattr(self, name) is not None or not name.endswith("_se"):
                object.__setattr__(self, name, _TABLE(name, getattr(self, name)))
        schemas.text(most=1000)("title", self.title)
        for name in ("prior", "bound_se", "excess_se"):
            of = _NUMBER if name == "prior" else schemas.number(0.0)
            object.__setattr__(self, name, of(name, getattr(self, name)))
        if not isinstance(self.entropy, Estimate | None) or not isinstance(self.encoder, Estimate):
            raise ValueError("entropy must be an Estimate or None, and encoder an Estimate")
        schemas.maybe(schemas.pair(_NUMBER, _NUMBER))("log_snr", self.log_snr)
        schemas.mapping(schemas.anything)("data", self.data)
        shapes = {a.shape for a in (self.tokens, self.latents, self.tokens_se, self.latents_se) if a is not None}
        if len(shapes) > 1 or any(len(s) != 2 or min(s) < 4 for s in shapes):
            got = f"must be of one shape [n_x, n_z], each >= 4; got {sorted(shapes)}"
            raise ValueError(f"tokens, latents, tokens_se, latents_se {got}")
        if self.log_snr is not None and self.latents.min() <= 0:
            raise ValueError(f"latents must be > 0 for Gaussian latents, got {self.latents.min()}")

    @property
    def t_x(self) -> np.ndarray:
        """Token times of the nodes [n_x]."""
        return nodes(self.tokens.shape[0], BEND_X)

    @property
    def t_z(self) -> np.ndarray:
        """Latent times of the nodes [n_z]."""
        return nodes(self.tokens.shape[1], BEND_Z)

    # -- at a point ------------------------------------------------------------------------------------------
    def _read(self, table, t_x, t_z) -> np.ndarray:
        """`table` at times t_x, t_z [n] (float64, in [0, 1]): [n]."""
        at_x, w_x = _cubic(t_x, table.shape[0], BEND_X)
        at_z, w_z = _cubic(t_z, table.shape[1], BEND_Z)
        return np.einsum("ni,nij,nj->n", w_x, table[at_x[:, :, None], at_z[:, None, :]], w_z)

    def _latent(self, t_x, t_z) -> np.ndarray:
        """`latents` at points; positive quantities over many decades are interpolated in their
        logarithm."""
        if self.log_snr is None:
            return self._read(self.latents, t_x, t_z)
        return np.exp(self._read(np.log(self.latents), t_x, t_z))

    def _price(self, t, s=None) -> np.ndarray:
        """What an error |z_0 - z_hat|^2 / 2 of 1 costs: per unit time at t [n], or (with s [n]) in
        a step t -> s."""
        if self.log_snr is None:
            return np.ones_like(t) if s is None else t - s
        channel, t = GaussianChannel(*self.log_snr), torch.from_numpy(np.asarray(t))
        one, zero = torch.full((len(t), 1, 1), math.sqrt(2), dtype=torch.float64), torch.zeros(len(t), 1, 1)
        if s is None:
            return channel.rate(one, None, zero, t).numpy()
        return channel.step_cost(one, None, zero, t, torch.from_numpy(np.asarray(s))).numpy()

    @schemas.checked(t_x=schemas.times, t_z=schemas.times)
    def rho(self, t_x, t_z) -> tuple[np.ndarray, np.ndarray]:
        """(rho_x, rho_z) at times t_x, t_z in [0, 1], scalars or [n]: nats per unit of their own
        time, [n]."""
        if np.ndim(t_x) > 1 or np.ndim(t_z) > 1 or len({np.size(t) for t in (t_x, t_z)} - {1}) > 1:
            sizes = f"{np.shape(t_x)} and {np.shape(t_z)}"
            raise ValueError(f"t_x and t_z must be numbers or rows of equally many, got {sizes}")
        t_x, t_z = np.broadcast_arrays(np.atleast_1d(t_x).astype(float), np.atleast_1d(t_z).astype(float))
        return self._read(self.tokens, t_x, t_z), self._latent(t_x, t_z) * self._price(t_z)

    @schemas.checked(knot=schemas.is_a(Knot), t_x=schemas.times, t_z=schemas.times)
    def stale(self, knot: Knot, t_x, t_z) -> tuple[np.ndarray, np.ndarray]:
        """(rho_x, rho_z) at later times t_x, t_z [n] of a step that started at `knot`: its
        prediction is still in use. The area under it over the step is the step's cost (M4, M7)."""
        if np.ndim(t_x) != 1 or np.shape(t_x) != np.shape(t_z):
            raise ValueError(f"t_x and t_z must be rows of equally many, got {np.shape(t_x)} and {np.shape(t_z)}")
        at = np.full(len(t_x), knot.t_x), np.full(len(t_z), knot.t_z)
        return self._read(self.tokens, *at), self._latent(*at) * self._price(np.asarray(t_z, dtype=float))

    # -- along a path ------------------------------------------------------------------------------------------
    @schemas.checked(knots=schemas.knots)
    def lines(self, knots: list[Knot]) -> np.ndarray:
        """(M9) on each straight piece between k knots, walked towards clean: (tokens, latents),
        nats, [k - 1, 2]."""
        pieces = [_quadrature(a, b) for a, b in zip(knots, knots[1:], strict=False)]
        t_x, t_z, dx, dz = np.concatenate(pieces, 1)
        rho_x, rho_z = self.rho(t_x, t_z)
        starts = np.cumsum([0] + [p.shape[1] for p in pieces[:-1]])
        return np.stack([np.add.reduceat(rho_x * dx, starts), np.add.reduceat(rho_z * dz, starts)], 1)

    @schemas.checked(path=schemas.path)
    def steps(self, path: Path | Curve, token_steps: int, latent_steps: int) -> dict[str, np.ndarray]:
        """Step by step what a sampler's walk over the knots of `path` costs, nats [nfe]: `tokens`
        (M4), `latents` (M7); and `line_tokens`, `line_latents`: the same piece of the walk in
        infinitely many steps (M9). Step minus line is the total correlation that the step ignores
        (M12)."""
        knots = path.knots(integer("token_steps", token_steps, 1), integer("latent_steps", latent_steps, 1))
        t_x, t_z = np.array([(k.t_x, k.t_z) for k in knots]).T
        lines = self.lines(knots)
        return {
            "tokens": self._read(self.tokens, t_x[:-1], t_z[:-1]) * (t_x[:-1] - t_x[1:]),
            "latents": self._latent(t_x[:-1], t_z[:-1]) * self._price(t_z[:-1], t_z[1:]),
            "line_tokens": lines[:, 0],
            "line_latents": lines[:, 1],
        }

    @schemas.checked("token_steps", path=schemas.path, latent_steps=schemas.maybe(schemas.whole(1, limit="steps")))
    def bound(self, path: Path | Curve, token_steps: int | None = None, latent_steps: int | None = None) -> PathCost:
        """The bound along `path`: the line integral (M9), or with steps the sum of the step costs
        (M4, M7) of its knots. By (M11) the former is the same for every path, up to `bound_se`.
        ValueError for one number of steps alone."""
        if (token_steps is None) != (latent_steps is None):
            raise ValueError(f"token_steps={token_steps!r}, latent_steps={latent_steps!r}: give both or neither")
        if token_steps is None or latent_steps is None:
            tokens, latents = self.lines(path.corners()).sum(0).tolist()
            return PathCost(tokens, latents, self.prior)
        sums = {k: float(v.sum()) for k, v in self.steps(path, token_steps, latent_steps).items()}
        tokens, latents = sums["tokens"], sums["latents"]
        lost = tokens - sums["line_tokens"], latents - sums["line_latents"]
        return PathCost(tokens, latents, self.prior, path.nfe(token_steps, latent_steps), *lost)

    # -- files -------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict:
        """Plain values for JSON: five digits of the token rates, four of the latents, one of
        standard errors."""
        pairs = dict(entropy=self.entropy, encoder=self.encoder)
        return {
            "title": self.title,
            "data": self.data,
            "log_snr": self.log_snr and list(self.log_snr),
            **{k: v and [_digits(v.value, 6), _digits(v.stderr, 2)] for k, v in pairs.items()},
            **{k: _digits(getattr(self, k), 3) for k in ("prior", "bound_se", "excess_se")},
            **{k: _rows(getattr(self, k), n) for k, n in dict(tokens=5, latents=4, tokens_se=1, latents_se=1).items()},
        }

    @classmethod
    def from_dict(cls, d: dict) -> RateGrid:
        """The inverse of `to_dict`. ValueError when something is missing, or is none of it."""
        try:
            kept = _FORM("", d)
        except ValueError as e:
            raise ValueError(f"d is no rate grid: {e}") from None
        pairs = {k: kept[k] and Estimate(*kept[k]) for k in ("entropy", "encoder") if k in kept}
        return cls(**{**kept, **pairs, "log_snr": kept.get("log_snr") and tuple(kept["log_snr"])})


_FORM = schemas.record(
    {"title": schemas.text(most=1000), "tokens": _TABLE, "latents": _TABLE},
    {"tokens_se": schemas.maybe(_TABLE), "latents_se": schemas.maybe(_TABLE),
     "log_snr": schemas.maybe(schemas.pair(_NUMBER, _NUMBER)), "prior": _NUMBER, "bound_se": _NUMBER,
     "excess_se": _NUMBER, "entropy": schemas.maybe(schemas.pair(_NUMBER, _NUMBER)),
     "encoder": schemas.maybe(schemas.pair(_NUMBER, _NUMBER)), "data": schemas.mapping(schemas.anything)})  # fmt: skip


def _place(t, bend: int):
    """Where a time lies among the nodes, in [0, 1]: the inverse of `nodes`."""
    return 1 - (1 - t) ** (1 / bend)


def _cubic(t: np.ndarray, n: int, bend: int) -> tuple[np.ndarray, np.ndarray]:
    """The four of n nodes nearest to times t [m], and Lagrange's weights of them: both [m, 4]."""
    p = _place(t, bend) * (n - 1)
    first = np.clip(np.floor(p).astype(int) - 1, 0, n - 4)
    f = p - first
    a, b, c = f - 1, f - 2, f - 3
    return first[:, None] + np.arange(4), np.stack([-a * b * c / 6, f * b * c / 2, -f * a * c / 2, f * a * b / 6], 1)


def _quadrature(a: Knot, b: Knot) -> np.ndarray:
    """Gauss-Legendre on the straight piece from a to b: times t_x, t_z and weights dx, dz,
    [4, points]."""
    moves = a.t_x > b.t_x
    p, q = (_place(a.t_x, BEND_X), _place(b.t_x, BEND_X)) if moves else (a.t_z, b.t_z)
    count = max(1, math.ceil((p - q) / _PANEL - 1e-9))
    u, weight = _RULES[2 if (p - q) / count < _PANEL / 2 else 4]
    half = (p - q) / count / 2
    at = (q + half * (2 * np.arange(count)[:, None] + 1 + u)).ravel()
    w = np.tile(half * weight, count)
    if not moves:
        return np.stack([np.full_like(at, a.t_x), at, 0 * w, w])
    slope = (a.t_z - b.t_z) / (a.t_x - b.t_x)
    t_x, dx = 1 - (1 - at) ** BEND_X, w * BEND_X * (1 - at) ** (BEND_X - 1)
    return np.stack([t_x, (b.t_z + slope * (t_x - b.t_x)).clip(0, 1), dx, slope * dx])


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _rows(table, digits: int):
    return None if table is None else [[_digits(v, digits) for v in row] for row in table.tolist()]

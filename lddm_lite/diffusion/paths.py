"""Paths of noise times (t_x, t_z) from clean (0, 0) to pure noise (1, 1), and the knots a sampler
walks. METHOD 4."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from .._common import schemas
from .._common.arguments import integer, number, numbers_of, shown, within

__all__ = ["Curve", "Knot", "Path", "Schedule"]


@dataclass(frozen=True)
class Knot:
    """A point of a path: token noise time `t_x` and latent noise time `t_z`."""

    t_x: float
    t_z: float


@dataclass(frozen=True)
class Path:
    """The one-parameter family of paths (M10): `lead` in [0, 1/2] says how far the latents run
    ahead of the tokens.

    t_x = clip(u/(1-lead), 0, 1), t_z = clip((u-lead)/(1-lead), 0, 1). Where both move, t_z = t_x -
    gap with gap = lead/(1-lead): 0 is joint (the diagonal), 1 is sequential (latents first, tokens
    after).

    >>> Path(0.5).knots(token_steps=1, latent_steps=2)
    [Knot(t_x=1.0, t_z=1.0), Knot(t_x=1.0, t_z=0.5), Knot(t_x=1.0, t_z=0.0), Knot(t_x=0.0, t_z=0.0)]
    """

    lead: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "lead", number("lead", self.lead, 0.0, 0.5))

    @classmethod
    def joint(cls) -> Path:
        """Tokens and latents together: lead 0."""
        return cls(0.0)

    @classmethod
    def sequential(cls) -> Path:
        """Latents first, then tokens: lead 1/2."""
        return cls(0.5)

    @property
    def gap(self) -> float:
        """t_x - t_z where both channels move."""
        return self.lead / (1 - self.lead)

    @property
    def shared(self) -> bool:
        """Does every step move both channels, when both have the same number of steps?"""
        return self.lead == 0

    def corners(self) -> list[Knot]:
        """The ends of the straight pieces of this path, from pure noise to clean.

        >>> Path.sequential().corners()[1:3]
        [Knot(t_x=1, t_z=0.0), Knot(t_x=1.0, t_z=0)]
        """
        return [Knot(1, 1), Knot(1, 1 - self.gap), Knot(self.gap, 0), Knot(0, 0)]

    @schemas.checked(u=schemas.unit)
    def at(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(M10): times (t_x, t_z) at path parameters u in [0, 1].

        >>> Path(0.25).at(torch.tensor([0.5]))
        (tensor([0.6667]), tensor([0.3333]))
        """
        scale = 1 - self.lead
        return (u / scale).clamp(0, 1), ((u - self.lead) / scale).clamp(0, 1)

    @schemas.checked(t_x=schemas.unit)
    def latent_time(self, t_x: torch.Tensor) -> torch.Tensor:
        """t_z where the path has this t_x."""
        return (t_x - self.gap).clamp_min(0)

    @schemas.checked(t_z=schemas.unit)
    def token_time(self, t_z: torch.Tensor) -> torch.Tensor:
        """t_x where the path has this t_z > 0.

        >>> Path.sequential().token_time(torch.tensor([0.1]))
        tensor([1.])
        """
        return (t_z + self.gap).clamp_max(1)

    def knots(self, token_steps: int, latent_steps: int = 0) -> list[Knot]:
        """The points a sampler visits, from pure noise to clean, for the given numbers of steps.

        Each channel moves at its own evenly spaced knots and rests in between; a token move waits
        for the latent moves before it. One segment = one network call, so the NFE is `nfe(...)` =
        len(knots) - 1. With latent_steps=0 there is no latent channel and t_z is 0 throughout.
        Raises ValueError for steps below 1 (0 for latents).

        >>> len(Path(0.0).knots(4, 4)), len(Path(0.5).knots(4, 4)), len(Path().knots(4))
        (5, 9, 5)
        """
        token_steps = within("steps", integer("token_steps", token_steps, minimum=1), "token_steps")
        latent_steps = within("steps", integer("latent_steps", latent_steps, minimum=0), "latent_steps")
        if latent_steps == 0:
            return [Knot(1 - k / token_steps, 0.0) for k in range(token_steps + 1)]
        scale = 1 - self.lead
        # parameter u at which a channel arrives at its k-th knot, and the time it then has
        token_at = [(scale * (1 - k / token_steps), 1 - k / token_steps) for k in range(1, token_steps + 1)]
        latent_at = [
            (self.lead + scale * (1 - k / latent_steps), 1 - k / latent_steps) for k in range(1, latent_steps + 1)
        ]
        events: dict[float, dict] = {}
        for name, moves in (("t_x", token_at), ("t_z", latent_at)):
            for u, t in moves:
                events.setdefault(round(u, 9), {})[name] = t
        knots = [Knot(1.0, 1.0)]
        for u in sorted(events, reverse=True):
            knots.append(Knot(events[u].get("t_x", knots[-1].t_x), events[u].get("t_z", knots[-1].t_z)))
        return knots

    def nfe(self, token_steps: int, latent_steps: int = 0) -> int:
        """Network calls of a sampler with these steps.

        >>> Path.sequential().nfe(2, 16)
        18
        """
        return len(self.knots(token_steps, latent_steps)) - 1


class Curve:
    """A parametric path: `at` takes parameters u [n] (float64) in [0, 1] to times
    (t_x [n], t_z [n]), neither of which may fall, from (0, 0) at u=0 to (1, 1) at u=1. It serves
    wherever a `Path` is taken by `sample`, `nelbo`, `RateGrid`.

    The curve is kept as `pieces` straight ones, so that everything about it is exact. A sampler's
    knots are evenly spaced in u, and each step moves both channels: how fast u runs along the curve
    decides where the steps are short. ValueError for a curve that falls or ends elsewhere.

    >>> bent = Curve(lambda u: (u, u**2))
    >>> bent.knots(2, 2)
    [Knot(t_x=1.0, t_z=1.0), Knot(t_x=0.5, t_z=0.25), Knot(t_x=0.0, t_z=0.0)]
    """

    shared = True

    def __init__(self, at, pieces: int = 256):
        self.pieces = pieces = within("steps", integer("pieces", pieces, minimum=1), "pieces")
        if not callable(at):
            raise ValueError(f"at must be a function of path parameters, got {shown(at)}")
        u = torch.linspace(0, 1, pieces + 1, dtype=torch.float64)
        try:
            t_x, t_z = (torch.as_tensor(t).double().expand(pieces + 1) for t in at(u))
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as e:
            raise ValueError(f"at must take times u [n] to (t_x [n], t_z [n]); it failed: {e}") from e
        self.times = torch.stack([t_x, t_z])  # [2, pieces + 1]
        ends = self.times[:, [0, -1]]
        if not torch.allclose(ends, torch.tensor([[0.0, 1.0]]).double().expand(2, -1), atol=1e-6):
            raise ValueError(f"at must lead from (0, 0) to (1, 1), got {ends[:, 0].tolist()} to {ends[:, 1].tolist()}")
        if not bool((self.times.diff() >= -1e-9).all()):  # nan compares False, too
            raise ValueError("at must not fall: both times grow with u, or rest")
        self.times = self.times.cummax(1).values.clamp(0, 1)
        self.times[:, 0], self.times[:, -1] = 0, 1

    @property
    def lead(self) -> float:
        """That of the `Path` which encloses as much with the axis t_z = 0; 0 for one that runs
        above the diagonal."""
        z, dx = self.times[1], self.times[0].diff()
        return _lead(float(((z[1:] + z[:-1]) / 2 * dx).sum()))

    @schemas.checked(u=schemas.unit)
    def at(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Times (t_x, t_z) at path parameters u in [0, 1]."""
        place = (u.double() * self.pieces).clamp(0, self.pieces)
        i = place.long().clamp_max(self.pieces - 1)
        times = self.times.to(u.device)
        t = torch.lerp(times[:, i], times[:, i + 1], place - i)
        return t[0].to(u), t[1].to(u)

    @schemas.checked(t_x=schemas.unit)
    def latent_time(self, t_x: torch.Tensor) -> torch.Tensor:
        """t_z where the curve has this t_x; of a stretch on which t_x rests, the end nearer to 0.

        >>> Curve(lambda u: (u, u**2)).latent_time(torch.tensor([0.5]))
        tensor([0.2500])
        """
        return _interpolated(t_x, *self.times)

    @schemas.checked(t_z=schemas.unit)
    def token_time(self, t_z: torch.Tensor) -> torch.Tensor:
        """t_x where the curve has this t_z; of a stretch on which t_z rests, the end nearer to 0."""
        return _interpolated(t_z, *self.times.flip(0))

    def corners(self) -> list[Knot]:
        """The ends of the straight pieces, from pure noise to clean."""
        return [Knot(*t) for t in self.times.flip(1).T.tolist()]

    def knots(self, token_steps: int, latent_steps: int = 0) -> list[Knot]:
        """As `Path.knots`, evenly spaced in u. ValueError unless `latent_steps` is `token_steps`,
        or 0 for a model without latents: then t_z is 0 throughout, and the curve is a schedule of
        the tokens. Steps in which nothing moves are left out."""
        integer("token_steps", token_steps, minimum=1)
        if integer("latent_steps", latent_steps, minimum=0) not in (0, token_steps):
            raise ValueError(
                f"latent_steps must be token_steps={token_steps} on a Curve, each step of which moves both channels; "
                f"got {latent_steps}"
            )
        x, z = self.at(torch.linspace(1, 0, token_steps + 1, dtype=torch.float64))
        knots = [Knot(a, b if latent_steps else 0.0) for a, b in zip(x.tolist(), z.tolist(), strict=True)]
        return knots[:1] + [b for a, b in zip(knots, knots[1:], strict=False) if a != b]

    def nfe(self, token_steps: int, latent_steps: int = 0) -> int:
        """Network calls of a sampler with these steps."""
        return len(self.knots(token_steps, latent_steps)) - 1


_STEPS = schemas.maybe(schemas.whole(0))


class Schedule:
    """A step schedule: a path given by the very knots that a sampler walks, from pure noise to
    clean; steps need not be even. It serves wherever a `Path` is taken by `sample`, and by `nelbo`
    in finite steps.

    `knots`: `Knot`s or pairs (t_x, t_z). They begin at t_x = 1 with t_z = 1, or 0 without latents,
    end at (0, 0), and never rise; each step moves a channel. ValueError else.

    >>> Schedule([(1, 1), (1, 0), (0.9, 0), (0, 0)]).nfe()
    3
    >>> Schedule.of_counts([0, 2], length=8).knots()
    [Knot(t_x=1.0, t_z=0.0), Knot(t_x=0.75, t_z=0.0), Knot(t_x=0.0, t_z=0.0)]
    """

    def __init__(self, knots: Iterable[Knot | tuple[float, float]]):
        try:
            listed = knots.tolist() if hasattr(knots, "tolist") else knots
            given = [(k.t_x, k.t_z) if isinstance(k, Knot) else tuple(k) for k in listed]
            pairs = [(t_x, t_z) for t_x, t_z in given]
        except (TypeError, ValueError):
            raise ValueError(f"knots must be Knots or pairs (t_x, t_z), got {shown(knots)}") from None
        within("steps", len(pairs), "knots: their number")
        self._knots = [Knot(number("t_x", x, 0.0, 1.0), number("t_z", z, 0.0, 1.0)) for x, z in pairs]
        if len(self._knots) < 2 or self._knots[0].t_x != 1 or self._knots[0].t_z not in (0, 1):
            raise ValueError(f"knots must begin at (1, 1), or (1, 0) without latents; got {self._knots[:2]}")
        if self._knots[-1] != Knot(0.0, 0.0):
            raise ValueError(f"knots must end at (0, 0), got {self._knots[-1]}")
        for a, b in zip(self._knots, self._knots[1:], strict=False):
            if b.t_x > a.t_x or b.t_z > a.t_z or a == b:
                raise ValueError(f"knots must fall, one channel at least in each step; got {a} and then {b}")

    @classmethod
    def of_counts(cls, counts: Iterable[int], length: int, latent_times: Iterable[float] = ()) -> Schedule:
        """Latents first, at `latent_times` (1, ..., those before each of their steps; none without
        latents); then token steps that begin with `counts` (0, ...) of `length` tokens visible.
        With `order="even"` a sampler reveals just so many."""
        length = integer("length", length, 1)
        counts, times = _listed("counts", counts), _listed("latent_times", latent_times)
        shares = [1 - integer("counts", k, 0, length - 1) / length for k in counts]
        start = times[:1] or [0.0]
        knots = [(1.0, t) for t in times] + [(x, 0.0) for x in shares]
        if not shares or shares[0] != 1 or start[0] not in (0.0, 1.0):
            raise ValueError(f"counts must begin with 0, and latent_times with 1; got {shares[:1]} and {times[:1]}")
        return cls([*knots, (0.0, 0.0)])

    @property
    def shared(self) -> bool:
        """Does every step move both channels?"""
        return all(b.t_x < a.t_x and b.t_z < a.t_z for a, b in zip(self._knots, self._knots[1:], strict=False))

    @property
    def lead(self) -> float:
        """That of the `Path` which encloses as much with the axis t_z = 0, as of a `Curve`."""
        pairs = zip(self._knots, self._knots[1:], strict=False)
        return _lead(sum((a.t_x - b.t_x) * (a.t_z + b.t_z) / 2 for a, b in pairs))

    def corners(self) -> list[Knot]:
        """The ends of the straight pieces: the knots."""
        return list(self._knots)

    @schemas.checked(token_steps=_STEPS, latent_steps=_STEPS)
    def knots(self, token_steps: int | None = None, latent_steps: int | None = None) -> list[Knot]:
        """The knots. ValueError for numbers of steps that are not this schedule's."""
        pairs = list(zip(self._knots, self._knots[1:], strict=False))
        own = sum(b.t_x < a.t_x for a, b in pairs), sum(b.t_z < a.t_z for a, b in pairs)
        for name, asked, there in zip(("token_steps", "latent_steps"), (token_steps, latent_steps), own, strict=True):
            if asked is not None and asked != there:
                raise ValueError(f"{name} must be left out, or {there}, which the Schedule has; got {shown(asked)}")
        return list(self._knots)

    def nfe(self, token_steps: int | None = None, latent_steps: int | None = None) -> int:
        """Network calls of a sampler."""
        return len(self.knots(token_steps, latent_steps)) - 1


def _listed(name: str, values) -> list:
    """The numbers of a row of them. ValueError for anything else."""
    x = numbers_of(name, list(values) if isinstance(values, range | tuple) else values)
    if x.ndim != 1 or x.dtype.kind == "b":
        raise ValueError(f"{name} must be a row of numbers, got {shown(values)}")
    return x.tolist()


def _interpolated(t: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """y at the first place where x, which never falls, reaches t."""
    xs, ys, at = xs.to(t.device), ys.to(t.device), t.double()
    i = torch.searchsorted(xs, at).clamp(1, len(xs) - 1)
    share = ((at - xs[i - 1]) / (xs[i] - xs[i - 1]).clamp_min(1e-300)).clamp(0, 1)
    return torch.lerp(ys[i - 1], ys[i], share).to(t)


def _lead(area: float) -> float:
    """The lead of the `Path` with this area under t_z as a function of t_x: (1 - gap)^2 / 2."""
    gap = max(0.0, 1 - (2 * area) ** 0.5)
    return gap / (1 + gap)

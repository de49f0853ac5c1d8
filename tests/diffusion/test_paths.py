"""(M10), the knots a sampler walks, and how they are counted; paths of one's own."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lddm_lite.diffusion.paths import Curve, Knot, Path, Schedule

leads = st.floats(0, 0.5, allow_nan=False)
counts = st.integers(1, 40)


def moves(knots, name):
    """The times of one channel, from 1 to 0, without its rests."""
    at = [getattr(k, name) for k in knots]
    return [at[0]] + [b for a, b in itertools.pairwise(at) if b != a]


@given(leads, st.floats(0, 1, allow_nan=False))
def test_m10_times_are_the_clipped_lines(lead, u):
    t_x, t_z = Path(lead).at(torch.tensor([u], dtype=torch.float64))
    assert float(t_x) == pytest.approx(min(u / (1 - lead), 1), abs=1e-12)
    assert float(t_z) == pytest.approx(max((u - lead) / (1 - lead), 0), abs=1e-12)


@given(leads)
def test_m10_every_path_is_monotone_from_clean_to_noise_with_latents_ahead(lead):
    t_x, t_z = Path(lead).at(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (t_x.diff() >= 0).all() and (t_z.diff() >= 0).all() and (t_z <= t_x + 1e-12).all()
    ends = [float(v) for t in (t_x, t_z) for v in (t[0], t[-1])]
    assert ends == pytest.approx([0, 1, 0, 1], abs=1e-12)
    both = (t_x < 1 - 1e-9) & (t_z > 1e-9)
    gap = (t_x - t_z)[both]
    assert torch.allclose(gap, torch.full_like(gap, Path(lead).gap), atol=1e-9)


def test_the_named_paths():
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert torch.equal(*Path.joint().at(u))
    t_x, t_z = Path.sequential().at(u)
    assert torch.allclose(t_x, (2 * u).clamp(max=1)) and torch.allclose(t_z, (2 * u - 1).clamp(min=0))
    assert (Path.joint().gap, Path.sequential().gap, Path().lead) == (0, 1, 0.5)


@given(leads, counts, counts)
def test_knots_go_from_noise_to_clean_and_each_channel_moves_its_number_of_times(lead, token_steps, latent_steps):
    knots = Path(lead).knots(token_steps, latent_steps)
    assert knots[0] == Knot(1.0, 1.0) and knots[-1] == Knot(0.0, 0.0)
    for a, b in itertools.pairwise(knots):
        assert b.t_x <= a.t_x and b.t_z <= a.t_z and a != b
    for name, steps in (("t_x", token_steps), ("t_z", latent_steps)):
        assert moves(knots, name) == pytest.approx([1 - k / steps for k in range(steps + 1)])
    nfe = Path(lead).nfe(token_steps, latent_steps)
    assert nfe == len(knots) - 1 and max(token_steps, latent_steps) <= nfe <= token_steps + latent_steps


@given(leads, counts, counts)
def test_a_token_move_waits_for_the_latent_moves_before_it(lead, token_steps, latent_steps):
    """Tokens that arrive at t_x were on the path at u = (1-lead) t_x; the latents must have come as
    far as there."""
    path = Path(lead)
    for a, b in itertools.pairwise(path.knots(token_steps, latent_steps)):
        if b.t_x < a.t_x:
            u = (1 - lead) * b.t_x
            # (M10)'s t_z there; knots of the latents lie 1/latent_steps apart
            due = max(0.0, (u - lead) / (1 - lead))
            assert b.t_z == pytest.approx(math.ceil(due * latent_steps - 1e-6) / latent_steps, abs=1e-6)


@given(counts)
def test_joint_steps_move_both_channels_at_once(steps):
    knots = Path.joint().knots(steps, steps)
    assert len(knots) == steps + 1 and all(k.t_x == k.t_z for k in knots)


@given(counts, counts)
def test_sequential_resolves_the_latents_before_the_first_token(token_steps, latent_steps):
    knots = Path.sequential().knots(token_steps, latent_steps)
    assert len(knots) == token_steps + latent_steps + 1
    assert [k.t_x for k in knots[: latent_steps + 1]] == [1.0] * (latent_steps + 1)
    assert [k.t_z for k in knots[latent_steps:]] == [0.0] * (token_steps + 1)


@given(leads, counts)
def test_without_latents_only_tokens_move(lead, steps):
    knots = Path(lead).knots(steps)
    assert [k.t_x for k in knots] == pytest.approx([1 - k / steps for k in range(steps + 1)])
    assert {k.t_z for k in knots} == {0.0} and Path(lead).nfe(steps) == steps


@pytest.mark.parametrize("lead", [0.5 + 1e-9, 1, -0.1, math.nan, math.inf, True, "0.3", None])
def test_a_lead_outside_0_to_half_is_an_error(lead):
    with pytest.raises(ValueError, match="lead must be a number in"):
        Path(lead)


@pytest.mark.parametrize("steps", [0, -1, 1.5, 2.0, True, None, "4"])
def test_token_steps_must_be_a_whole_number_from_1(steps):
    with pytest.raises(ValueError, match="token_steps must be an integer >= 1"):
        Path().knots(steps, 4)


@pytest.mark.parametrize("steps", [-1, 1.5, 2.0, False, None])
def test_latent_steps_must_be_a_whole_number_from_0(steps):
    with pytest.raises(ValueError, match="latent_steps must be an integer >= 0"):
        Path().nfe(4, steps)


# --- curves ---------------------------------------------------------------------------------------

def test_a_straight_curve_is_the_joint_path():
    curve = Curve(lambda u: (u, u))
    assert curve.knots(4, 4) == Path.joint().knots(4, 4) and curve.knots(4) == Path.joint().knots(4)
    assert curve.lead == pytest.approx(0, abs=1e-9) and curve.nfe(3, 3) == 3
    u = torch.linspace(0, 1, 7, dtype=torch.float64)
    assert torch.allclose(torch.stack(curve.at(u)), torch.stack([u, u]))
    assert torch.allclose(curve.latent_time(u), u) and torch.allclose(curve.token_time(u), u)


@pytest.mark.parametrize("lead", [0.0, 0.2, 0.5])
def test_a_path_written_as_a_curve_has_its_lead(lead):
    assert Curve(Path(lead).at, pieces=1000).lead == pytest.approx(lead, abs=2e-3)


@pytest.mark.parametrize("lead", [0.0, 0.2, 0.5])
def test_each_time_is_found_from_the_other(lead):
    """On a Path by its formula, on the same path as a Curve by interpolation, and as `at` has it."""
    path, curve = Path(lead), Curve(Path(lead).at, pieces=1000)
    t_x, t_z = path.at(torch.linspace(0.01, 0.99, 57, dtype=torch.float64))
    for line in (path, curve):
        moving = (t_x < 1) & (t_x > 0)
        assert torch.allclose(line.latent_time(t_x[moving]), t_z[moving], atol=2e-3)
        moving = (t_z < 1) & (t_z > 0)
        assert torch.allclose(line.token_time(t_z[moving]), t_x[moving], atol=2e-3)


def test_a_sequential_curve_moves_one_channel_at_a_time():
    knots = Curve(Path.sequential().at).knots(4, 4)
    assert knots == [Knot(1, 1), Knot(1, 0.5), Knot(1, 0), Knot(0.5, 0), Knot(0, 0)]


BAD_CURVES = [
    (lambda u: (u, 1 - u), "at must lead from"),
    (lambda u: (u, u + torch.sin(6.28318530718 * u) / 2), "at must not fall"),
    (lambda u: (u, torch.where((u > 0) & (u < 1), torch.nan, u)), "at must not fall"),
]


@pytest.mark.parametrize(("shape", "message"), BAD_CURVES)
def test_a_curve_that_is_no_path_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        Curve(shape)


def test_step_counts_that_do_not_fit_a_curve_are_named():
    with pytest.raises(ValueError, match="latent_steps must be token_steps=4 on a Curve"):
        Curve(lambda u: (u, u)).knots(4, 2)


# --- schedules ------------------------------------------------------------------------------------

def test_a_schedule_is_walked_knot_by_knot():
    schedule = Schedule([(1, 1), (1, 0.2), Knot(1, 0), (0.9, 0), (0, 0)])
    assert schedule.nfe() == 4 and not schedule.shared and schedule.lead == pytest.approx(0.5)
    assert schedule.knots(2, 2) == schedule.knots() == schedule.corners()
    assert Schedule([(1, 1), (0.5, 0.5), (0, 0)]).shared and Schedule([(1, 1), (0, 0)]).lead == 0


@pytest.mark.parametrize(
    ("knots", "message"),
    [
        ([(1, 0)], "must begin"),
        ([(0.9, 0), (0, 0)], "must begin"),
        ([(1, 0.5), (0, 0)], "must begin"),
        ([(1, 1), (0, 0.1)], "must end at"),
        ([(1, 1), (0.5, 1), (0.6, 0), (0, 0)], "must fall"),
        ([(1, 1), (1, 1), (0, 0)], "must fall"),
        ([(1, 1), (0.5, 2), (0, 0)], "t_z must be a number"),
        ([(1, 1), (float("nan"), 0), (0, 0)], "t_x must be a number"),
    ],
)
def test_a_schedule_that_is_none_is_named(knots, message):
    with pytest.raises(ValueError, match=message):
        Schedule(knots)


@pytest.mark.parametrize("bad", [dict(counts=[]), dict(counts=[1]), dict(counts=[0, 8]), dict(counts=[0, 3, 3])])
def test_counts_that_do_not_fit_are_named(bad):
    with pytest.raises(ValueError, match="counts|knots"):
        Schedule.of_counts(length=8, **bad)
    with pytest.raises(ValueError, match="latent_times"):
        Schedule.of_counts([0], 8, latent_times=[0.5])


@pytest.mark.parametrize("numbers", [dict(token_steps=3), dict(latent_steps=1)])
def test_other_numbers_of_steps_than_the_schedule_has_are_refused(numbers):
    with pytest.raises(ValueError, match="must be left out, or"):
        Schedule([(1, 1), (1, 0.5), (1, 0), (0, 0)]).knots(**numbers)

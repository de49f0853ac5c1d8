"""(M1)-(M4): categorical draws and the masked channel against closed forms, and by Monte Carlo with fixed seeds."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import near

from lddm_lite import channels
from lddm_lite.channels import GaussianChannel, MaskedChannel, draw_categorical

F64 = torch.float64


# --- categorical draws ------------------------------------------------------------------------------------

def test_draws_follow_their_probabilities_and_never_take_what_has_none(gen, agree):
    p = torch.tensor([0.0, 0.5, 1e-4, 0.0, 0.3, 0.1999, 0.0], dtype=F64)
    drawn = draw_categorical(p.log().expand(200_000, -1), gen(1))
    agree(torch.bincount(drawn, minlength=7), p)


def test_draws_take_log_probabilities_up_to_a_constant_row_by_row(gen, agree):
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=F64)
    constant = torch.tensor([[3.0], [-700.0]], dtype=F64)
    drawn = draw_categorical((p.log() + constant).repeat(50_000, 1), gen(2))
    for row in (0, 1):
        agree(torch.bincount(drawn[row::2], minlength=2), p[row])


def test_draws_are_made_in_float64(monkeypatch, gen):
    """float32 has no number between 1 - 6e-8 and 1, and its uniform draws are 0 once in 16 million: tails get lost."""
    u = torch.tensor([[0.5e-12], [1.5e-12], [1 - 2.5e-12], [1 - 1.5e-12]], dtype=F64)
    monkeypatch.setattr(channels, "rand", lambda shape, g, like=None, dtype=torch.float32: u.to(dtype))
    log_probs = torch.tensor([1e-12, 1 - 3e-12, 2e-12], dtype=F64).log().float().expand(4, -1)  # as a network gives
    assert draw_categorical(log_probs, gen()).tolist() == [0, 1, 1, 2]


def test_the_ends_of_the_unit_interval_give_possible_tokens(monkeypatch, gen):
    u = torch.tensor([[0.0], [1 - 2.0**-53]], dtype=F64)
    monkeypatch.setattr(channels, "rand", lambda shape, g, like=None, dtype=torch.float32: u.to(dtype))
    p = torch.tensor([0.0, 0.1, 0.7, 0.1, 0.1, 0.0], dtype=F64)
    assert draw_categorical(p.log().expand(2, -1), gen()).tolist() == [1, 4]


def test_chunks_of_a_large_draw_change_nothing(monkeypatch, gen):
    log_probs = torch.randn(100, 7, generator=gen(3))
    whole = draw_categorical(log_probs, gen(4))
    monkeypatch.setattr(channels, "_DRAW_ENTRIES", 16)  # two rows a chunk
    assert torch.equal(whole, draw_categorical(log_probs, gen(4)))
    assert draw_categorical(torch.empty(0, 7), gen()).shape == (0,)


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_a_row_without_probabilities_is_an_error_not_a_zero(bad, gen):
    with pytest.raises(ValueError, match="log_probs.*nan|log_probs.*inf"):
        draw_categorical(torch.tensor([[0.0, 0.0], [bad, bad]]), gen())


# --- the masked channel -----------------------------------------------------------------------------------

def test_m1_positions_are_masked_independently_with_probability_t(gen, agree, histogram):
    ch, n = MaskedChannel(3), 30_000
    for seed, t in enumerate((0.1, 0.5, 0.9)):
        x0 = torch.tensor([0, 2, 1, 1]).expand(n, -1)
        x_t = ch.corrupt(x0, torch.full((n,), t), gen(seed))
        masked = x_t == ch.mask_id
        assert torch.equal(x_t[~masked], x0[~masked])
        patterns = torch.tensor(list(itertools.product((0, 1), repeat=4)))
        agree(histogram(masked.long(), 2), torch.where(patterns == 1, t, 1 - t).double().prod(1))


def test_m1_each_row_has_its_own_time_and_keep_stays(gen):
    ch = MaskedChannel(2)
    x0, t = torch.ones(3, 5_000, dtype=torch.long), torch.tensor([0.0, 0.3, 1.0])
    keep = torch.zeros_like(x0, dtype=torch.bool)
    keep[:, :1000] = True
    masked = ch.corrupt(x0, t, gen(5), keep) == ch.mask_id
    assert not masked[:, :1000].any() and not masked[0].any() and masked[2, 1000:].all()
    near(masked[1, 1000:].double().mean(), math.sqrt(0.21), 4000, 0.3)
    assert (ch.prior((2, 3), gen()) == ch.mask_id).all()


@pytest.mark.parametrize(("t", "s"), [(0.8, 0.5), (1.0, 0.25), (0.4, 0.0)])
def test_m2_a_step_back_lands_on_the_forward_marginal(t, s, random_task, gen, agree, histogram):
    """Independent tokens, so that one factorised step is exact: all (V+1)^L states of x_s have known probabilities."""
    task, ch, n = random_task(length=3, vocab=2, components=1), MaskedChannel(2), 40_000
    g = gen(6)
    x_t = ch.corrupt(task.sample(n, g), torch.full((n,), t), g)
    where = ch.to_reveal(x_t, t, s, g)
    x_s = ch.reverse_step(x_t, task.predict(x_t)[where].log(), where, g)
    seen = x_t != ch.mask_id
    assert torch.equal(x_s[seen], x_t[seen])
    per_position = torch.cat([(1 - s) * task.probs[0], torch.full((3, 1), s, dtype=F64)], 1)  # [L, V+1]
    agree(histogram(x_s, 3), torch.einsum("a,b,c->abc", *per_position).flatten())


def test_m2_with_dependent_tokens_every_position_still_has_its_marginal(tiny, gen, agree):
    ch, n, t, s = MaskedChannel(2), 40_000, 0.7, 0.2
    g = gen(7)
    x_t = ch.corrupt(tiny.sample(n, g), torch.full((n,), t), g)
    where = ch.to_reveal(x_t, t, s, g)
    x_s = ch.reverse_step(x_t, tiny.predict(x_t)[where].log(), where, g)
    p = torch.einsum("g,glv->lv", tiny.log_prior.exp(), tiny.probs)
    for i in range(4):
        agree(torch.bincount(x_s[:, i], minlength=3), torch.cat([(1 - s) * p[i], torch.tensor([s])]))


def test_m3_rate_by_hand_in_both_forms():
    ch = MaskedChannel(2)
    x0, x_t = torch.tensor([[1, 0, 1], [0, 0, 1]]), torch.tensor([[2, 0, 2], [0, 0, 1]])
    p = torch.tensor([[0.25, 0.75], [0.9, 0.1]], dtype=F64)
    t = torch.tensor([0.5, 0.1])
    truth = torch.tensor([-(math.log(0.75) + math.log(0.1)) / 0.5, 0.0], dtype=F64)
    assert torch.allclose(ch.rate(x0, x_t, p.log(), t), truth)
    full = torch.full((2, 3, 2), math.nan, dtype=F64)  # visible positions must not be looked at
    full[0, 0], full[0, 2] = p[0].log(), p[1].log()
    assert torch.allclose(ch.rate(x0, x_t, full, t), truth)
    assert torch.allclose(ch.step_cost(x0, x_t, p.log(), t, torch.tensor([0.2, 0.1])), 0.3 * truth)


def expected(task, t, s=None):
    """E over x_0 and masks of the rate at t, or of the step cost of t -> s: every sequence with every mask, exactly."""
    ch, x = MaskedChannel(task.vocab), task.all_sequences()
    weight, total = task.log_prob(x).exp(), 0.0
    when = torch.full((len(x),), t, dtype=F64)
    for hidden in itertools.product((False, True), repeat=task.length):
        x_t = x.masked_fill(torch.tensor(hidden), ch.mask_id)
        k = sum(hidden)
        args = (x, x_t, task.predict(x_t).log(), when)
        cost = ch.rate(*args) if s is None else ch.step_cost(*args, torch.full_like(when, s))
        total += t**k * (1 - t) ** (task.length - k) * float(weight @ cost)
    return total


def test_m4_step_costs_are_a_riemann_sum_of_the_rate_and_converge_to_the_entropy(random_task):
    task = random_task(length=3, vocab=3, components=3)
    nodes, weights = np.polynomial.legendre.leggauss(4)  # the expected rate is a polynomial of degree 2 in t: exact
    integral = sum(w / 2 * expected(task, (u + 1) / 2) for u, w in zip(nodes, weights, strict=True))
    assert integral == pytest.approx(task.entropy().value, abs=1e-9)
    excess = []
    for steps in (1, 2, 4, 8, 16, 32):
        sum_ = sum(expected(task, (k + 1) / steps, k / steps) for k in range(steps))
        excess.append(sum_ - integral)
        assert sum_ == pytest.approx(sum(expected(task, (k + 1) / steps) / steps for k in range(steps)))
    assert all(a > b > 0 for a, b in itertools.pairwise(excess))
    assert excess[-2] / excess[-1] == pytest.approx(2, abs=0.1)  # first order in the step


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MaskedChannel(0), "vocab"),
        (lambda: MaskedChannel(2.0), "vocab"),
        (lambda: GaussianChannel(-6.0, 6.0), "log_snr_min"),
        (lambda: GaussianChannel(log_snr_max=math.nan), "log_snr_max"),
    ],
)
def test_channels_name_the_argument_that_is_wrong(make, name):
    with pytest.raises(ValueError, match=name):
        make()

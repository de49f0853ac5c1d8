"""Sampling and infilling with untrained networks: what must hold whatever the weights are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite import LatentDiffusion, Schedule, Trace
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.paths import Path
from lddm_lite.diffusion.sampler import Branch, Draws, nucleus, sample
from lddm_lite.tasks import Binsaw
from tests.support.random_models import TASK, build
from tests.support.statistics import agree

MODELS = {system: build(system, slots=3) for system in SYSTEMS}
leads = st.sampled_from([0.0, 0.2, 0.37, 0.5])


def latent_steps_of(model, k):
    return None if model.latent_channel is None else k


@pytest.fixture(params=SYSTEMS)
def model(request):
    return MODELS[request.param]


# --- sampling and infilling -----------------------------------------------------------------------

@settings(max_examples=40)
@given(st.sampled_from(list(SYSTEMS)), leads, st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_no_mask_is_left_and_calls_are_counted(system, lead, token_steps, latent_steps, seed):
    model, calls = MODELS[system], []
    forward, model.denoiser.forward = model.denoiser.forward, lambda *a: calls.append(a) or forward(*a)
    try:
        trace = model.sample(3, token_steps, latent_steps_of(model, latent_steps), Path(lead), seed)
    finally:
        del model.denoiser.forward
    assert trace.tokens.min() >= 0 and trace.tokens.max() < 3
    assert trace.nfe == Path(lead).nfe(token_steps, latent_steps_of(model, latent_steps) or 0)
    # sequences predicted for: all of them where latents move, else those of which something is
    # revealed; but one for all where neither a token nor a code is seen
    rows = told = 0
    for k, (a, b) in enumerate(zip(trace.knots, trace.knots[1:], strict=False), 1):
        asked = 3 if b[1] < a[1] else int((trace.reveal_step == k).any(1).sum())
        told += asked
        rows += min(asked, 1) if k == 1 and model.config.latent != "continuous" else asked
    assert trace.variable_calls == trace.nfe - (model.config.latent != "continuous") and trace.calls == told
    assert len(calls) <= trace.nfe and sum(len(a[0] if a[1] is None else a[1]) for a in calls) == rows
    assert trace.reveal_step.min() >= 1 and trace.reveal_step.max() <= trace.steps
    revealed_by = [k for k, (a, b) in enumerate(zip(trace.knots, trace.knots[1:], strict=False), 1) if b[0] < a[0]]
    assert set(np.unique(trace.reveal_step)) <= set(revealed_by)
    if model.latent_channel is not None:
        assert trace.latents.shape[:2] == (trace.steps + 1, 3)
        still = [np.array_equal(a, b) for a, b in zip(trace.latents, trace.latents[1:], strict=False)]
        for at_rest, a, b in zip(still, trace.knots, trace.knots[1:], strict=False):
            assert at_rest or b[1] < a[1]
        if model.config.latent == "discrete":
            assert (trace.latents[0] == 5).all() and trace.latents[-1].max() < 5


@settings(max_examples=30)
@given(
    st.sampled_from(list(SYSTEMS)),
    leads,
    st.integers(1, 6),
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=3),
)
def test_infill_keeps_what_is_given(system, lead, steps, rows):
    model, x = MODELS[system], torch.tensor(rows)
    trace = model.infill(x, n=2, token_steps=steps, latent_steps=latent_steps_of(model, 3), path=Path(lead), seed=1)
    start = x.repeat_interleave(2, 0).numpy()
    given_ = start != 3
    assert (trace.tokens[given_] == start[given_]).all() and trace.tokens.max() < 3
    assert (trace.reveal_step[given_] == 0).all() and (trace.reveal_step[~given_] > 0).all()
    assert (trace.confidence[given_] == 1).all()
    assert all((trace.tokens_at(k)[given_] == start[given_]).all() for k in (0, 1, trace.steps))
    assert (trace.tokens_at(0) == start).all()


def test_one_seed_repeats_and_another_differs(model):
    a, b, c = (model.sample(16, 3, latent_steps_of(model, 3), seed=s) for s in (5, 5, 6))
    for name in ("tokens", "reveal_step", "confidence", "latents", "alternatives", "alternative_probs"):
        assert np.array_equal(getattr(a, name), getattr(b, name)) or getattr(a, name) is getattr(b, name) is None
    assert not np.array_equal(a.tokens, c.tokens)
    x = torch.full((2, 6), 3)
    again = [model.infill(x, n=8, token_steps=2, seed=7).tokens for _ in "ab"]
    assert np.array_equal(*again) and not np.array_equal(again[0][:8], again[0][8:])


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_asking_only_for_sequences_that_change_changes_nothing(system):
    """What is revealed is drawn from the prediction for the tokens visible before, whoever else
    shares the call."""
    model = MODELS[system]
    trace = model.sample(5, 24, seed=4)
    idle = 0
    for k, (a, b) in enumerate(zip(trace.knots, trace.knots[1:], strict=False), 1):
        now = trace.reveal_step == k
        if b[0] == a[0]:
            continue
        idle += 5 - now.any(1).sum()
        z = None if trace.latents is None else torch.as_tensor(trace.latents[k - 1])
        with torch.no_grad():
            x, t_z = torch.as_tensor(trace.tokens_at(k - 1)), torch.full((5,), a[1])
            said = model.predict(x, z, t_z, torch.as_tensor(now))
        chosen = said.tokens.exp().gather(-1, torch.as_tensor(trace.tokens[now]).long().unsqueeze(-1)).squeeze(-1)
        assert np.allclose(trace.confidence[now], chosen, atol=1e-5)
    assert idle > 40  # 5 sequences of 6 tokens in 24 steps: most of them rest in most steps


def test_confidence_and_alternatives_are_the_probabilities_at_the_reveal():
    """One step, no latents: everything is drawn from the prediction for all masks, which can be
    asked directly."""
    model = MODELS["mdlm"]
    trace = model.sample(4, 1, seed=2)
    x_t = torch.full((4, 6), 3)
    p = model.predict(x_t, None, None, x_t == 3).tokens.exp().detach().reshape(4, 6, 3).numpy()
    assert np.allclose(trace.confidence, np.take_along_axis(p, trace.tokens[..., None].astype(int), -1)[..., 0])
    assert np.allclose(trace.alternative_probs, -np.sort(-p, -1), atol=1e-6)


@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_latent_only_steps_never_run_the_token_stream(system, monkeypatch):
    """Only where it is allowed: nothing is visible and only latents move. With a token given it
    must run."""
    model, seen = MODELS[system], []
    embed = model.denoiser.embed.forward
    monkeypatch.setattr(model.denoiser.embed, "forward", lambda x: seen.append(x.shape) or embed(x))
    model.sample(2, token_steps=3, latent_steps=5, path=Path(0.5), order="even")
    assert len(seen) == 3
    seen.clear()
    assert model.sample(2, token_steps=4, latent_steps=4, path=Path(0.0)).nfe == len(seen) == 4
    seen.clear()
    model.infill([[3, 3, 0, 3, 3, 3]], token_steps=3, latent_steps=5, path=Path(0.5), order="even")
    assert len(seen) == 8
    seen.clear()
    model.nelbo(TASK.sample(4), Path(0.5), token_steps=3, latent_steps=5)
    assert len(seen) == 3


def test_progress_counts_every_call_and_changes_nothing():
    model, seen = build("co-seq", slots=3).train(), []
    plain = model.sample(5, token_steps=2, latent_steps=3, seed=1, batch=2)
    told = model.sample(5, token_steps=2, latent_steps=3, seed=1, batch=2, progress=lambda *at: seen.append(at))
    assert seen == [(k, 15) for k in range(1, 16)]
    assert np.array_equal(plain.tokens, told.tokens) and np.array_equal(plain.latents, told.latents)

    def stop(done, total):
        raise KeyError(done)

    with pytest.raises(KeyError, match="1"):
        model.sample(2, token_steps=2, progress=stop)
    assert model.training


# --- temperatures and the nucleus -----------------------------------------------------------------

def test_temperature_sharpens():
    model = MODELS["mdlm"]
    p = model.predict(torch.full((1, 6), 3), None, None, torch.ones(1, 6, dtype=bool)).tokens.detach().double()
    for temperature in (0.5, 1.0, 2.0):
        drawn = model.sample(8_000, 1, temperature=temperature, seed=3, batch=8_000).tokens
        for i in range(6):
            agree(np.bincount(drawn[:, i], minlength=3), (p[i] / temperature).softmax(-1))


@pytest.mark.parametrize("system", ["di-seq", "di-joint"])
def test_the_latent_temperature_sharpens_codes_alone(system):
    model = MODELS[system]
    z = torch.full((1, 3), 5)
    x = torch.full((1, 6), 3)
    p = model.predict(x, z, torch.ones(1), None).latents.detach()[0].double()  # [m, K]
    for temperature in (0.5, 2.0):
        drawn = model.sample(6_000, 1, 1, Path(0.0), seed=1, latent_temperature=temperature, batch=6_000)
        for j in range(3):
            agree(np.bincount(drawn.latents[-1][:, j], minlength=5), (p[j] / temperature).softmax(-1))
    assert drawn.meta == {"latent_temperature": 2.0}


def test_the_nucleus_by_hand():
    p = torch.tensor([[0.1, 0.4, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25], [0.97, 0.01, 0.01, 0.01]], dtype=torch.float64)
    cut = nucleus(p.log(), 0.65).exp()
    expected = torch.tensor([[0, 4 / 7, 3 / 7, 0], [1 / 3, 1 / 3, 1 / 3, 0], [1, 0, 0, 0]], dtype=torch.float64)
    assert torch.allclose(cut, expected)
    assert nucleus(p.log(), 1.0).equal(p.log())
    tiny = nucleus(p.log(), 1e-12).exp()
    assert tiny.argmax(-1).equal(p.argmax(-1)) and (tiny.max(-1).values == 1).all()
    assert nucleus(torch.zeros(0, 4), 0.5).shape == (0, 4)


def test_the_nucleus_is_found_in_float64():
    """40,000 tokens of about the same probability, whose float32 sums drift: how many are kept is
    known exactly."""
    log_probs = torch.full((1, 40_000), 1 / 40_000).log()
    assert abs(int((nucleus(log_probs, 0.75) > -torch.inf).sum()) - 30_000) <= 1


def test_samples_come_from_the_nucleus():
    model, masks = MODELS["mdlm"], torch.full((1, 6), 3)
    p = model.predict(masks, None, None, masks == 3).tokens.detach()
    drawn = model.sample(8_000, 1, top_p=0.7, seed=3, batch=8_000)
    for i, row in enumerate(nucleus(p, 0.7).double().exp()):
        agree(np.bincount(drawn.tokens[:, i], minlength=3), row)
    argmax = model.sample(20, 1, top_p=1e-9)
    assert (argmax.tokens == p.argmax(-1).numpy()).all() and np.allclose(argmax.confidence, 1)
    assert (argmax.alternative_probs[..., 1:] == 0).all()


BAD = [
    (dict(top_p=0), r"top_p must be a number in \(0, 1\], got 0"),
    (dict(top_p=1.1), r"top_p must be a number in \(0, 1\], got 1.1"),
    (dict(top_p="half"), "top_p must be a number"),
    (dict(top_p=float("nan")), "top_p must be a number"),
    (dict(order="best"), "order must be ancestral, even or confidence, got 'best'"),
    (dict(order=None), "order must be ancestral, even or confidence, got None"),
    (dict(temperature=float("inf")), r"temperature must be a number in \[0.0, inf\), got inf"),
    (dict(latent_temperature=-1), r"latent_temperature must be a number in \[0.0, inf\), got -1"),
    (dict(latent_temperature=0.5), "latent_temperature must be 1 for 'co-seq', which has continuous latents"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[m[:30] for _, m in BAD])
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS["co-seq"].sample(2, 2, **options)


def test_an_option_that_there_is_not_is_named():
    model = LatentDiffusion.exact(Binsaw(length=8))
    with pytest.raises(ValueError, match="unknown option 'temprature'; allowed are temperature, eta, top_p"):
        model.sample(1, temprature=0.5)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8])
def test_a_seed_of_numpy_is_noted_as_a_number(kind):
    model = LatentDiffusion.exact(Binsaw(length=8))
    trace = model.sample(2, seed=kind(3))
    assert trace.seed == 3 and type(trace.seed) is int
    assert (trace.tokens == model.sample(2, seed=3).tokens).all() and Trace.from_json(trace.to_json()).seed == 3


# --- schedules ------------------------------------------------------------------------------------

@pytest.mark.parametrize("counts", [[0], [0, 1], [0, 3, 4], [0, 1, 2, 7]])
def test_a_schedule_reveals_just_so_many(counts):
    model = LatentDiffusion.exact(Binsaw(length=8))
    trace = model.sample(5, path=Schedule.of_counts(counts, 8), order="even", seed=2)
    assert trace.nfe == len(counts)
    for k, visible in enumerate(counts):
        assert ((trace.tokens_at(k) != trace.mask_id).sum(1) == visible).all()


@pytest.mark.parametrize("system", [s for s in SYSTEMS if s != "mdlm"])
def test_a_schedule_of_latents_and_tokens(system):
    model = MODELS[system]
    schedule = Schedule.of_counts([0, 2], TASK.length, latent_times=[1, 0.9, 0.2])
    trace = model.sample(3, path=schedule, order="even", seed=1)
    assert trace.nfe == 5 and trace.knots == [(k.t_x, k.t_z) for k in schedule.knots()]
    assert math.isfinite(model.nelbo(TASK.sample(4), schedule).total.value)
    both = Schedule([(1, 1), (0.5, 0.1), (0, 0)])
    assert model.sample(2, path=both).nfe == 2


def test_a_schedule_that_does_not_fit_the_model_is_refused():
    with pytest.raises(ValueError, match="begin at t_z = 0 for 'mdlm', which has no latents"):
        MODELS["mdlm"].sample(1, path=Schedule([(1, 1), (0, 0)]))
    with pytest.raises(ValueError, match="begin at t_z = 1 for 'co-seq', which has latents"):
        MODELS["co-seq"].sample(1, path=Schedule([(1, 0), (0, 0)]))
    with pytest.raises(ValueError, match="token_steps must be left out, or 1"):
        MODELS["mdlm"].sample(1, 4, path=Schedule([(1, 0), (0, 0)]))


@pytest.mark.parametrize("order", ["ancestral", "even", "confidence"])
@pytest.mark.parametrize("system", ["mdlm", "co-seq", "co-joint", "di-seq", "di-joint"])
def test_a_sample_depends_neither_on_batch_nor_on_how_many_there_are(system, order):
    """Tokens are the same, latents within rounding: matrix products of other sizes add up in another
    order."""
    model = MODELS[system]
    whole = model.sample(8, 4, seed=3, order=order, batch=8)
    for n, batch in ((8, 2), (8, 3), (5, 4), (1, 1)):
        part = model.sample(n, 4, seed=3, order=order, batch=batch)
        assert (part.tokens == whole.tokens[:n]).all() and (part.reveal_step == whole.reveal_step[:n]).all()
        if whole.latents is not None:
            assert np.allclose(part.latents, whole.latents[:, :n], atol=1e-4)


@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_tokens_from_given_latents(system):
    """z of a sampled Trace, given again: no latent moves, each sequence has its own, and without n
    there is one for each."""
    model = MODELS[system]
    z = model.sample(6, 4, seed=1).latents[-1]
    trace = model.sample(latents=z, token_steps=2, seed=2)
    assert trace.nfe == 2 and trace.tokens.shape == (6, model.config.length)
    assert all((step == z).all() for step in trace.latents) and {t for _, t in trace.knots} == {0.0}
    alone = model.sample(latents=z[:1], token_steps=2, seed=2)
    assert (alone.tokens == trace.tokens[:1]).all()


def test_given_latents_are_checked():
    model = MODELS["di-seq"]
    with pytest.raises(ValueError, match="n, the number of sequences, must be given where latents are not"):
        model.sample()
    with pytest.raises(ValueError, match=r"latents must hold integer codes of shape \[2, 3\], got .* \[4, 3\]"):
        model.sample(2, latents=torch.zeros(4, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="latents must be finite"):
        MODELS["co-seq"].sample(latents=torch.full(MODELS["co-seq"].latent_shape(2), torch.nan))
    with pytest.raises(ValueError, match="model 'mdlm' has no latents"):
        MODELS["mdlm"].sample(2, latents=torch.zeros(2, 1))


def test_temperature_zero_takes_the_most_probable_token():
    model = LatentDiffusion.exact(Binsaw(length=8), "shift")
    z = model.sample(4, 1, seed=0).latents[-1]
    a, b = (model.sample(latents=z, token_steps=1, seed=s, temperature=0).tokens for s in (1, 2))
    out = model.predict(torch.full((4, 8), 2), torch.from_numpy(z), torch.zeros(4), torch.ones(4, 8, dtype=torch.bool))
    assert (a == b).all() and (torch.from_numpy(a) == out.tokens.argmax(-1).reshape(4, 8)).all()


# --- branches -------------------------------------------------------------------------------------

@pytest.mark.parametrize("order", ["ancestral", "even", "confidence"])
def test_a_run_goes_on_from_any_step_as_it_went(model, order):
    """With the same rows, each draws the random numbers that it drew."""
    trace = model.sample(5, 3, latent_steps_of(model, 2), Path(0.2), seed=3, order=order)
    knots, rows = model.knots(Path(0.2), 3, latent_steps_of(model, 2)), [1, 4]
    free = torch.as_tensor((trace.reveal_step > 0).sum(1))[rows]
    for step in range(trace.steps + 1):
        x, z = torch.as_tensor(trace.tokens_at(step)).long()[rows], None
        if trace.latents is not None:
            z = torch.as_tensor(trace.latents[step][rows])
            z = z if z.is_floating_point() else z.long()
        branch = Branch(step, free, rows)
        on = sample(model, x, knots, Path(0.2), 3, Draws(order=order), latents=z, branch=branch)
        assert (on.tokens == trace.tokens[rows]).all() and on.steps == trace.steps
        if z is not None:
            assert np.allclose(on.latents[step:], trace.latents[step:][:, rows], atol=1e-5)
        late = trace.reveal_step[rows] > step
        assert (on.reveal_step == np.where(late, trace.reveal_step[rows], 0)).all()

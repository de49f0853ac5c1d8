"""`LatentDiffusion` with untrained networks: what must hold whatever the weights are."""

import math

import numpy as np
import pytest
import torch
from conftest import awaken
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite.config import ALIASES, SYSTEMS
from lddm_lite.model import LatentDiffusion
from lddm_lite.objective import antithetic
from lddm_lite.paths import Path
from lddm_lite.tasks import MixtureOfProducts

SMALL = dict(width=16, heads=2, blocks=2, encoder_blocks=1, dim=4, slots=2)
TASK = MixtureOfProducts(length=6, modes=3, vocab=3, seed=1)
leads = st.sampled_from([0.0, 0.2, 0.37, 0.5])


def build(system, **changes):
    options = dict(SMALL, **({"codes": 5} if system.startswith("di") else {}), **changes)
    return awaken(LatentDiffusion.preset(system, TASK, **options))


MODELS = {system: build(system) for system in SYSTEMS}


def latent_budget(model, k):
    return None if model.latents is None else k


@pytest.fixture(params=SYSTEMS)
def model(request):
    return MODELS[request.param]


# --- sampling ---------------------------------------------------------------------------------------------

@settings(max_examples=40)
@given(st.sampled_from(list(SYSTEMS)), leads, st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_no_mask_is_left_and_calls_are_counted(system, lead, token_steps, latent_steps, seed):
    model, calls = MODELS[system], []
    forward, model.denoiser.forward = model.denoiser.forward, lambda *a: calls.append(a) or forward(*a)
    try:
        trace = model.sample(3, token_steps, latent_budget(model, latent_steps), Path(lead), seed)
    finally:
        del model.denoiser.forward
    assert trace.tokens.min() >= 0 and trace.tokens.max() < 3
    assert trace.nfe == Path(lead).nfe(token_steps, latent_budget(model, latent_steps) or 0)
    rows = 0  # sequences predicted for: all of them where latents move, else those of which something is revealed
    for k, (a, b) in enumerate(zip(trace.knots, trace.knots[1:], strict=False), 1):
        rows += 3 if b[1] < a[1] else int((trace.reveal_step == k).any(1).sum())
    assert len(calls) <= trace.nfe and sum(len(a[0] if a[1] is None else a[1]) for a in calls) == rows
    assert trace.reveal_step.min() >= 1 and trace.reveal_step.max() <= trace.steps
    revealed_by = [k for k, (a, b) in enumerate(zip(trace.knots, trace.knots[1:], strict=False), 1) if b[0] < a[0]]
    assert set(np.unique(trace.reveal_step)) <= set(revealed_by)
    if model.latents is not None:
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
    trace = model.infill(x, n=2, token_steps=steps, latent_steps=latent_budget(model, 3), path=Path(lead), seed=1)
    start = x.repeat_interleave(2, 0).numpy()
    given_ = start != 3
    assert (trace.tokens[given_] == start[given_]).all() and trace.tokens.max() < 3
    assert (trace.reveal_step[given_] == 0).all() and (trace.reveal_step[~given_] > 0).all()
    assert (trace.confidence[given_] == 1).all()
    assert all((trace.tokens_at(k)[given_] == start[given_]).all() for k in (0, 1, trace.steps))
    assert (trace.tokens_at(0) == start).all()


def test_one_seed_repeats_and_another_differs(model):
    a, b, c = (model.sample(16, 3, latent_budget(model, 3), seed=s) for s in (5, 5, 6))
    for name in ("tokens", "reveal_step", "confidence", "latents", "alternatives", "alternative_probs"):
        assert np.array_equal(getattr(a, name), getattr(b, name)) or getattr(a, name) is getattr(b, name) is None
    assert not np.array_equal(a.tokens, c.tokens)
    x = torch.full((2, 6), 3)
    again = [model.infill(x, n=8, token_steps=2, seed=7).tokens for _ in "ab"]
    assert np.array_equal(*again) and not np.array_equal(again[0][:8], again[0][8:])


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_asking_only_for_sequences_that_change_changes_nothing(system):
    """What is revealed is drawn from the prediction for the tokens visible before, whoever else shares the call."""
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
    """One step, no latents: everything is drawn from the prediction for all masks, which can be asked directly."""
    model = MODELS["mdlm"]
    trace = model.sample(4, 1, seed=2)
    x_t = torch.full((4, 6), 3)
    p = model.predict(x_t, None, None, x_t == 3).tokens.exp().detach().reshape(4, 6, 3).numpy()
    assert np.allclose(trace.confidence, np.take_along_axis(p, trace.tokens[..., None].astype(int), -1)[..., 0])
    assert np.allclose(trace.alternative_probs, -np.sort(-p, -1), atol=1e-6)


def test_temperature_sharpens(agree):
    model = MODELS["mdlm"]
    p = model.predict(torch.full((1, 6), 3), None, None, torch.ones(1, 6, dtype=bool)).tokens.detach().double()
    for temperature in (0.5, 1.0, 2.0):
        drawn = model.sample(8_000, 1, temperature=temperature, seed=3, batch=8_000).tokens
        for i in range(6):
            agree(np.bincount(drawn[:, i], minlength=3), (p[i] / temperature).softmax(-1))


@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_latent_only_steps_never_run_the_token_stream(system, monkeypatch):
    """Only where it is allowed: nothing is visible and only latents move. With a token given it must run."""
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


@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_predictions_depend_on_everything_they_should(system):
    model, g = MODELS[system], torch.Generator().manual_seed(1)
    x, t = TASK.sample(4, 9), torch.full((4,), 0.6)
    x_t = model.tokens.corrupt(x, t, g)
    x_t[:, 0] = 3
    z = model.latents.corrupt(model.encode(x), t, g)
    where = x_t == 3
    base = model.predict(x_t, z, t, where)
    other_z = model.predict(x_t, z.roll(1, 0) if z.is_floating_point() else (z + 1) % 6, t, where)
    assert not torch.allclose(base.tokens, other_z.tokens) and not torch.allclose(base.latents, other_z.latents)
    other_x = model.predict(torch.where(where, x_t, (x_t + 1) % 3), z, t, where)
    assert not torch.allclose(base.tokens, other_x.tokens) and not torch.allclose(base.latents, other_x.latents)
    if system == "co-seq":  # a masked prediction needs no time, a Gaussian one does (METHOD 10)
        assert not torch.allclose(base.tokens, model.predict(x_t, z, t / 2, where).tokens)
    assert torch.allclose(base.tokens.exp().sum(-1), torch.ones(int(where.sum())))


# --- objective and gradients ------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 7, 64])
def test_antithetic_times_lie_one_in_each_stratum(n, gen):
    t = antithetic(n, gen(5), torch.zeros(1))
    assert ((t > 0) & (t <= 1)).all()
    assert torch.allclose(t.sort().values - torch.arange(n) / n, t.min().expand(n), atol=1e-6)
    assert t.min() <= 1 / n + 1e-6


@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_stage_1_teaches_the_encoder_and_stage_2_leaves_it_alone(system):
    model = build(system).train()
    x = TASK.sample(32, 6)

    def gradients(stage):
        model.zero_grad(set_to_none=True)
        loss = model.loss(x, 0, stage)
        loss.total.backward()
        return loss, [p.grad for p in model.encoder.parameters()], model.denoiser.latent_head.weight.grad

    loss, encoder, head = gradients(1)
    assert model.encoder.embed.weight.grad.abs().sum() > 0 and head is None
    assert set(loss.terms) == {"tokens"} | ({"commit"} if system.startswith("di") else set())
    model.encoder.eval()
    loss, encoder, head = gradients(2)
    assert all(g is None for g in encoder) and head.abs().sum() > 0
    assert set(loss.terms) == {"tokens", "latents"}
    assert float(loss.total.detach()) == pytest.approx(sum(map(float, loss.terms.values())))


def test_continuous_latents_lie_on_the_sphere_and_are_centred(settled):
    encoder = settled(TASK, dim=4, slots=2)
    z = encoder(TASK.sample(512, 7))
    assert torch.allclose(z.pow(2).sum(-1), torch.full((512, 2), 4.0), atol=1e-4)
    assert z.mean(0).abs().max() < 0.5 and z.std(0).min() > 0.3


def test_settled_statistics_are_plain_averages(settled):
    encoder, seen = settled(TASK, dim=4), []
    encoder.centre.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for k in range(4):  # the batches that the fixture settled it on
        encoder(TASK.sample(256, seed=k))
    assert torch.allclose(encoder.centre.running_mean, torch.stack([y.mean(0) for y in seen]).mean(0), atol=1e-5)
    assert torch.allclose(encoder.centre.running_var, torch.stack([y.var(0) for y in seen]).mean(0), rtol=1e-4)
    assert encoder.centre.momentum == 0.05 and not encoder.training


def test_the_loss_of_a_fresh_model_is_log_v_per_token():
    for system in SYSTEMS:
        fresh = LatentDiffusion.preset(system, TASK, **SMALL).eval()
        n = fresh.nelbo(TASK.sample(64), token_steps=1)
        assert n.tokens.value == pytest.approx(6 * math.log(3), rel=1e-5)


# --- construction -----------------------------------------------------------------------------------------

def test_presets_and_aliases():
    for alias, system in ALIASES.items():
        assert LatentDiffusion.preset(alias, TASK, **SMALL).name == system
    for system in SYSTEMS:
        assert MODELS[system].path == Path(SYSTEMS[system]["lead"]) and MODELS[system].name == system
    a, b, c = (LatentDiffusion.preset("co-seq", TASK, seed=s, **SMALL).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a) and any(not torch.equal(a[k], c[k]) for k in a)

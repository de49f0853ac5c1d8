"""The order of unmasking: exact counts, and what each order does to the law that is drawn from."""

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, Path
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.unmasking_order import ORDERS, choose, still_masked
from lddm_lite.evaluation.metrics import unigram_entropy
from lddm_lite.tasks import MixtureOfProducts, MixtureTask
from tests.support.random_models import build
from tests.support.statistics import agree, histogram

BLURRED = MixtureOfProducts(length=8, modes=4, vocab=3, noise=0.15, seed=2)
MODELS = {system: build(system, blocks=1, slots=3) for system in SYSTEMS}
ARRAYS = ("tokens", "reveal_step", "confidence", "latents", "alternatives", "alternative_probs")


def same(a, b):
    return all(np.array_equal(getattr(a, k), getattr(b, k)) or getattr(a, k) is getattr(b, k) is None for k in ARRAYS)


def counts(trace):
    """Positions revealed at each step of each sequence: [n, S]."""
    return np.stack([(trace.reveal_step == k).sum(1) for k in range(1, trace.steps + 1)], 1)


# --- the choice -----------------------------------------------------------------------------------

def test_the_schedule_by_hand():
    at_start = torch.tensor([8, 3, 1, 0])
    assert still_masked(at_start, 1.0).tolist() == [8, 3, 1, 0]
    assert still_masked(at_start, 0.5).tolist() == [4, 2, 1, 0]
    assert still_masked(at_start, 0.0).tolist() == [0, 0, 0, 0]
    for n in range(1, 200):  # one a step, although 1 - k/n is not exact
        assert [int(still_masked(torch.tensor([n]), 1 - k / n)) for k in range(n + 1)] == list(range(n, -1, -1))


def test_chosen_positions_are_masked_as_many_as_asked_for_and_any_subset_as_likely(gen):
    masked = torch.tensor([[True, False, True, True, True]]).expand(24_000, -1)
    where = choose(masked, torch.full((24_000,), 2), gen(1))
    assert (where.sum(1) == 2).all() and not where[:, 1].any()
    subsets, seen = torch.unique(where, dim=0, return_counts=True)
    assert len(subsets) == 6
    agree(seen, torch.full((6,), 1 / 6))


def test_the_best_are_chosen_and_ties_are_broken_by_chance(gen):
    masked = torch.tensor([[True, True, False, True], [False, True, True, True]])
    where = choose(masked, torch.tensor([1, 2]), gen(0), torch.tensor([0.5, 0.1, 0.9, 0.2, 0.3, 0.1]))
    assert where.tolist() == [[True, False, False, True], [False, False, True, False]]
    tied = choose(torch.ones(9_000, 3, dtype=bool), torch.full((9_000,), 2), gen(2), torch.ones(27_000))
    agree(tied.sum(0), torch.full((3,), 1 / 3))
    none = torch.zeros(2, 3, dtype=bool)
    assert not choose(none, torch.zeros(2, dtype=torch.long), gen(0), torch.ones(0)).any()


# --- the sampler ----------------------------------------------------------------------------------

@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("order", ["even", "confidence"])
@pytest.mark.parametrize("lead", [0.0, 0.3, 0.5])
def test_each_step_reveals_exactly_the_scheduled_number(system, order, lead):
    model, x = MODELS[system], torch.tensor([[3] * 6, [0, 3, 3, 1, 3, 3], [1, 1, 1, 3, 1, 1], [0] * 6])
    latent_steps = None if model.latent_channel is None else 3
    for steps in (1, 2, 3, 4, 9):
        trace = model.infill(x, 2, steps, latent_steps, Path(lead), seed=3, order=order)
        free = (torch.tensor(x.numpy().repeat(2, 0)) == 3).sum(1)
        left = [still_masked(free, t_x) for t_x, _ in trace.knots]
        assert (counts(trace) == torch.stack([a - b for a, b in zip(left, left[1:], strict=False)], 1).numpy()).all()
        given = x.repeat_interleave(2, 0).numpy()
        assert (trace.tokens[given != 3] == given[given != 3]).all() and trace.tokens.max() < 3
        if model.config.latent == "discrete":  # as many steps as slots: one code a step
            shown = (trace.latents != 5).sum(-1)  # [S+1, n]
            moves = [b[1] < a[1] for a, b in zip(trace.knots, trace.knots[1:], strict=False)]
            assert (np.diff(shown, axis=0) == np.array(moves)[:, None]).all()


@pytest.mark.parametrize("system", SYSTEMS)
def test_ancestral_is_the_usual_order_and_one_seed_repeats(system):
    model = MODELS[system]
    usual = model.sample(16, 4, seed=3)
    neutral = dict(order="ancestral", top_p=1.0, temperature=1, latent_temperature=1.0)
    assert usual.order == "ancestral" and usual.meta == {} and same(usual, model.sample(16, 4, seed=3, **neutral))
    for order in ORDERS[1:]:
        a, b, c = (model.sample(16, 4, seed=s, order=order, top_p=0.9) for s in (5, 5, 6))
        assert same(a, b) and not np.array_equal(a.tokens, c.tokens) and a.order == order
        assert a.meta == {"top_p": 0.9}


def test_confidence_takes_what_is_nearly_certain_first():
    """One component: positions 0 and 3 are certain, the others are not. Two steps reveal the
    certain ones first."""
    p = torch.full((1, 4, 2), 0.5, dtype=torch.float64)
    p[0, 0], p[0, 3] = torch.tensor([1 - 1e-9, 1e-9]), torch.tensor([1e-9, 1 - 1e-9])
    model = LatentDiffusion.exact(MixtureTask(torch.zeros(1), p.log()))
    # cut to one token, and yet the model's own is asked
    trace = model.sample(50, 2, order="confidence", top_p=0.3)
    assert (trace.reveal_step == [1, 2, 2, 1]).all()
    assert not (model.sample(50, 2, order="even").reveal_step == [1, 2, 2, 1]).all()


def test_one_position_a_step_draws_from_the_very_law(tiny):
    model, law = LatentDiffusion.exact(tiny), tiny.log_prob(tiny.all_sequences()).exp()
    agree(histogram(model.sample(20_000, 4, seed=2, order="even").tokens, 2), law)
    for order in ("ancestral", "confidence"):  # two at once now and then; the probable first
        with pytest.raises(AssertionError, match="times the allowed deviation"):
            agree(histogram(model.sample(20_000, 4, seed=2, order=order).tokens, 2), law)


def test_what_each_order_does_to_the_law():
    """Exact predictors, so whatever is wrong is the sampler's. One position a step: `even` draws
    from the very law, `ancestral` comes near it as steps grow, and `confidence` never does: it
    misses modes at a lower entropy. 4,000 samples: s.e. of the excess 0.04 nats, of the mode shares
    0.01."""
    model = LatentDiffusion.exact(BLURRED)

    def drawn(order, steps):
        x = torch.as_tensor(model.sample(4_000, steps, seed=1, order=order).tokens).long()
        return x, BLURRED.score(x)

    x, even = drawn("even", 8)
    assert abs(even["excess"]) < 5 * even["excess_se"] and even["mode_tv"] < 0.05
    few, more, most = (drawn("ancestral", steps)[1]["excess"] for steps in (2, 8, 64))
    assert few > more + 0.5 > most + 0.5 and most < 0.3
    y, sure = drawn("confidence", 8)
    assert sure["excess"] < -1 and sure["mode_tv"] > 0.3, "measured: -2.46 nats and 0.48"
    entropy = [float(-(p[p > 0] * p[p > 0].log()).sum()) for p in (histogram(v, 3) / 4_000 for v in (x, y))]
    assert entropy[1] < entropy[0] - 1
    assert unigram_entropy(y, 3) < unigram_entropy(x, 3)

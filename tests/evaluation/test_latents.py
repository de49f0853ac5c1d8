"""What latents do: a diagnosis that tells good ones from bad, against the model's own bound and the
exact scores."""

import json
import math

import pytest
import torch

from lddm_lite import LatentDiffusion, Path
from lddm_lite._common.estimate import Estimate
from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.prediction import Prediction
from lddm_lite.evaluation import latents, tables
from lddm_lite.evaluation.latents import latent_health, z_response
from lddm_lite.tasks import MixtureOfProducts, ParityBlocks
from lddm_lite.text import dataset
from tests.support.comparisons import OneNatAWord
from tests.support.copies import Copies
from tests.support.training_runs import TASK, start

REAL = ["rain fell on paris", "the river rose", "snow fell", "today the bank closed in paris", "rain"]


# --- a diagnosis against what is known exactly --------------------------------------------------

RATES = (1.0, 0.75, 0.5, 0.25)
LOST = 0.7  # nats of excess that the noise floor and 16 latent steps cost at most


@pytest.fixture(scope="module")
def shift(saw32):
    """Of Binsaw's own shift, with an exact denoiser."""
    model = LatentDiffusion.exact(saw32, "shift")
    return model, latents.diagnose(model, saw32, n=1024)


def test_diagnosis_of_the_exact_shift_latent(shift):
    """Given the shift the bits are independent: a token costs the same at every mask rate, and one
    step loses nothing. Five standard errors throughout."""
    _, found = shift
    cost = [found.costs[rate]["true"] for rate in RATES]
    assert all(abs(c.value - cost[0].value) < 5 * math.hypot(c.stderr, cost[0].stderr) for c in cost)
    assert abs(found.left.value) < 5 * found.left.stderr and found.left.stderr < 0.1
    assert all(abs(found.excess[rate]["true"].value) < 0.2 + 5 * found.excess[rate]["true"].stderr for rate in RATES)
    whole, half = found.excess[1.0], found.excess[0.5]
    assert whole["none"].value == pytest.approx(8.0, rel=0.1), "as if there were no latents"
    assert whole["wrong"].value < LOST, "the shift of another sequence is a shift"
    assert whole["sampled"].value < LOST and half["sampled"].value < LOST and half["wrong"].value > 2
    assert found.z_response > 0.2
    assert found.spread == pytest.approx(1, abs=0.05) and abs(found.cosine) < 0.02


def test_without_z_tokens_share_what_the_task_says(shift):
    _, found = shift
    assert abs(found.left_none.value - found.shared) < 5 * found.left_none.stderr + 0.05, "t_z = 1 still knows e^-6"


def test_latents_that_follow_the_visible_tokens_cost_between_no_latents_and_wrong_ones(shift):
    """Jensen: the mean of -log p over a drawn z is above -log of the mean. With nothing visible a drawn
    z is another sequence's."""
    _, found = shift
    for rate in RATES[1:]:
        none, drawn, wrong = (found.costs[rate][kind].value for kind in ("none", "sampled", "wrong"))
        assert none < drawn < wrong
    a, b = (found.costs[1.0][kind] for kind in ("sampled", "wrong"))
    assert abs(a.value - b.value) < 5 * math.hypot(a.stderr, b.stderr)


def test_what_the_shift_tells_and_what_its_law_loses(shift):
    """I(z_0; z) by the sum over all shifts, and nothing lost: the denoiser is exact."""
    model, found = shift
    g = torch.Generator().manual_seed(0)
    own = torch.randint(len(model.encoder.points), (4096,), generator=g)
    zero = torch.zeros(4096)
    z = model.latent_channel.corrupt(model.encoder.points[own].float(), zero, g)
    log_lik = model.denoiser._latent_log_lik(z, zero)
    want = (log_lik[range(4096), own] - (log_lik + model.denoiser.task.log_prior).logsumexp(1)).mean()
    assert abs(found.told.value - float(want)) < 5 * found.told.stderr
    assert abs(found.law_loses.value) < 5 * found.law_loses.stderr and found.law_loses.stderr < 0.2


@pytest.mark.parametrize(("count", "left"), [(2, 1.0), (3, 0.0)])
def test_copies_fool_the_response_and_not_what_is_left(count, left):
    """Two of four bits of a block say nothing of what the four share; three say all."""
    task = ParityBlocks(blocks=2, noise=0.0)
    found = latents.diagnose(LatentDiffusion.exact(task, Copies(task, count)), task, n=512, mask_rates=(1.0, 0.5))
    assert found.z_response > 1
    for value, want in ((found.left, left * found.shared), (found.left_none, found.shared)):
        assert abs(value.value - want) < 5 * value.stderr + 1e-6
    assert found.shared == pytest.approx(task.total_correlation(), abs=1e-9)
    if left == 0:
        assert found.excess[1.0]["true"].value == pytest.approx(0, abs=1e-6), "all bits are given"
    assert abs(found.told.value - 2 * count * math.log(2)) < 0.1, "of 64 codes among 4,096 sequences"
    assert abs(found.law_loses.value) < 5 * found.law_loses.stderr + 0.02


def test_too_few_sequences_do_not_know_what_latents_tell():
    """12 bits are 8.3 nats; 9 x 64 sequences show at most 6.4."""
    task = ParityBlocks(noise=0.0, size=4, blocks=3)
    model = LatentDiffusion.exact(task, Copies(task, 3))
    found = latents.diagnose(model, task, n=32, mask_rates=(1.0,))
    assert found.told is None and found.law_loses is None and "told" not in str(found)


def test_a_diagnosis_tells_how_far_it_is(saw, told_by):
    told = told_by(latents)
    latents.diagnose(LatentDiffusion.exact(saw), saw, n=8, mask_rates=(1.0, 0.5), progress=True)
    assert told == [3, 1, 1], "two rates, and about as long again for what comes after them"


def test_without_latents_there_is_what_tokens_share():
    task = ParityBlocks(blocks=2, noise=0.1)
    found = latents.diagnose(LatentDiffusion.exact(task), task, n=1024)
    assert {tuple(kinds) for kinds in found.costs.values()} == {("none",)} and found.left is None
    assert abs(found.left_none.value - task.total_correlation()) < 5 * found.left_none.stderr
    assert math.isnan(found.z_response) and "z_response" not in found.to_dict()


# --- a diagnosis of any model -------------------------------------------------------------------

def test_a_collapsed_encoder_is_seen(saw):
    # with closed gates: the same z for all
    model = LatentDiffusion.preset("co-seq", saw, width=16, blocks=1)
    torch.nn.init.zeros_(model.encoder.head.weight)
    found = latents.diagnose(model, saw, n=128)
    assert found.spread == pytest.approx(0, abs=1e-6) and found.cosine == pytest.approx(1)
    assert found.z_response == pytest.approx(0, abs=1e-5) and found.told.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_is_diagnosed_and_left_as_it_was(system, saw):
    model = LatentDiffusion.preset(system, saw, width=16, blocks=1, slots=2, codes=8).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (latents.diagnose(model, saw, n=64, mask_rates=(1.0, 0.5), seed=2) for _ in range(2))
    assert model.training and a == b
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    kinds = list(latents.KINDS) if system != "mdlm" else ["none"]
    assert list(a.costs) == list(a.excess) == [1.0, 0.5] and all(list(v) == kinds for v in a.costs.values())
    assert (a.perplexity is not None) == system.startswith("di")
    if a.perplexity:
        assert 1 <= a.perplexity <= a.codes == 8
        assert a.perplexity == pytest.approx(model.eval().encoder.perplexity(saw.sample(64, seed=2)))


@pytest.mark.parametrize("system", ["mdlm", "co-joint", "di-seq"])
def test_a_text_is_diagnosed_with_its_padding(system):
    """An untrained head is uniform over all but the padding, at every mask rate."""
    data = dataset.from_lines(REAL * 3, length=10)
    model = LatentDiffusion.preset(system, data, slots=2, dim=3, codes=8, width=16, blocks=1)
    found = latents.diagnose(model, data, n=32)
    for costs in found.costs.values():
        assert all(c.value == pytest.approx(math.log(data.vocab - 1), rel=1e-4) for c in costs.values())
    assert found.excess == {} and found.shared is None and found.left_none.value == pytest.approx(0, abs=1e-4)


def test_the_share_that_is_masked_is_one_of_the_length():
    data = dataset.from_lines(REAL * 3, length=10)
    model, x = LatentDiffusion.preset("mdlm", data, width=16, blocks=1), data.sample(64)
    lengths = (x != data.pad_id).sum(1)
    x_t = latents._masked(model, x, (lengths + 1) // 2, torch.Generator().manual_seed(0))
    hidden = x_t == model.token_channel.mask_id
    assert torch.equal(hidden.sum(1), (lengths + 1) // 2) and not (hidden & (x == data.pad_id)).any()
    assert torch.equal(x_t[~hidden], x[~hidden])


def test_a_network_that_knows_nothing_finds_nothing_left():
    """An untrained head: even odds for every bit, whatever is visible. What they share is there all the
    same, as the excess shows."""
    task = ParityBlocks(blocks=2, noise=0.0)
    found = latents.diagnose(LatentDiffusion.preset("co-seq", task, width=16, blocks=1), task, n=256, mask_rates=(1.0,))
    assert found.left.value == pytest.approx(0, abs=1e-4) and found.left_none.value == pytest.approx(0, abs=1e-4)
    assert found.shared == pytest.approx(2 * math.log(2)) and found.excess[1.0]["true"].value > 100


@pytest.mark.parametrize("bad", [(), (0.0,), (0.5, 1.5)])
def test_wrong_mask_rates_are_named(bad, saw):
    with pytest.raises(ValueError, match="mask_rates"):
        latents.diagnose(LatentDiffusion.preset("mdlm", saw, width=16), saw, n=4, mask_rates=bad)


def test_a_diagnosis_reads_the_same_from_json(shift):
    _, found = shift
    again = json.loads(tables.as_json(found.to_dict()))
    lines = str(found).splitlines()
    assert tables.diagnosis_lines(again) == lines
    assert lines[0].split() == ["latents", "of", "1,024", "sequences,", "nats", "true", "wrong", "none", "sampled"]
    assert len({len(line) for line in lines[:9]}) == 1 and f"told by z: {found.told}" in str(found)
    assert lines[9].startswith("total correlation left") and lines[9].count("±") == 2


def test_health_is_what_it_was_of_a_diagnosis(saw):
    model = LatentDiffusion.preset("di-seq", saw, width=16, blocks=1, slots=2, codes=8)
    health, found = latents.health(model, saw, n=64), latents.diagnose(model, saw, 64, (1.0, 0.5))
    assert health["one_step"]["half_swapped"] == found.excess[0.5]["wrong"]
    assert sorted(health) == ["codes", "cosine", "one_step", "perplexity", "spread", "z_response"]
    assert latents.health(LatentDiffusion.preset("mdlm", saw, width=16), saw) == {}


# --- the response to latents ----------------------------------------------------------------------

def test_z_response_is_the_loss_of_shuffled_latents():
    """Tokens that copy the code of their sequence: a foreign code makes them wrong as often as it
    differs."""
    model = start("co-seq")
    x = TASK.sample(64, seed=2)
    mode = TASK.posterior(x).argmax(1)
    model.encoder.forward = lambda x: 2.0 * TASK.posterior(x).argmax(1).float().reshape(-1, 1, 1).expand(-1, 1, 8) - 1

    def copy(x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        p = TASK.probs[(z_t.mean((1, 2)) > 0).long()]
        return Prediction(p[where].log(), None)

    model.denoiser.forward = copy
    own, other = (
        -TASK.probs[k].log().gather(-1, x.unsqueeze(-1)).sum((1, 2)).mean() for k in (mode, mode.roll(1))
    )
    assert z_response(model, x) == pytest.approx(float(other / own - 1), rel=1e-4)
    assert z_response(model, x) > 1


# --- tokens given latents of several kinds --------------------------------------------------------

@pytest.fixture(scope="module")
def task():
    return MixtureOfProducts(length=6, modes=3, noise=0.05)


@pytest.fixture(scope="module", params=["continuous", "discrete"])
def exact(request, task, settled):
    """The best possible model with latents of a settled encoder that tells sequences apart."""
    return LatentDiffusion.exact(task, settled(task, request.param, dim=4, slots=2))


def test_the_cost_of_the_token_steps_is_that_of_the_bound(exact, task):
    x = task.sample(2000)
    given = latents._latents(exact, x, torch.Generator().manual_seed(1))
    for k in (1, 3):
        got = latents._nll(exact, x, given["encoder"], k, seed=2)
        want = exact.nelbo(x, Path.sequential(), token_steps=k, latent_steps=2, seed=3).tokens
        error = math.hypot(got.stderr, want.stderr / 6)
        assert abs(got.value - want.value / 6) < 4 * error + 1e-6
    assert list(given) == ["encoder", "shuffled", "zeroed", "mixed"]


def test_draws_given_latents_are_those_of_one_step(exact, task):
    x = task.sample(2000)
    blank = torch.full_like(x, task.mask_id)
    z = latents._latents(exact, x, torch.Generator().manual_seed(1))["encoder"]
    drawn = latents._drawn(exact, blank, z, seed=2)
    score, want = task.score(drawn), latents.diagnose(exact, task, 2000, (1.0,)).excess[1.0]["true"]
    assert abs(score["excess"] - want.value) < 4 * math.hypot(score["excess_se"], want.stderr)
    more = latents._drawn(exact, blank, z, seed=2, steps=6)
    assert int(more.max()) < task.vocab, "every mask is gone"


@pytest.mark.parametrize("system", ["co-seq", "di-seq"])
def test_a_text_model_is_examined_with_its_padding(system):
    data = dataset.from_lines(REAL * 3, length=10)
    model = LatentDiffusion.preset(system, data, slots=2, dim=3, codes=8, width=16, blocks=1).train()
    found = latent_health(model, data, (1, 2), n=12, judge=OneNatAWord(), seed=4)
    assert model.training
    assert {"z_response", "spread", "cosine"} <= set(found) and set(found["token_steps"]) == {1, 2}
    for part in found["token_steps"].values():
        assert set(part["nll"]) == {"encoder", "shuffled", "zeroed"}
        assert all(isinstance(v, Estimate) for v in part["nll"].values())
        assert set(part["samples"]) == {"encoder", "zeroed", "mixed", "own"}
    # an untrained head is uniform over all but the padding
    assert found["token_steps"][1]["nll"]["zeroed"].value == pytest.approx(math.log(data.vocab - 1), rel=1e-4)
    real = found["real"]
    assert real["gen_ppl"].value == pytest.approx(math.e)
    g = torch.Generator().manual_seed(0)
    x0 = data.sample(8)
    blank = x0.masked_fill(model.valid(x0), model.token_channel.mask_id)
    drawn = latents._drawn(model.eval(), blank, latents._latents(model, x0, g)["zeroed"], seed=4, steps=2)
    assert torch.equal(drawn == 0, (drawn == 0) | (x0 == 0)), "padding stays padding"
    assert json.loads(tables.as_json(found))["token_steps"]["1"]["nll"]["encoder"]["value"] > 0
    again = latent_health(model, data, (1, 2), n=12, judge=OneNatAWord(), seed=4)
    assert tables.as_json(again) == tables.as_json(found)


def test_a_model_without_latents_has_no_health():
    data = dataset.from_lines(REAL, length=10)
    assert latent_health(LatentDiffusion.preset("mdlm", data, width=16, blocks=1), data) == {}


def test_wrong_arguments_are_named():
    data = dataset.from_lines(REAL, length=10)
    model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    with pytest.raises(ValueError, match="token_steps must be an integer >= 1, got 0"):
        latent_health(model, data, (0,))

"""The law of a sampler against rules in plain Python, against its samples, and against closed
forms."""

import dataclasses
import itertools
import math
from fractions import Fraction

import pytest
import torch

from lddm_lite import LatentDiffusion, Path, Schedule
from lddm_lite.diffusion.sampler import Draws
from lddm_lite.evaluation import sampler_law
from lddm_lite.evaluation.sampler_law import sequence_law, token_mixture
from lddm_lite.tasks import Binsaw, MixtureOfProducts


@pytest.fixture
def codes(tiny, settled):
    """Two slots of three codes on 16 sequences, exact."""
    return lambda lead: LatentDiffusion.exact(tiny, settled(tiny, "discrete", codes=3, slots=2), lead=lead)


def by_rules(task, counts_or_steps, order, temperature=1.0):
    """The law of an exact predictor without latents, by recursion over sets of positions."""
    law, length, steps = dict.fromkeys(map(tuple, task.all_sequences().tolist()), 0.0), task.length, counts_or_steps

    def chances(masked, k):
        """{set of positions: its chance} in step k."""
        keep = math.floor(Fraction(length * (steps - k - 1), steps) + Fraction(1, 2))
        share = 1 / (steps - k)
        for size in range(len(masked) + 1):
            for chosen in itertools.combinations(masked, size):
                if order == "ancestral":
                    yield chosen, share**size * (1 - share) ** (len(masked) - size)
                elif size == len(masked) - keep:
                    yield chosen, 1 / math.comb(len(masked), size)

    def walk(x, k, weight):
        masked = [i for i, v in enumerate(x) if v == task.vocab]
        if k == steps:
            law[tuple(x)] += weight
            return
        p = (task.predict([x])[0].log() / temperature).softmax(-1)
        for chosen, chance in chances(masked, k):
            for values in itertools.product(range(task.vocab), repeat=len(chosen)) if chance else ():
                new, w = list(x), weight * chance
                for i, v in zip(chosen, values, strict=True):
                    new[i], w = v, w * float(p[i, v])
                walk(new, k + 1, w)

    walk([task.vocab] * length, 0, 1.0)
    return torch.tensor(list(law.values()), dtype=torch.float64)


# --- enumeration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["ancestral", "even"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_enumeration_follows_the_rules(random_task, order, steps, temperature):
    task = random_task(length=3, vocab=3)
    model = LatentDiffusion.exact(task)
    law = sequence_law(model, model.knots(model.path, steps), Draws(order=order, temperature=temperature))
    torch.testing.assert_close(law, by_rules(task, steps, order, temperature), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "steps", "options"),
    [
        ("none", (2, None), {}),
        ("none", (3, None), dict(order="even", temperature=0.7)),
        ("none", (2, None), dict(top_p=0.6)),
        ("none", (1, None), dict(order="confidence")),
        ("sequential", (2, 2), {}),
        ("sequential", (2, 2), dict(order="even", latent_temperature=0.5)),
        ("joint", (2, 2), {}),
        ("joint", (3, 3), dict(order="even")),
        ("between", (3, 2), dict(temperature=1.5)),
    ],
)
def test_samples_have_the_enumerated_law(tiny, codes, kind, steps, options):
    model = LatentDiffusion.exact(tiny) if kind == "none" else codes({"joint": 0.0, "between": 0.3}.get(kind, 0.5))
    law, n = sequence_law(model, model.knots(model.path, *steps), Draws(**options)), 20_000
    assert float(law.sum()) == pytest.approx(1, abs=1e-12)
    x = torch.as_tensor(model.sample(n, *steps, seed=4, batch=n, **options).tokens).long()
    seen = torch.bincount(x @ torch.tensor([8, 4, 2, 1]), minlength=16).double()
    possible = law > 0
    assert not seen[~possible].any()
    chi2 = float(((seen - n * law).square() / (n * law))[possible].sum())
    free = int(possible.sum()) - 1
    assert chi2 < free + 5 * math.sqrt(2 * free)  # its mean, and 5 of its standard deviations: one seed in 10^4
    flat = torch.full_like(law, n / 16)  # the test can fail
    assert float((seen - flat).square().sum() / flat[0]) > 10 * free


def test_uneven_steps_and_latents_that_come_late(codes, tiny):
    """A Schedule in which codes move after some tokens."""
    model = codes(0.5)
    path = Schedule([(1, 1), (0.5, 1), (0.5, 0), (0, 0)])
    law, n = sequence_law(model, model.knots(path), Draws(order="even")), 20_000
    x = torch.as_tensor(model.sample(n, path=path, order="even", seed=1, batch=n).tokens).long()
    seen = torch.bincount(x @ torch.tensor([8, 4, 2, 1]), minlength=16).double()
    assert float(((seen - n * law).square() / (n * law)).sum()) < 15 + 5 * math.sqrt(30)


def test_closed_forms(tiny, codes):
    model = LatentDiffusion.exact(tiny)
    x = tiny.all_sequences()
    marginals = tiny.predict(torch.full((1, 4), 2))[0]  # [L, V]
    product = torch.stack([marginals[i, x[:, i]] for i in range(4)]).prod(0)
    torch.testing.assert_close(sequence_law(model, model.knots(model.path, 1)), product)
    one_by_one = sequence_law(model, model.knots(model.path, 4), Draws(order="even"))
    torch.testing.assert_close(one_by_one, tiny.log_prob(x).exp())  # the chain rule
    joint = codes(0.0)  # in one joint step the tokens see no code
    torch.testing.assert_close(sequence_law(joint, joint.knots(joint.path, 1, 1)), product)


def test_what_cannot_be_enumerated(saw, settled):
    def law(model, *steps, **options):
        return sequence_law(model, model.knots(model.path, *steps), Draws(**options))

    assert law(LatentDiffusion.exact(Binsaw(length=13)), 1) is None
    assert law(LatentDiffusion.preset("co-seq", saw, width=16), 1) is None
    assert law(LatentDiffusion.exact(saw), 2, order="confidence") is None
    assert law(LatentDiffusion.preset("di-seq", saw, width=16, codes=256), 1) is None  # 3**8 times 257 states
    assert law(LatentDiffusion.exact(saw), 2) is not None


# --- mixtures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [(1, 1), (1, 2)])
def test_a_mixture_over_listed_codes_is_the_enumerated_law(codes, tiny, steps):
    options = Draws(temperature=0.8, latent_temperature=0.7)
    for lead in (0.5, 0.0) if steps == (1, 1) else (0.5,):
        model = codes(lead)
        knots = model.knots(model.path, *steps)
        mixture = token_mixture(model, knots, options)
        log_q, shares = mixture.log_prob(tiny.all_sequences())
        assert mixture.groups == len(shares) == 1
        assert (1 < len(mixture.weights) <= 9) if lead else (len(mixture.weights) == 1)
        torch.testing.assert_close(log_q.exp(), sequence_law(model, knots, options))


def test_a_product_of_many_tokens():
    """Likelihoods far below what a float holds, and a token that a nucleus cuts off."""
    task = MixtureOfProducts(length=64, modes=1, vocab=3, noise=0.5, seed=0)  # 0.5, 0.25, 0.25
    model = LatentDiffusion.exact(task)
    knots = model.knots(model.path, 1)
    proto = task.prototypes
    x = torch.cat([proto, (proto + 1) % 3])
    log_q, _ = token_mixture(model, knots).log_prob(x)
    torch.testing.assert_close(log_q, 64 * torch.tensor([0.5, 0.25], dtype=torch.float64).log())
    cut, _ = token_mixture(model, knots, Draws(top_p=0.4)).log_prob(x)
    assert cut.tolist() == [0.0, -math.inf]


def test_drawn_latents(codes, tiny, monkeypatch):
    """Where codes are drawn although they could be listed: the mean log q over all sequences is
    nearer to the truth with what is added, and spreads over the draws as the groups say."""
    model = codes(0.5)
    knots, x = model.knots(model.path, 1, 2), tiny.all_sequences()
    truth = float(sequence_law(model, knots).log().mean())
    monkeypatch.setattr(sampler_law, "CODES", 0)
    found, low, told = [], [], []
    for seed in range(300):
        mixture = token_mixture(model, knots, drawn=40, seed=seed)
        log_q, shares = mixture.log_prob(x)
        plain = dataclasses.replace(mixture, groups=1).log_prob(x)[0]
        found.append(log_q.mean())
        low.append(plain.mean())
        told.append(shares.mean(1).var() / mixture.groups)
    found, low, told = (torch.stack(v) for v in (found, low, told))
    error = float(found.std()) / math.sqrt(300)
    assert float(low.mean()) < truth - 5 * error
    assert abs(float(found.mean()) - truth) < max(0.2 * abs(float(low.mean()) - truth), 4 * error)
    # the variance of 300 draws is known to 8 %, and to first order only what the groups say
    assert 0.7 < float(told.mean() / found.var()) < 1.4


def test_no_mixture_in_several_token_steps(saw):
    model = LatentDiffusion.preset("co-seq", saw, width=16)
    assert token_mixture(model, model.knots(model.path, 2, 1)) is None
    drawn = token_mixture(model, model.knots(model.path, 1, 1), drawn=20)
    assert drawn.latents.shape == (20, 1, 8) and drawn.t_z == 0
    noise = token_mixture(model, model.knots(Path.joint(), 1, 1), drawn=20)
    assert noise.t_z == 1

"""(M11): with exact predictors the bound is the same on every path, and it is the entropy. By sums
and by Monte Carlo.

`rates` computes both rates of (M9) without noise: all sequences, all token masks, and for the
latents all code masks or Gauss-Hermite nodes in two dimensions. It uses the model's own `predict`
and `rate`.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from lddm_lite.diffusion.bound import antithetic
from lddm_lite.diffusion.channels import GaussianChannel, SquareRootChannel
from lddm_lite.diffusion.paths import Curve, Path
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import Binsaw
from tests.support.own_parts import Squared

pytestmark = pytest.mark.usefixtures("no_gradients")

F64 = torch.float64
NODES = 24  # Gauss-Hermite nodes per dimension


@pytest.fixture(scope="module")
def task(random_task):
    return random_task(length=3, vocab=2, components=4, seed=5)


@pytest.fixture(scope="module")
def model(task, settled):
    """kind -> exact model; the Gaussian one with a log-SNR from 3 to -1, so that both ends of the
    noise matter."""

    def make(kind):
        changes = dict(dim=2) if kind == "continuous" else dict(codes=4, slots=2)
        m = LatentDiffusion.exact(task, settled(task, kind, seed=1, **changes))
        if kind == "continuous":
            m.latent_channel = m.denoiser.channel = GaussianChannel(3.0, -1.0)
        return m

    return make


def hermite():
    """Nodes [Q^2, 2] and weights [Q^2] of the standard normal in the plane."""
    u, w = np.polynomial.hermite_e.hermegauss(NODES)
    u, w = torch.from_numpy(u), torch.from_numpy(w) / math.sqrt(2 * math.pi)
    return torch.cartesian_prod(u, u), torch.outer(w, w).flatten()


def masks(x, mask_id, t):
    """All partly masked versions of x [B, n] and their probabilities: [B, 2^n, n], [2^n]."""
    hidden = torch.tensor(list(itertools.product((False, True), repeat=x.shape[1])))
    weight = torch.where(hidden, torch.tensor(t, dtype=F64), 1 - t).prod(1)
    return x.unsqueeze(1).masked_fill(hidden, mask_id), weight


def noised(model, z0, t):
    """All noised versions of latents [B, ...] (or their nodes) and weights: [B, Q, ...], [Q]."""
    if model.config.latent == "discrete":
        return masks(z0, model.latent_channel.mask_id, t)
    a, sigma = model.latent_channel.coefficients(torch.tensor(t, dtype=F64))
    nodes, weight = hermite()
    return a * z0.double().unsqueeze(1) + sigma * nodes.unsqueeze(1), weight


def rates(model, t_x, t_z):
    """(rho_x, rho_z) at one point of the square, in expectation over everything."""
    task = model.denoiser.task
    x = task.all_sequences()
    z0 = model.encode(x)
    (x_t, w_x), (z_t, w_z) = masks(x, task.mask_id, t_x), noised(model, z0, t_z)
    n, k, q = len(x), len(w_x), len(w_z)
    weight = torch.einsum("n,k,q->nkq", task.log_prob(x).exp(), w_x, w_z).flatten()
    x_t = x_t.unsqueeze(2).expand(n, k, q, -1).flatten(0, 2)
    z_t = z_t.unsqueeze(1).expand(n, k, *z_t.shape[1:]).flatten(0, 2)
    x, z0 = (v.repeat_interleave(k * q, 0) for v in (x, z0 if z0.dtype == torch.long else z0.double()))
    time_x, time_z = (torch.full((n * k * q,), t, dtype=F64) for t in (t_x, t_z))
    out = model.predict(x_t, z_t, time_z, x_t == task.mask_id)
    token = model.token_channel.rate(x, x_t, out.tokens, time_x)
    return float(weight @ token), float(weight @ model.latent_channel.rate(z0, z_t, out.latents, time_z))


def line_integral(model, lead, order=12):
    """(tokens, latents) of (M9): Gauss-Legendre on each part of the path between its kinks."""
    path, total = Path(lead), np.zeros(2)
    u, w = np.polynomial.legendre.leggauss(order)
    for low, high in itertools.pairwise(sorted({0.0, lead, 1 - lead, 1.0})):
        for at, weight in zip(low + (high - low) * (u + 1) / 2, w * (high - low) / 2, strict=True):
            t_x, t_z = (float(v) for v in path.at(torch.tensor(at, dtype=F64)))
            # (M10): t_x moves for u < 1 - lead, t_z for u > lead, each at speed 1 / (1 - lead)
            speed = np.array([at < 1 - lead, at > lead]) / (1 - lead)
            total += weight * speed * np.array(rates(model, max(t_x, 1e-12), max(t_z, 1e-12)))
    return total


def marginal_kl(model):
    """KL(q(z_1) || N(0, I)) of the mixture q(z_1) over all sequences, by quadrature."""
    task, ch = model.denoiser.task, model.latent_channel
    x = task.all_sequences()
    p, z0 = task.log_prob(x).exp(), model.encode(x).double().flatten(1)
    a, sigma = ch.coefficients(torch.tensor(1.0, dtype=F64))
    nodes, w = hermite()
    z = a * z0.unsqueeze(1) + sigma * nodes  # [n, Q^2, 2]
    log_q = -(z.unsqueeze(2) - a * z0).pow(2).sum(-1) / (2 * sigma**2) - math.log(2 * math.pi * sigma**2)
    log_q = (log_q + p.log()).logsumexp(-1)
    log_n = -z.pow(2).sum(-1) / 2 - math.log(2 * math.pi)
    return float(p @ ((log_q - log_n) @ w))


# --- without noise --------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_m11_the_line_integral_is_the_same_on_every_path_and_equals_the_entropy(kind, model):
    model = model(kind)
    task = model.denoiser.task
    prior = truth = 0.0
    if kind == "continuous":
        x = task.all_sequences()
        prior = float(task.log_prob(x).exp() @ model.latent_channel.prior_kl(model.encode(x)).double())
        truth = marginal_kl(model)
        # a log-SNR of -1 leaves something of z_0 at t_z=1, so that (M8) counts
        assert prior > truth + 0.05
    parts = {lead: line_integral(model, lead) for lead in (0.0, 0.15, 0.35, 0.5)}
    # the split does depend on the path
    assert parts[0.5][1] > 0.3 and abs(parts[0.5][1] - parts[0.0][1]) > 0.1
    for lead, (tokens, latents) in parts.items():
        # 24 x 24 nodes leave 1e-4; the sums over codes are exact
        tolerance = 5e-4 if kind == "continuous" else 1e-9
        assert tokens + latents + prior == pytest.approx(task.entropy().value + truth, abs=tolerance), lead


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
@pytest.mark.parametrize(("t_x", "t_z"), [(0.3, 0.6), (0.7, 0.7), (0.9, 0.4)])
def test_m11_mixed_identity(kind, t_x, t_z, model):
    """d rho_x / d t_z = d rho_z / d t_x, by central differences of step 1e-3."""
    model, h = model(kind), 1e-3
    over_z = (rates(model, t_x, t_z + h)[0] - rates(model, t_x, t_z - h)[0]) / (2 * h)
    over_x = (rates(model, t_x + h, t_z)[1] - rates(model, t_x - h, t_z)[1]) / (2 * h)
    assert over_z == pytest.approx(over_x, rel=1e-3 if kind == "continuous" else 1e-4) and abs(over_z) > 0.02


# --- through `nelbo` ------------------------------------------------------------------------------

LEADS = (0.0, 0.15, 0.35, 0.5)


@pytest.mark.parametrize("kind", ["none", "continuous", "discrete"])
def test_m11_nelbo_is_the_entropy_on_every_path(kind, tiny, settled):
    changes = dict(dim=4) if kind == "continuous" else dict(codes=6)
    model = LatentDiffusion.exact(tiny, None if kind == "none" else settled(tiny, kind, **changes))
    x = tiny.sample(16_384, seed=11)
    # takes the noise of the sequences out: theirs is known
    sample_entropy = -float(tiny.log_prob(x).mean())
    found = [model.nelbo(x, Path(lead), draws=4, seed=k) for k, lead in enumerate(LEADS)]
    for n in found:
        # 4 standard errors: one seed in 16,000 is off by more; KL(q(z_1) || N) is below 0.002 at a
        # log-SNR of -6
        assert abs(n.total.value - sample_entropy) < 4 * n.total.stderr + 0.002 and n.total.stderr < 0.03
        assert n.nats_per_token == pytest.approx(n.total.value / 4)
        assert n.total.value == pytest.approx(n.tokens.value + n.latents.value + n.prior.value)
        if kind == "continuous":
            prior = float(model.latent_channel.prior_kl(model.encode(x)).mean())
            assert n.prior.value == pytest.approx(prior, rel=1e-5)
    if kind == "none":
        assert found[0].latents.value == found[0].prior.value == 0
    else:
        assert found[-1].latents.value > 0.3 and found[-1].tokens.value < found[0].tokens.value - 0.1


@pytest.mark.parametrize("shape", [lambda u: (u, u**2), lambda u: (u**2, u), lambda u: (1 - (1 - u) ** 3, u**3)])
def test_the_bound_along_a_curve_is_that_of_every_path(shape):
    """Exact predictors: (M11). Four standard errors."""
    task = Binsaw(length=8)
    exact, x = LatentDiffusion.exact(task, "shift"), task.sample(2048)
    a = exact.nelbo(x, Path(0.5), draws=4).total
    b = exact.nelbo(x, Curve(shape), draws=4, seed=1).total
    assert abs(a.value - b.value) < 4 * math.hypot(a.stderr, b.stderr)


@pytest.mark.parametrize("kind", [Squared, SquareRootChannel])
def test_another_schedule_has_the_same_bound(kind):
    """Between the same two ends, and as exactly: times are even in log-SNR. With times even in t the
    square-root schedule had ten times the error."""
    task = Binsaw(length=8)
    usual, other = (LatentDiffusion.exact(task, "shift", channel=c(6.0)) for c in (GaussianChannel, kind))
    x = task.sample(2048)
    a, b = usual.nelbo(x, draws=2).total, other.nelbo(x, draws=2, seed=1).total
    assert abs(a.value - b.value) < 4 * math.hypot(a.stderr, b.stderr) and b.stderr < 1.5 * a.stderr


def test_a_stochastic_encoder_costs_its_information_beyond_x(saw, gen):
    """Binsaw's shift as latent: on every path H(x) + I(z_0; z | x), z at the noise floor, plus
    KL(q(z_1) || N)."""
    model = LatentDiffusion.exact(saw, "shift")
    x = saw.sample(4096, seed=12)
    found = [model.nelbo(x, Path(lead), draws=4, seed=k) for k, lead in enumerate(LEADS)]
    g = gen(13)
    z0 = model.encode(x, g).double()
    z = model.latent_channel.corrupt(z0, torch.zeros(len(x), dtype=F64), g)
    a, sigma = model.latent_channel.coefficients(torch.tensor(0.0, dtype=F64))

    def log_density(points):
        return -(z - a * points).pow(2).sum((-1, -2)) / (2 * sigma**2)

    mixture = torch.stack([log_density(p.double()) for p in model.encoder.points], 1) + saw.posterior(x).log()
    information = log_density(z0) - mixture.logsumexp(1)
    truth = information - saw.log_prob(x)
    assert float(information.mean()) > 1
    for n in found:
        error = math.hypot(n.total.stderr, float(information.std()) / math.sqrt(len(x)))
        assert abs(n.total.value - float(truth.mean())) < 4 * error + 0.003 and error < 0.08


def test_nelbo_repeats_from_a_seed_and_more_draws_lower_the_error(tiny):
    model, x = LatentDiffusion.exact(tiny), tiny.sample(512, seed=14)
    once, again, other = (model.nelbo(x, seed=s) for s in (1, 1, 2))
    assert once == again != other
    assert model.nelbo(x, draws=16).total.stderr < once.total.stderr


def test_nelbo_leaves_the_model_as_it_was(tiny, settled):
    """In particular the running statistics of the encoder, on which the exact model's table of
    latents rests."""
    model = LatentDiffusion.exact(tiny, settled(tiny, dim=2))
    x = tiny.sample(64, seed=15)
    before, z = {k: v.clone() for k, v in model.state_dict().items()}, model.encode(x)
    model.nelbo(x, seed=0), model.sample(4, 2, seed=0)
    assert torch.equal(model.encode(x), z)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(token_steps=0), "token_steps"),
        (dict(token_steps=4, latent_steps=0), "latent_steps"),
        (dict(latent_steps=4), "latent_steps"),
        (dict(draws=0), "draws"),
        (dict(batch=0), "batch"),
        (dict(seed=-1), "seed"),
    ],
)
def test_nelbo_names_a_wrong_argument(options, message):
    model = LatentDiffusion.exact(Binsaw(4), "shift")
    with pytest.raises(ValueError, match=message):
        model.nelbo(torch.zeros(2, 4, dtype=torch.long), **options)


# --- the estimator --------------------------------------------------------------------------------

KINDS = ["none", "continuous", "discrete"]


def exact_of(kind, tiny, settled):
    changes = dict(dim=4) if kind == "continuous" else dict(codes=6, slots=2)
    return LatentDiffusion.exact(tiny, None if kind == "none" else settled(tiny, kind, **changes))


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_of_a_sequence_does_not_depend_on_the_batch(kind, tiny, settled):
    model, x = exact_of(kind, tiny, settled), tiny.sample(50, seed=1)
    whole = model.nelbo(x, seed=2, each=True)
    assert whole.shape == (50,) and whole.dtype == F64
    assert torch.allclose(model.nelbo(x, seed=2, each=True, batch=7), whole, atol=1e-4)
    assert model.nelbo(x, seed=2).total.value == pytest.approx(float(whole.mean()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lead", [0.0, 0.3, 0.5])
def test_the_printed_error_is_the_spread(kind, lead, tiny, settled):
    """150 seeds, fresh data and noise each: the standard deviation of the bound against the mean of
    the printed error. The former is known to 6 %, and the latter, from 16 groups, to 2 %: 1.25 is
    four standard errors off."""
    model = exact_of(kind, tiny, settled)
    found = [model.nelbo(tiny.sample(64, seed=s), Path(lead), seed=s).total for s in range(150)]
    spread = torch.tensor([f.value for f in found]).double().std()
    printed = sum(f.stderr for f in found) / len(found)
    assert 0.8 < float(spread) / printed < 1.25


def test_counts_vary_less_than_times(saw):
    """The bound of an exact model without latents, masks by counts, against the rate (M3) at even
    times: less than half of the variance at the same number of network calls, and the same
    mean."""
    model, x = LatentDiffusion.exact(saw), saw.sample(2048, seed=3)
    g = torch.Generator().manual_seed(4)
    t = antithetic(len(x), g, x)
    x_t = model.token_channel.corrupt(x, t, g)
    out = model.predict(x_t, None, None, x_t == saw.mask_id)
    by_time = model.token_channel.rate(x, x_t, out.tokens, t).double()
    by_count = model.nelbo(x, seed=5)
    error = math.hypot(by_count.total.stderr, float(by_time.std()) / math.sqrt(len(x)))
    assert abs(by_count.total.value - float(by_time.mean())) < 4 * error
    assert 2 * (by_count.total.stderr * math.sqrt(len(x))) ** 2 < float(by_time.var())


def test_the_error_of_nats_per_token_is_that_of_a_ratio():
    """Sequences of 2 to 8 fair coins behind padding: a token costs log 2 exactly, whatever their
    lengths, so that the ratio has no error though the totals have."""
    model = LatentDiffusion.preset("mdlm", Coins(), width=16, heads=1, blocks=1)
    found = model.nelbo(Coins().sample(64))
    assert found.nats_per_token == pytest.approx(math.log(2), abs=1e-6)  # untrained: all but padding alike
    assert found.nats_per_token_se < 1e-6 < 0.1 < found.total.stderr


class Coins:
    """Fair coins, 2 to 8 of them, and padding."""

    length, vocab, labels, pad_id = 8, 3, ["0", "1", "."], 2

    def spec(self):
        return {"lengths": [0, 0, *[1 / 7] * 7]}

    def sample(self, n, seed=0):
        g = torch.Generator().manual_seed(seed)
        lengths = torch.randint(2, 9, (n, 1), generator=g)
        return torch.randint(2, (n, 8), generator=g).masked_fill(torch.arange(8) >= lengths, 2)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
@pytest.mark.parametrize("steps", [None, 1])
def test_the_bound_given_latents(kind, steps, tiny, settled):
    """Given z the tokens are exact: in continuous time -log p(x | z), and in one step the sum over
    tokens of -log p(x_i | z), both computed from the predictions themselves by the chain rule."""
    model, x = exact_of(kind, tiny, settled), tiny.sample(32, seed=6)
    z, t = model.encode(x), torch.zeros(32)
    if kind == "continuous":
        z = model.latent_channel.corrupt(z, t, torch.Generator().manual_seed(0))
    truth = torch.zeros(32, dtype=F64)
    for i in range(tiny.length):
        seen = x.clone()
        seen[:, i if steps is None else 0 :] = tiny.mask_id
        said = model.predict(seen, z, t, seen == tiny.mask_id, need_latents=False).tokens
        row = said.reshape(32, -1, tiny.vocab)[:, 0 if steps is None else i]
        truth -= row.gather(-1, x[:, i : i + 1]).squeeze(1).double()
    found = model.nelbo(x, token_steps=steps, latents=z, draws=1 if steps else 400)
    assert found.latents.value == found.prior.value == 0 and found.nfe == (steps or 0)
    # one step has no noise; 400 draws leave an error that the groups tell
    assert abs(found.total.value - float(truth.mean())) < (1e-5 if steps else 4 * found.total.stderr)

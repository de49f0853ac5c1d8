"""Parts of one's own in a model: what fits trains, samples, resumes and is saved; what does not is named."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from training_runs import Feed, interrupt, same

import lddm_lite as ld
from lddm_lite import parts
from lddm_lite.checkpoint import CheckpointError
from lddm_lite.paths import Knot

TASK = ld.tasks.MixtureOfProducts(length=8, modes=2, noise=0.02)
SMALL = dict(width=16, heads=2, blocks=1, encoder_blocks=1, codes=4, dim=2)
QUICK = dict(steps=12, batch=16, log_every=4, warmup=2, progress=False)


class Halves(nn.Module):
    """The direction of (ones in the first half, ones in the second): [B, L] -> [B, 1, 2]. Nothing to learn."""

    def __init__(self, config):
        super().__init__()
        self.register_buffer("scale", torch.tensor(math.sqrt(config.dim)))

    def forward(self, x):
        return self.scale * F.normalize(x.unflatten(1, (2, -1)).sum(-1) - x.shape[1] / 4 + 0.1, dim=-1).unsqueeze(1)


class Codes(nn.Module):
    """The first two bits as one of four codes."""

    def __init__(self, config):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(config.codes, config.dim), requires_grad=False)

    def forward(self, x):
        return (2 * x[:, :1] + x[:, 1:2]).long()


class Learning(Halves):
    """A first layer with weights, and no `settle`."""

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(config.length, 2)

    def forward(self, x):
        return self.scale * F.normalize(self.layer(2.0 * x - 1), dim=-1).unsqueeze(1)


class Net(nn.Module):
    """One linear map for each output. `break_` spoils one thing."""

    def __init__(self, config, break_=""):
        super().__init__()
        c, self.break_ = config, break_
        self.c, z = c, 0 if c.latent == "none" else c.slots * c.dim
        out = {"none": 0, "continuous": c.dim, "discrete": c.codes}[c.latent]
        self.tokens = nn.Linear(c.length * (c.vocab + 1) + z, c.length * c.vocab)
        self.latents = nn.Linear(c.length * (c.vocab + 1) + z, c.slots * out)
        if c.latent == "discrete":
            self.mask_vector = nn.Parameter(torch.randn(c.dim))

    def forward(self, x_t, z_t, t_z, where=None, need_latents=True, lengths=None):
        c, b = self.c, self.break_
        n = len(x_t) if x_t is not None else len(z_t)
        if x_t is None and b == "none":
            raise TypeError("x_t is None")
        x_t = torch.full((n, c.length), c.vocab) if x_t is None else x_t
        h = F.one_hot(x_t, c.vocab + 1).flatten(1).float()
        h = h if z_t is None else torch.cat([h, z_t.flatten(1)], 1)
        tokens = latents = None
        if where is not None:
            tokens = self.tokens(h).unflatten(1, (c.length, c.vocab))
            tokens = tokens if b == "rows" else tokens[where]
            tokens = tokens if b == "logits" else tokens.log_softmax(-1)
        if need_latents and c.latent != "none":
            latents = self.latents(h).unflatten(1, (c.slots, -1))
            latents = latents.log_softmax(-1) if c.latent == "discrete" else latents
            latents = latents[..., :1] if b == "latents" else latents
        return (tokens, latents) if b == "pair" else ld.Prediction(tokens, latents)


class Squared(ld.GaussianChannel):
    def log_snr(self, t):
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t**2

    def speed(self, t):
        return 2 * t * (self.log_snr_max - self.log_snr_min)


OWN = {
    "encoder": ("co-seq", dict(encoder=Halves)),
    "learning encoder": ("co-joint", dict(encoder=Learning)),
    "codes": ("di-seq", dict(encoder=Codes)),
    "denoiser": ("co-seq", dict(denoiser=Net)),
    "denoiser, no latents": ("mdlm", dict(denoiser=Net)),
    "denoiser, discrete": ("di-joint", dict(denoiser=Net)),
    "channel": ("co-seq", dict(channel=lambda config: Squared(config.log_snr_max, config.log_snr_min))),
    "all": ("co-seq", dict(encoder=Halves, denoiser=Net, channel=Squared())),
}


@pytest.fixture
def responsive(monkeypatch):
    monkeypatch.setattr("lddm_lite.train.z_response", lambda *a: 1.0)


def make(name, seed=0):
    system, own = OWN[name]
    return ld.LatentDiffusion.preset(system, TASK, seed=seed, **SMALL, **own)


@pytest.mark.parametrize("name", OWN)
def test_own_parts_train_resume_are_saved_and_loaded(name, responsive, tmp_path):
    system, own = OWN[name]
    whole = make(name)
    history = ld.fit(whole, Feed(16), **QUICK)
    stages = {row["stage"] for row in history.rows}
    assert stages == ({1, 2} if name != "denoiser, no latents" and parts.learned(whole.encoder) else {2})
    assert all(math.isfinite(row["loss"]) for row in history.rows)
    model = make(name)
    ld.fit(model, Feed(16, s5=interrupt), out=tmp_path / "a", **QUICK)
    model = make(name, seed=3)  # its weights come from the file
    going_on = ld.fit(model, Feed(16), out=tmp_path / "a", resume=True, **QUICK)
    same((whole, history), (model, going_on))
    x = TASK.sample(64)
    assert math.isfinite(model.nelbo(x).total.value) and math.isfinite(model.nelbo(x, token_steps=2).total.value)
    noted = json.loads((tmp_path / "a" / "config.json").read_text())["parts"]
    assert set(noted) == set(own)
    with pytest.raises(CheckpointError, match="was made with parts of its own.*give the same ones again.*load"):
        ld.load(tmp_path / "a")
    again = ld.load(tmp_path / "a", **own)
    assert (again.sample(8, 2, seed=1).tokens == model.sample(8, 2, seed=1).tokens).all()


def test_the_librarys_models_note_no_parts(tmp_path):
    for system in ("mdlm", "co-seq", "di-joint"):
        model = ld.LatentDiffusion.preset(system, TASK, **SMALL)
        assert parts.own(model) == {}
        model.save(tmp_path / system)
        assert "parts" not in json.loads((tmp_path / system / "config.json").read_text())
        with pytest.raises(CheckpointError, match="was made without a denoiser of its own"):
            ld.load(tmp_path / system, denoiser=Net)


def test_loading_with_another_part_is_refused(tmp_path):
    make("encoder").save(tmp_path)
    with pytest.raises(CheckpointError, match="made with encoder=Halves, got Learning"):
        ld.load(tmp_path, encoder=Learning)
    with pytest.raises(CheckpointError, match="the parts given do not fit it: encoder: z_0 must be"):
        ld.load(tmp_path, encoder=Codes)


def test_the_seed_decides_what_a_factory_makes_and_nothing_else_moves():
    def weights(model):
        return list(model.state_dict().values())

    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, other = make("denoiser"), make("denoiser"), make("denoiser", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, weights(a), weights(b))) and not all(map(torch.equal, weights(a), weights(other)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(a.config)
    given = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL, denoiser=net)
    assert given.denoiser is net and net.training
    plain = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL)
    kept = ld.LatentDiffusion.preset("co-seq", TASK, **SMALL, encoder=Halves)
    assert all(map(torch.equal, weights(plain.denoiser), weights(kept.denoiser)))  # made first, as always


def broken(what):
    return lambda config: Net(config, what)


class Loud(Codes):
    def forward(self, x):
        return super().forward(x) + 4


class Trains(Codes):
    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(2, 2)


class Slow(Squared):
    def speed(self, t):
        return self.log_snr_max - self.log_snr_min


class Ends(ld.GaussianChannel):
    def log_snr(self, t):
        return super().log_snr(t) + 1


BAD = [
    ("co-seq", dict(denoiser=3), "denoiser must be a torch.nn.Module, or a function"),
    ("co-seq", dict(denoiser=nn.Linear(2, 2)), "denoiser: a call on two sequences failed with TypeError"),
    ("co-seq", dict(denoiser=broken("rows")), r"denoiser: tokens must be a tensor of shape \(7, 2\), got \(2, 8, 2\)"),
    ("mdlm", dict(denoiser=broken("logits")), "denoiser: tokens must be log-probabilities"),
    ("co-seq", dict(denoiser=broken("latents")), r"denoiser: latents must be .* \(2, 1, 2\), got \(2, 1, 1\)"),
    ("co-seq", dict(denoiser=broken("pair")), "denoiser must return a Prediction"),
    ("co-seq", dict(denoiser=broken("none")), "denoiser: a call .* x_t is None"),
    ("mdlm", dict(encoder=Halves), "encoder must be left out for 'mdlm', which has no latents"),
    ("co-seq", dict(encoder=Codes), "encoder: z_0 must be a tensor of shape"),
    ("di-seq", dict(encoder=Halves), "encoder: z_0 must be a tensor of shape"),
    ("di-seq", dict(encoder=Loud), r"encoder: codes must lie in 0\.\.3, got"),
    ("di-seq", dict(encoder=Trains), "needs quantise"),
    ("co-seq", dict(channel=ld.MaskedChannel(4)), "channel must be a GaussianChannel for continuous latents"),
    ("di-seq", dict(channel=ld.MaskedChannel(5)), "channel must be over codes=4 codes, got vocab=5"),
    ("mdlm", dict(channel=ld.GaussianChannel()), "channel must be None for none latents"),
    ("co-seq", dict(channel=Slow()), r"channel: speed\(t\) must be -d log_snr/dt"),
    ("co-seq", dict(channel=Ends()), r"channel: log_snr\(t\) must go from log_snr_max to log_snr_min"),
    ("co-seq", dict(channel="fast"), "channel must be a GaussianChannel or MaskedChannel"),
]


@pytest.mark.parametrize(("system", "own", "message"), BAD, ids=[m[:32] for *_, m in BAD])
def test_a_part_that_does_not_fit_is_named(system, own, message):
    with pytest.raises(ValueError, match=message):
        ld.LatentDiffusion.preset(system, TASK, **SMALL, **own)


def test_dry_run_of_own_parts_counts_no_stage_1_where_nothing_is_learned():
    forecast = ld.dryrun.estimate(make("encoder"), TASK, ld.TrainConfig(steps=4, batch=8))
    assert forecast.seconds_per_step[0] == forecast.seconds_per_step[1] and forecast.encoder == 0


# --- channels -----------------------------------------------------------------------------------------------------

def test_speed_of_the_usual_channel_is_its_constant():
    channel = ld.GaussianChannel(5.0, -3.0)
    assert channel.speed(torch.tensor([0.3])) == 8.0


def test_another_schedule_has_the_same_bound_and_step_costs_that_add_up():
    task = ld.tasks.Binsaw(length=8)
    usual, squared = (ld.LatentDiffusion.exact(task, "shift", channel=c) for c in (None, Squared()))
    x = task.sample(2048)
    a, b = usual.nelbo(x, draws=2).total, squared.nelbo(x, draws=2, seed=1).total
    assert abs(a.value - b.value) < 4 * math.hypot(a.stderr, b.stderr)
    z0, guess = torch.ones(1, 1, 2), torch.zeros(1, 1, 2)
    t = torch.linspace(0, 1, 9)
    for channel in (usual.latents, squared.latents):  # one guess: the steps add up to the change of the SNR
        cost = sum(channel.step_cost(z0, None, guess, t[i + 1 : i + 2], t[i : i + 1]) for i in range(8))
        assert float(cost) == pytest.approx(math.exp(6) - math.exp(-6), rel=1e-5)


def test_a_rate_grid_is_of_the_usual_schedule():
    task = ld.tasks.Binsaw(length=4)
    with pytest.raises(ValueError, match="model must have the usual schedule"):
        ld.rate_grid(ld.LatentDiffusion.exact(task, "shift", channel=Squared()), task.sample(16), points=4)


# --- curves -------------------------------------------------------------------------------------------------------

def test_a_straight_curve_is_the_joint_path():
    curve = ld.Curve(lambda u: (u, u))
    assert curve.knots(4, 4) == ld.Path.joint().knots(4, 4) and curve.knots(4) == ld.Path.joint().knots(4)
    assert curve.lead == pytest.approx(0, abs=1e-9) and curve.nfe(3, 3) == 3
    u = torch.linspace(0, 1, 7, dtype=torch.float64)
    assert torch.allclose(torch.stack(curve.at(u)), torch.stack([u, u]))
    assert torch.allclose(torch.stack(curve.slope(u)), torch.ones(2, 7, dtype=torch.float64))


@pytest.mark.parametrize("lead", [0.0, 0.2, 0.5])
def test_a_path_written_as_a_curve_costs_the_same(lead):
    path = ld.Path(lead)
    curve = ld.Curve(path.at, pieces=1000)
    assert curve.lead == pytest.approx(lead, abs=2e-3)
    grid = ld.widgets.path_explorer.stored_grids()[0]
    assert grid.bound(curve).total == pytest.approx(grid.bound(path).total, abs=0.02)
    assert grid.bound(curve).tokens == pytest.approx(grid.bound(path).tokens, abs=0.02)


def test_a_sequential_curve_moves_one_channel_at_a_time():
    knots = ld.Curve(ld.Path.sequential().at).knots(4, 4)
    assert knots == [Knot(1, 1), Knot(1, 0.5), Knot(1, 0), Knot(0.5, 0), Knot(0, 0)]


@pytest.mark.parametrize("shape", [lambda u: (u, u**2), lambda u: (u**2, u), lambda u: (1 - (1 - u) ** 3, u**3)])
def test_the_bound_along_a_curve_is_that_of_every_path(shape):
    """Exact predictors: (M11). Four standard errors."""
    task = ld.tasks.Binsaw(length=8)
    exact, x = ld.LatentDiffusion.exact(task, "shift"), task.sample(2048)
    a = exact.nelbo(x, ld.Path(0.5), draws=4).total
    b = exact.nelbo(x, ld.Curve(shape), draws=4, seed=1).total
    assert abs(a.value - b.value) < 4 * math.hypot(a.stderr, b.stderr)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_any_model_takes_a_curve(system):
    model, curve = ld.LatentDiffusion.preset(system, TASK, **SMALL), ld.Curve(lambda u: (1 - (1 - u) ** 2, u**2))
    trace = model.sample(4, token_steps=3, path=curve, seed=0)
    assert trace.nfe == 3 and (trace.tokens < 2).all() and 0 <= trace.lead <= 0.5
    assert ld.Trace.from_json(trace.to_json()).knots == trace.knots
    assert math.isfinite(model.nelbo(TASK.sample(64), curve).total.value)
    assert math.isfinite(model.nelbo(TASK.sample(64), curve, token_steps=3).total.value)
    row = ld.evaluate.frontier(model, TASK, (2,), path=curve, n=32)[0]
    assert row["nfe"] == 2


BAD_CURVES = [
    (lambda u: (u, 1 - u), "at must lead from"),
    (lambda u: (u, u + torch.sin(6.28318530718 * u) / 2), "at must not fall"),
    (lambda u: (u, torch.where((u > 0) & (u < 1), torch.nan, u)), "at must not fall"),
]


@pytest.mark.parametrize(("shape", "message"), BAD_CURVES)
def test_a_curve_that_is_no_path_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        ld.Curve(shape)


def test_budgets_that_do_not_fit_a_curve_are_named():
    with pytest.raises(ValueError, match="latent_steps must be token_steps=4 on a Curve"):
        ld.Curve(lambda u: (u, u)).knots(4, 2)
    with pytest.raises(ValueError, match="path must be a Path or None"):
        ld.along_path(ld.LatentDiffusion.exact(TASK), TASK.sample(4), ld.Curve(lambda u: (u, u)))

"""What makes the network quick does not change what it computes; and the harness that measures the speed."""

import json

import pytest
import torch

from lddm_lite import checks, objective, speed
from lddm_lite.denoiser import Trunk
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts

B, L, M, W = 5, 7, 3, 16


def streams(timed, seed=0):
    """A float64 trunk that is not the identity, and its inputs."""
    g = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = Trunk(W, blocks=2, heads=2, latent=True, timed=timed).double()
    with torch.no_grad():
        for name, p in trunk.named_parameters():
            if "modulation" in name:
                p.copy_(torch.randn(p.shape, generator=g))
    shapes = ((B, L, W), (B, M, W), (B, W))
    h, y, cond = (torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes)
    return trunk, h, y, cond if timed else None


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_last_block_finished_where_asked_is_the_whole_one(timed, share):
    """Values and gradients in float64: those of finishing all positions and picking afterwards."""
    trunk, h, y, cond = streams(timed)
    where = torch.rand(B, L, generator=torch.Generator().manual_seed(1)) < share
    inputs = [h, y, *([cond] if timed else []), *trunk.parameters()]
    whole, slots = trunk(h, y, cond)
    some, same = trunk(h, y, cond, tokens=where)
    torch.testing.assert_close(some, whole[where])
    torch.testing.assert_close(same, slots)
    w = torch.randn(some.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, b = (
        torch.autograd.grad((out * w).sum() + slots.pow(2).sum(), inputs, retain_graph=True, allow_unused=True)
        for out, slots in ((whole[where], slots), (some, same))
    )
    assert share == 0 or sum(v is not None and bool(v.any()) for v in b) > len(b) / 2
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("timed", [False, True])
def test_what_nobody_asks_for_is_left_out_and_changes_nothing(timed):
    trunk, h, y, cond = streams(timed)
    tokens, latents = trunk(h, y, cond)
    left, same = trunk(h, y, cond, tokens=False)
    assert left is None
    torch.testing.assert_close(same, latents)
    same, left = trunk(h, y, cond, latents=False)
    assert left is None
    torch.testing.assert_close(same, tokens)


TASK = MixtureOfProducts(length=8, modes=3, vocab=5, seed=1)


def model_of(system, slots):
    """A model whose predictions are not those of a fresh one, which knows nothing."""
    model = LatentDiffusion.preset(system, TASK, width=16, heads=2, blocks=2, slots=slots, codes=8, off_path_share=0.3)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in model.denoiser.named_parameters():
            if "modulation" in name or "head" in name:
                p.copy_(torch.randn(p.shape, generator=g) / 4)
    return model.eval()


def two_passes(model, x0, z0, gap, t_x, g, t_off):
    """`path_rates` as written down: a pass for those on the path, then one for those off it, each row by the book."""
    k = {1: 4, 2: 2, 5: 1}[z0.shape[1]]  # about four vectors of latents per sequence
    where_on, rates = slice(0, len(x0) - len(t_off)), []
    for rows, t_z in ((where_on, None), (slice(len(x0) - len(t_off), None), t_off)):
        x, z, d, t = x0[rows], z0[rows], gap[rows], t_x[rows]
        x_t = model.tokens.corrupt(x, t, g)
        times = (t - d).clamp_min(0) if t_z is None else t_z
        z_t = model.latents.corrupt(z, times, g)
        out = model.predict(x_t, z_t, times, torch.ones_like(x_t, dtype=torch.bool))
        tokens = model.tokens.rate(x, x_t, out.tokens.unflatten(0, x.shape), t)
        rate = objective._latent_rate(model, True)
        latents = torch.where(times > 0, rate(z, z_t, out.latents, times.clamp_min(1e-6)), 0.0)
        if t_z is None:
            zz, dd = z.repeat_interleave(k, 0), d.repeat_interleave(k)
            s = 1 - dd * (1 - objective.antithetic(len(zz), g, dd))
            z_s = model.latents.corrupt(zz, s, g)
            alone = rate(zz, z_s, model.predict(None, z_s, s, None).latents, s) * dd
            latents = latents + alone.unflatten(0, (-1, k)).mean(1)
        rates.append((tokens, latents))
    return tuple(torch.cat(part) for part in zip(*rates, strict=True))


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_one_pass_gives_the_rates_of_two(system, slots):
    """The same draws, the same rates and the same gradients, sequence by sequence."""
    model = model_of(system, slots)
    x0 = TASK.sample(9, checks.generator(4))
    with torch.no_grad():
        z0 = model.encode(x0)
    gap = torch.tensor([0.0, 1.0, 0.4, 0.0, 1.0, 0.2, 0.0, 1.0, 0.5])
    t_x, t_off = torch.linspace(0.1, 1.0, 9), torch.tensor([0.3, 0.9])
    options = [model, x0, z0, gap, t_x]
    quick = objective.path_rates(*options, checks.generator(5), t_off, training=True)
    plain = two_passes(*options, checks.generator(5), t_off)
    close = dict(rtol=1e-4, atol=1e-5)  # float32, in another order
    torch.testing.assert_close(quick, plain, **close)
    assert (plain[1] > 0).sum() >= 5  # latents do move in most of them
    weights = list(model.denoiser.parameters())
    a, b = (torch.autograd.grad(tokens.mean() + latents.mean(), weights) for tokens, latents in (quick, plain))
    torch.testing.assert_close(a, b, **close)


def test_everything_off_the_path_or_on_it():
    model = model_of("co-seq", 1)
    x0 = TASK.sample(4, checks.generator(4))
    z0, gap, t = model.encode(x0).detach(), torch.ones(4), torch.full((4,), 0.5)
    for off in (t[:0], t):
        quick = objective.path_rates(model, x0, z0, gap, t, checks.generator(5), off, training=True)
        assert quick[0].shape == quick[1].shape == (4,)
        assert torch.isfinite(quick[0]).all() and (quick[1] > 0).all()


def test_table_of_the_cpu(capsys, tmp_path):
    small = "--width 16 --blocks 1 --heads 2 --length 8 --vocab 9 --batch 4 --repeats 1 --slots 1 --dim 4"
    arguments = [*small.split(), "--device", "cpu", "--token-steps", "1,2", "--json", str(tmp_path / "a.json")]
    found = speed.main(arguments)
    said = capsys.readouterr().out
    assert list(found["training"]) == list(found["sampling"]) == ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"]
    assert all(v > 0 for v in found["training"].values()) and said.count("x mdlm") == 5
    assert list(found["sampling"]["co-seq"]) == [1, 2] and all(v > 0 for v in found["sampling"]["co-seq"].values())
    assert json.loads((tmp_path / "a.json").read_text())["training"] == found["training"]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_throughput_runs_on_a_cpu_too(precision, capsys):
    small = "--width 16 --blocks 1 --heads 2 --length 8 --vocab 9 --batch 4 --repeats 2 --matmul 64"
    found = speed.main([*small.split(), "--device", "cpu", "--throughput", "--precision", precision])
    assert [r["system"] for r in found["throughput"]] == ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"]
    for r in found["throughput"]:
        assert r["mfu"] == pytest.approx(r["flops_per_second"] / found["matmul"])
        assert r["tokens_per_second"] == pytest.approx(4 * 8 / r["seconds_per_step"])
        assert 0 <= r["waiting"] < 1
    assert capsys.readouterr().out.count("MFU") == 5


def test_a_size_goes_through():
    assert speed.build("mdlm", speed.Rows(8, 5, n=1), size="tiny").config.width == 160
    with pytest.raises(ValueError, match="size must be one of tiny"):
        speed.main(["--device", "cpu", "--size", "huge"])


def test_flops_agree_with_a_count_of_the_products():
    """torch counts what runs. At t_x = 1 nothing is left out of the last block; only adaLN, latents' ways in and out,
    which are per sequence or per slot, are not in ours: at width 64, length 32 less than 3 %."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = speed.build("mdlm", speed.Rows(32, 50, n=1), width=64, blocks=2, heads=2)
    x = torch.full((4, 32), model.tokens.mask_id)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.predict(x, None, None, torch.ones_like(x, dtype=torch.bool)).tokens.sum().backward()
    assert counter.get_total_flops() == pytest.approx(speed.step_flops(model, 4), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("latent", [dict(slots=1, dim=8), dict(slots=4, dim=32)])
def test_latent_systems_cost_little_more_than_mdlm(latent):
    """A training step at width 128, 4 blocks, 64 tokens of 1,000: CPU time in one process, the systems in turn.

    At most half as much again: measured 1.26 to 1.39 with one slot, 1.32 to 1.45 with four; the rest is noise."""
    options = dict(width=128, blocks=4, heads=4, **latent)
    taken = speed.training_times(speed.SYSTEMS, speed.Rows(64, 1000), batch=32, repeats=20, **options)
    ratio = {name: t / taken["mdlm"] for name, t in taken.items()}
    assert max(ratio.values()) <= 1.55, ratio

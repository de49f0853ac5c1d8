"""The measurement of speed: its tables, and the operations that it counts."""

import json

import pytest
import torch

from lddm_lite.training import speed
from lddm_lite.training.precision import computing


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_table_of_the_cpu(precision, capsys, tmp_path, monkeypatch):
    """Steps and samples are in the precision that is asked for, and in no other."""
    entered = set()
    monkeypatch.setattr(speed, "computing", lambda model, kind: entered.add(kind) or computing(model, kind))
    small = "--width 16 --blocks 1 --heads 2 --length 8 --vocab 9 --batch 4 --repeats 1 --slots 1 --dim 4"
    arguments = [*small.split(), "--device", "cpu", "--token-steps", "1,2", "--json", str(tmp_path / "a.json")]
    found = speed.main([*arguments, "--precision", precision])
    said = capsys.readouterr().out
    assert entered == {precision} and f"one thread, {precision}:" in said
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


@pytest.mark.parametrize("faster", ["float32", "bf16"])
def test_the_precision_is_that_of_the_faster_step(faster, monkeypatch, capsys):
    """As `train --precision auto` takes it; told to be faster here, as it depends on the machine."""

    def taken(*_, precision, **how):
        return {"seconds_per_step": 1.0 if precision == faster else 2.0}

    monkeypatch.setattr(speed, "throughput", taken)
    small = "--width 16 --blocks 1 --heads 2 --length 8 --vocab 9 --batch 4 --repeats 1 --slots 1 --dim 4"
    found = speed.main([*small.split(), "--device", "cpu", "--systems", "mdlm", "--token-steps", ""])
    assert found["precision"] == faster and faster in capsys.readouterr().out


def test_a_size_goes_through():
    assert speed.build("mdlm", speed.random_data(8, 5, n=1), size="tiny").config.width == 160
    with pytest.raises(ValueError, match="size must be one of tiny"):
        speed.main(["--device", "cpu", "--size", "huge"])


def test_flops_agree_with_a_count_of_the_products():
    """torch counts what runs. At t_x = 1 nothing is left out of the last block; only adaLN,
    latents' ways in and out, which are per sequence or per slot, are not in ours: at width 64,
    length 32 less than 3 %."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = speed.build("mdlm", speed.random_data(32, 50, n=1), width=64, blocks=2, heads=2)
    x = torch.full((4, 32), model.token_channel.mask_id)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.predict(x, None, None, torch.ones_like(x, dtype=torch.bool)).tokens.sum().backward()
    assert counter.get_total_flops() == pytest.approx(speed.step_flops(model, 4), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("latent", [dict(slots=1, dim=8), dict(slots=4, dim=32)])
def test_latent_systems_cost_little_more_than_mdlm(latent):
    """A training step at width 128, 4 blocks, 64 tokens of 1,000: CPU time in one process, the
    systems in turn.

    At most half as much again: measured 1.26 to 1.39 with one slot, 1.32 to 1.45 with four; the
    rest is noise."""
    options = dict(width=128, blocks=4, heads=4, **latent)
    taken = speed.training_times(speed.SYSTEMS, speed.random_data(64, 1000), batch=32, repeats=20, **options)
    ratio = {name: t / taken["mdlm"] for name, t in taken.items()}
    assert max(ratio.values()) <= 1.55, ratio

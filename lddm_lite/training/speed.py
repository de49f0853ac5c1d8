"""Benchmarks of training and sampling speed: `python -m lddm_lite.training.speed`.

On a CPU: one thread and its CPU time, so that busy cores matter little. On a GPU: throughput, and
how much of the rate at which the card multiplies large matrices a training step reaches (MFU).
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from typing import Any

import torch

from .._common import arguments, randomness
from .._common.files import write_json
from .._common.protocols import Data, Model
from ..config import SYSTEMS, Config
from ..model import LatentDiffusion
from ..networks.denoiser import forward_flops
from ..tasks.arrays import ArrayData, from_arrays
from .precision import computing, fastest

__all__ = ["build", "matmul_rate", "one_thread", "random_data", "sampling_times", "step_flops", "throughput"]
__all__ += ["training_times"]

WARM_UP = 3
SETTLED = 20  # steps after which kernels are written: compiled ones, and those of bfloat16 products on a CPU
ROWS = 100_000  # sequences held in memory, from which batches are drawn as from a text


def random_data(length: int, vocab: int, n: int = ROWS) -> ArrayData:
    """Random tokens as data, for benchmarks: what a step costs does not depend on what it learns.

    >>> random_data(length=4, vocab=9, n=10).sample(2).shape
    torch.Size([2, 4])
    """
    arguments.integer("vocab", vocab, minimum=2)
    rows = torch.randint(vocab, (n, length), generator=randomness.generator(0))
    return from_arrays(rows, labels=[str(i) for i in range(vocab)])


@contextmanager
def one_thread():
    """Within this block torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def build(system: str, data: Data, device="cpu", **options) -> LatentDiffusion:
    """A fresh model of `system` for `data` on `device`; `options` are those of `Config.preset`.
    Latent options, such as slots, mean nothing to mdlm, and are harmless there."""
    config = Config.preset(system, data.length, data.vocab, **options)
    return LatentDiffusion.from_config(config, data.labels, data.spec()).to(device)


def _stepper(model: Model, lr: float = 1e-4):
    """A training step of stage 2 on tokens x [B, L]: loss, backward, AdamW. Weights are what
    training starts from."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    g = randomness.generator(0, model.device)
    model.denoiser.train()
    if model.encoder is not None:
        model.encoder.eval()

    def step(x: torch.Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        model.loss(x, g).total.backward()
        optimiser.step()

    return step


def training_times(
    systems, data: Data, batch: int = 32, repeats: int = 12, precision: str = "float32", **options
) -> dict[str, float]:
    """CPU seconds of a training step of each system, on one thread: the first quartile, since
    bursts of other load move the median. The systems take turns, so that a change in the machine's
    pace meets all alike.

    - `systems`, `data`, `options`: of the models, as for `build`;
    - `batch`: sequences of a step;
    - `repeats`: steps that are timed;
    - `precision`: as for `computing`.

    >>> sorted(training_times(["mdlm"], random_data(8, 5, n=20), batch=4, repeats=1, width=16))
    ['mdlm']
    """
    g = randomness.generator(1)
    models = {name: build(name, data, **options) for name in systems}
    steps = {name: _stepper(model) for name, model in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in systems}
    first = _warm_up(precision)
    with one_thread():
        for _ in range(first + arguments.integer("repeats", repeats, minimum=1)):
            x = data.sample(batch, g)
            for name, step in steps.items():
                with computing(models[name], precision):
                    begin = time.process_time()
                    step(x)
                    taken[name].append(time.process_time() - begin)
    return {name: sorted(v[first:])[repeats // 4] for name, v in taken.items()}


def _warm_up(precision: str, compile: bool = False) -> int:
    """Steps that are left out."""
    return SETTLED if compile or precision == "bf16" else WARM_UP


def sampling_times(
    system: str, data: Data, counts=(16, 64), n: int = 64, repeats: int = 3, precision: str = "float32", **options
) -> dict[int, float]:
    """CPU seconds to sample at each number of token steps, on one thread; latent steps as usual.

    - `system`, `data`, `options`: of the model, as for `build`;
    - `counts`: numbers of token steps;
    - `n`: sequences;
    - `repeats`: the best of so many is taken: what else a machine does only ever adds;
    - `precision`: as for `computing`.

    >>> list(sampling_times("mdlm", random_data(8, 5, n=20), counts=(2,), n=2, width=16))
    [2]
    """
    model, out = build(system, data, **options).eval(), {}
    with one_thread(), computing(model, precision):
        model.sample(n, token_steps=2)
        for count in counts:
            taken = []
            for seed in range(arguments.integer("repeats", repeats, minimum=1)):
                begin = time.process_time()
                model.sample(n, token_steps=count, seed=seed)
                taken.append(time.process_time() - begin)
            out[count] = min(taken)
    return out


def matmul_rate(device="cpu", size: int = 8192, dtype=torch.bfloat16, repeats: int = 20) -> float:
    """FLOP/s of multiplying two square matrices of `size`: what the machine can reach, as against
    what is written on it. Best of three rounds.

    >>> matmul_rate("cpu", size=64, dtype=torch.float32, repeats=2) > 0
    True
    """
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    _seconds(lambda: a @ b, device, WARM_UP)
    return 2 * size**3 * repeats / min(_seconds(lambda: a @ b, device, repeats) for _ in range(3))


def _seconds(call, device, times: int) -> float:
    """Seconds that `times` calls take, including what they leave for the device to do."""

    def settle():
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)

    settle()
    begin = time.perf_counter()
    for _ in range(times):
        call()
    settle()
    return time.perf_counter() - begin


def step_flops(model: Model, batch: int) -> int:
    """FLOPs of a training step by the usual count: three times those of a call (`forward_flops`). The
    main pass alone: all L tokens with the weights of the token stream and the head, all m slots with
    those of the latent stream. That the last block and the
    head run at masked positions only is not deducted; encoder and latent-only passes are not added.

    >>> step_flops(build("mdlm", random_data(8, 5, n=1), width=16, blocks=1, heads=1), batch=1)
    163584
    """
    return batch * 3 * int(forward_flops(model.denoiser))


def throughput(
    system: str,
    data: Data,
    batch: int,
    device="cpu",
    steps: int = 20,
    precision: str = "bf16",
    compile: bool = False,
    peak: float | None = None,
    **options,
) -> dict:
    """Training throughput: seconds per step, tokens/s, FLOP/s, `mfu` (share of `peak`) and
    `waiting`, the share of a step that goes when batches must first be drawn and brought to the
    device.

    - `system`, `data`, `device`, `options`: of the model, as for `build`;
    - `batch`: sequences of a step;
    - `steps`: over which the time is taken;
    - `precision`, `compile`: as for `computing`;
    - `peak`: FLOP/s that the device can reach; None measures `matmul_rate`.

    >>> out = throughput("mdlm", random_data(8, 5, n=20), batch=4, steps=1, peak=1e9, precision="float32", width=16)
    >>> out["tokens_per_second"] > 0 and 0 <= out["waiting"] < 1
    True
    """
    arguments.integer("batch", batch, minimum=1)
    arguments.integer("steps", steps, minimum=1)
    model = build(system, data, device, **options)
    step, g = _stepper(model), randomness.generator(1)
    fixed = data.sample(batch, g).to(device)
    with computing(model, precision, compile):
        _seconds(lambda: step(fixed), device, _warm_up(precision, compile))
        resident = _seconds(lambda: step(fixed), device, steps) / steps
        fed = _seconds(lambda: step(data.sample(batch, g)), device, steps) / steps
    flops = step_flops(model, batch) / fed
    peak = matmul_rate(device) if peak is None else peak
    return {
        "system": system,
        "million_parameters": sum(p.numel() for p in model.denoiser.parameters()) / 1e6,
        "seconds_per_step": fed,
        "tokens_per_second": batch * data.length / fed,
        "flops_per_second": flops,
        "mfu": flops / peak,
        "waiting": max(0.0, 1 - resident / fed),
    }


def _faster(system: str, data: Data, batch: int, device: str, **options) -> str:
    """The precision whose steps take less time here, as `train --precision auto` chooses it."""
    how = dict(steps=WARM_UP, peak=1.0, **options)
    with one_thread():
        return fastest(
            lambda kind: throughput(system, data, batch, device, precision=kind, **how)["seconds_per_step"],
            torch.device(device),
        )


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m lddm_lite.training.speed", description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    p.add_argument("--systems", default=",".join(SYSTEMS), help="comma-separated (default: all five)")
    p.add_argument("--size", help="tiny, small, base or minilm, instead of width, blocks and heads")
    shape = dict(width=128, blocks=4, heads=4, length=64, vocab=1000, batch=32, slots=4, dim=32, repeats=20)
    for name, value in shape.items():
        p.add_argument(f"--{name}", type=int, default=value, help=f"(default: {value})")
    p.add_argument("--token-steps", default="16,64", help="of sampling; empty: none (default: 16,64)")
    p.add_argument("--throughput", action="store_true", help="throughput on a CPU, too; on a GPU it always is")
    p.add_argument(
        "--precision", default="auto", choices=("float32", "bf16", "auto"),
        help="auto, as in train: whichever a few steps show to be faster here (default: auto)",
    )  # fmt: skip
    p.add_argument("--compile", action="store_true", help="torch.compile the transformer blocks for it")
    p.add_argument("--matmul", type=int, default=8192, metavar="N", help="size of the matrices (default: 8192)")
    p.add_argument("--json", metavar="FILE", help="write the figures there, too")
    return p


def main(arguments=None) -> dict:
    """Print the figures, and return them."""
    o = _parser().parse_args(arguments)
    options = dict(size=o.size) if o.size else dict(width=o.width, blocks=o.blocks, heads=o.heads)
    options |= dict(slots=o.slots, dim=o.dim)
    data, systems = random_data(o.length, o.vocab), o.systems.split(",")
    precision = _faster(systems[0], data, o.batch, o.device, **options) if o.precision == "auto" else o.precision
    found: dict[str, Any] = {"options": vars(o), "torch": torch.__version__, "precision": precision}
    if o.device == "cpu" and not o.throughput:
        counts = [int(k) for k in o.token_steps.split(",") if k]
        found["training"] = training_times(systems, data, o.batch, o.repeats, precision, **options)
        found["sampling"] = {s: sampling_times(s, data, counts, precision=precision, **options) for s in systems}
        print(f"CPU time, one thread, {precision}: a training step; 64 samples at so many token steps")
        base = found["training"].get("mdlm")
        for s, t in found["training"].items():
            ratio = f"{t / base:.2f} x mdlm" if base else ""
            samples = "  ".join(f"{k}: {v:.2f} s" for k, v in found["sampling"][s].items())
            print(f"{s:9s} {1000 * t:7.1f} ms  {ratio:11s}  {samples}", flush=True)
    else:
        found["device"] = torch.cuda.get_device_name(o.device) if o.device.startswith("cuda") else o.device
        found["matmul"] = peak = matmul_rate(o.device, o.matmul)
        print(f"{found['device']}: {peak / 1e12:.3g} TFLOP/s, bf16 matrices of {o.matmul}")
        how = dict(steps=o.repeats, precision=precision, compile=o.compile, peak=peak)
        found["throughput"] = [throughput(s, data, o.batch, o.device, **how, **options) for s in systems]
        for r in found["throughput"]:
            print(
                f"{r['system']:9s} {r['million_parameters']:6.1f} M  {1000 * r['seconds_per_step']:8.2f} ms/step  "
                f"{r['tokens_per_second']:12,.0f} tokens/s  MFU {r['mfu']:.1%}  waiting for data {r['waiting']:.1%}",
                flush=True,
            )
    if o.json:
        write_json(o.json, found)
    return found


if __name__ == "__main__":
    main()

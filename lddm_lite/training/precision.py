"""Mixed precision (bfloat16 autocast) and torch.compile while training runs; weights stay float32.

Both work on the transformer blocks, where nearly all arithmetic is. Everything around them stays
float32: heads and losses, latents, the encoder's statistics and codebook, the optimiser and the
averages. Beside bfloat16, products of matrices that are left read their float32 factors as TF32 on
a GPU, as bfloat16 on a CPU, where the device can.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, nullcontext

import torch

from .._common import protocols
from .._common.protocols import Model

__all__ = ["check_precision", "computing", "fastest"]

WIDE = {"cuda": "high", "cpu": "medium"}  # how products of float32 matrices are then made; sums stay float32
WORTH = 0.9  # bf16 is taken where its steps take less than this share of the time

# The last block picks masked positions, whose number is not known beforehand; with and without
# tokens, latents and gradients there are a dozen graphs.
DYNAMO = {"capture_dynamic_output_shape_ops": True, "recompile_limit": 32}


def check_precision(precision: str, device: torch.device) -> None:
    """ValueError where the device cannot compute in `precision`.

    >>> check_precision("bf16", torch.device("cpu"))
    """
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ValueError(f"precision='bf16': {torch.cuda.get_device_name(device)} has no bfloat16; take float32")


def fastest(seconds: Callable[[str], float], device: torch.device) -> str:
    """The precision whose steps take less time, as `seconds` of a precision measures it: a flag of
    the processor does not tell. Without bfloat16 on the device, and where it gains little, float32.

    >>> fastest({"float32": 1.0, "bf16": 0.6}.get, torch.device("cpu"))
    'bf16'
    """
    try:
        check_precision("bf16", device)
    except ValueError:
        return "float32"
    return "bf16" if seconds("bf16") < WORTH * seconds("float32") else "float32"


@contextmanager
def computing(model: Model, precision: str = "float32", compile: bool = False, say=print):
    """Within this block the model's transformer blocks compute in `precision`, and compiled if
    `compile`. Where compiling fails, `say` is told so in a sentence, once, and the
    blocks run as they are. Modules and state dict are the same during and after it.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16)
    >>> with computing(model, "bf16"):
    ...     model.loss(tasks.Binsaw(length=8).sample(4)).total.dtype
    torch.float32
    """
    check_precision(precision, model.device)
    kind = model.device.type
    trunk = protocols.trunk(model.denoiser)
    blocks = [trunk, protocols.trunk(model.encoder)]
    changed, wide = [], None
    try:
        if precision == "bf16" and kind in WIDE:  # what is not in the blocks: heads, and ways in
            wide = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision(WIDE[kind])
        for module in filter(None, blocks):
            forward = module.forward
            if compile and module is trunk:
                forward = _compiled(forward, say)
            if precision == "bf16":
                forward = _bf16(forward, kind)
            if forward != module.forward:
                module.forward = forward  # on the instance: neither a parameter nor part of the state dict
                changed.append(module)
        with torch._dynamo.config.patch(DYNAMO) if compile else nullcontext():
            yield
    finally:
        if wide is not None:
            torch.set_float32_matmul_precision(wide)
        for module in changed:
            del module.forward


def _bf16(forward, kind: str):
    def call(*args, **options):
        with torch.autocast(kind, torch.bfloat16):
            out = forward(*args, **options)
        if isinstance(out, tuple):
            return tuple(None if t is None else t.float() for t in out)
        return out.float()

    return call


def _compiled(forward, say):
    from torch._dynamo.exc import TorchDynamoException

    fast: Callable | None = torch.compile(forward)  # whose second graph takes any number of rows

    def call(*args, **options):
        nonlocal fast
        if fast is not None:
            try:
                return fast(*args, **options)
            except (TorchDynamoException, RuntimeError, OSError) as e:
                if not _is_compilers(e):
                    raise
                fast = None
                say(f"compile: that fails here ({_line(e)}); going on without")
        return forward(*args, **options)

    return call


def _is_compilers(e: Exception) -> bool:
    """Did compiling fail, rather than what was compiled?"""
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(e, TorchDynamoException) or type(e).__module__.startswith(("torch._inductor", "triton"))


def _line(e: Exception) -> str:
    return next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__)[:200]

"""What two processes do together: `accelerate launch --module tests.support.parallel_runs FOLDER`,
started by training/test_processes.py.
"""

import json
import sys
from pathlib import Path

import torch

from lddm_lite import LatentDiffusion
from lddm_lite.training import loop, processes
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, interrupt, run, start


def digest(model):
    """Sums of bits: equal for equal tensors, hardly ever for others."""
    return {k: int(v.detach().view(-1).view(torch.int32).long().sum()) if v.dtype == torch.float32 else v.tolist()
            for k, v in model.state_dict().items()}


# Rounding differs with the order of summation. Large steps amplify it, and so does centring within
# a few sequences: of four, two alike each, every coordinate becomes 1 or -1, and codes are tied.
# So: small steps, micro-batches of 16 and more.
CALM = dict(batch=64, lr=1e-3, log_every=1)


def opened(model):
    """The model with an encoder that tells sequences apart. As it starts, with gates at zero, its
    output is the same for all, and centring makes latents of the rounding errors that are left: any
    order of summation gives others."""
    if model.encoder is not None:
        g = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for block in [*model.encoder.trunk.token, *model.encoder.trunk.latent]:
                block.modulation.copy_(torch.randn(block.modulation.shape, generator=g))
    return model


def main(out):
    torch.set_num_threads(1)
    loop.z_response = lambda *a: 1.0
    rank = processes.rank()
    for system, accumulate in (("mdlm", 1), ("co-seq", 2), ("di-seq", 1), ("co-seq", 4), ("di-seq", 4)):
        # what the processes are given may differ: the main one's weights count
        model = LatentDiffusion.preset(system, TASK, seed=1 + rank, **SMALL)
        model, history = run(system, opened(model), accumulate=accumulate, **CALM)
        told = {"rows": history.rows, "sums": digest(model)}
        (out / f"{system}-{max(2, accumulate)}-{rank}.json").write_text(json.dumps(told))
    feed = Feed(16, **({"s7": interrupt} if rank == 1 else {}))
    history = fit(start("mdlm"), feed, out=out / "run", **QUICK)
    step = history.state.meta["step"]
    (out / f"stopped-{rank}.json").write_text(json.dumps({"step": step, "interrupted": history.interrupted}))
    processes.join("cpu").close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

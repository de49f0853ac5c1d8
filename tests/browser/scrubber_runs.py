"""The runs that the scrubber's browser tests look at: small, made by untrained models, the same
each time."""

from __future__ import annotations

import numpy as np

from lddm_lite import LatentDiffusion, Trace, from_arrays, tasks
from lddm_lite.widgets import Scrubber

HOSTILE = ["</script><img src=x onerror=document.title='owned'>", "שלום עולם", "🙂🙃", "x" * 10_000]
HOSTILE += ["<b>bold</b>", "a&amp;b"]


def bits(n: int = 6, token_steps: int = 2, latent_steps: int = 4, length: int = 32) -> tuple[Scrubber, list[Trace]]:
    """co-seq beside a shorter mdlm on Binsaw, with encoded data behind the latents."""
    task = tasks.Binsaw(length=length)
    model = LatentDiffusion.preset("co-seq", task, width=16, dim=2)
    runs = [
        model.sample(n, token_steps=token_steps, latent_steps=latent_steps, seed=0),
        LatentDiffusion.preset("mdlm", task, width=16).sample(n, token_steps=token_steps + 1, seed=0),
    ]
    return Scrubber(runs, model=[model, None], task=task, names=["latents", "baseline"], title="two systems"), runs


def words() -> tuple[Scrubber, Trace]:
    """Sentences with three latent codes each, from an untrained model: any word anywhere."""
    task = tasks.ToyNewswire()
    model = LatentDiffusion.preset("di-seq", task, width=16, slots=3, codes=8)
    run = model.sample(4, token_steps=4, seed=0)
    return Scrubber(run, model=model, task=task), run


def hostile() -> tuple[Scrubber, Trace]:
    """Words that would like to be HTML."""
    run = Trace(
        [[0, 1, 2, 3, 4, 5]], [[1, 2, 1, 2, 0, 1]], [[0.5] * 6], [(1, 0), (0.5, 0), (0, 0)], HOSTILE, 6,
        model="<script>document.title='owned'</script>",
    )
    return Scrubber(run, title="</title><script>document.title='owned'</script>"), run


def pictures() -> tuple[Scrubber, Trace]:
    """Pictures of 4 x 4 tokens with their class in front, whose upper half was given."""
    rng = np.random.default_rng(0)
    data = from_arrays(rng.integers(0, 3, (30, 4, 4)), classes=rng.integers(0, 2, 30))
    model = LatentDiffusion.preset("mdlm", data, width=16)
    start = data.sample(6, seed=0)
    start[:, 9:] = data.vocab
    run = model.infill(start, token_steps=3, seed=0)
    return Scrubber(run), run


def large() -> Scrubber:
    """64 samples x 128 tokens x 32 steps, with all four views: what speed is measured on."""
    rng = np.random.default_rng(0)
    n, length, steps = 64, 128, 32
    run = Trace(
        rng.integers(0, 2, (n, length)),
        rng.integers(1, steps + 1, (n, length)),
        rng.random((n, length)),
        [(1 - k / steps, 1 - k / steps) for k in range(steps + 1)],
        ["0", "1"],
        2,
        latents=rng.normal(size=(steps + 1, n, 1, 2)).cumsum(0) / 4,
        alternatives=np.broadcast_to([0, 1], (n, length, 2)),
        alternative_probs=np.full((n, length, 2), 0.5),
    )
    return Scrubber(run, cloud=rng.normal(size=(800, 1, 2)), hue=rng.random(800))

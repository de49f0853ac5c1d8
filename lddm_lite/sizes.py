"""Sizes of models of text: a name for width, blocks and heads, so that systems are compared at equal parameters.

Latent systems carry a second stream and, with continuous latents, time modulation: at equal width they are 2 to 3 times
larger than `mdlm`. `tiny` and `small` therefore differ by latent kind, so that the denoisers of all five systems agree
within 10 % at 4,000 tokens of vocabulary and length 64 (the encoder comes on top; it is not needed for sampling).
`base` is the width and depth of the papers for all.

| size | mdlm | continuous | discrete | million parameters of the denoiser | for |
|---|---|---|---|---|---|
| tiny | 160 x 6 | 128 x 3 | 128 x 5 | 3.1, 2.9, 3.1 | a laptop |
| small | 512 x 8 | 384 x 5 | 384 x 7 | 29, 30, 28 | one GPU |
| base | 768 x 12 | 768 x 12 | 768 x 12 | 91, 264, 178 | several GPUs |

All have `network="text"`: rotary attention, small embeddings and open gates at the start save thousands of steps.
The default learning rate, 2e-3, is for narrow models; 3e-4 is usual for `small` and `base`.
"""

from __future__ import annotations

__all__ = ["SIZES", "expand"]

SIZES: dict[str, dict[str, dict]] = {  # size -> latent kind -> fields of Config
    "tiny": {
        "none": dict(width=160, blocks=6, heads=5),
        "continuous": dict(width=128, blocks=3, heads=4),
        "discrete": dict(width=128, blocks=5, heads=4),
    },
    "small": {
        "none": dict(width=512, blocks=8, heads=8),
        "continuous": dict(width=384, blocks=5, heads=6),
        "discrete": dict(width=384, blocks=7, heads=6),
    },
    "base": {kind: dict(width=768, blocks=12, heads=12) for kind in ("none", "continuous", "discrete")},
}


def expand(size: str | None, latent: str) -> dict:
    """The fields of `Config` that a size stands for; none for None. ValueError for an unknown size.

    >>> expand("base", "none")
    {'width': 768, 'blocks': 12, 'heads': 12, 'network': 'text'}
    """
    if size is None:
        return {}
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}; got {size!r}")
    return {**SIZES[size][latent], "network": "text"}

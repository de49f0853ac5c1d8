"""Bad arguments of the public API give a ValueError that names the argument, what was given and
what is allowed."""

import math

import pytest
import torch

from lddm_lite.diffusion.paths import Path
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts

TASK = MixtureOfProducts(length=6, modes=3, vocab=3, seed=1)
MODEL = LatentDiffusion.preset("co-seq", TASK)
X = torch.zeros(2, 6, dtype=torch.long)
BAD = [
    (lambda m: m.sample(0), "n must be an integer >= 1"),
    (lambda m: m.sample(2, token_steps=-4), "token_steps must be an integer >= 1, got -4"),
    (lambda m: m.sample(2, token_steps=2.5), "token_steps must be"),
    (lambda m: m.sample(2, 4, latent_steps=0), "latent_steps must be >= 1"),
    (lambda m: m.sample(2, 4, latent_steps=-1), "latent_steps must be"),
    (lambda m: m.sample(2, 4, path=Path(0.6)), r"lead must be a number in \[0.0, 0.5\], got 0.6"),
    (lambda m: m.sample(2, temperature=-1), r"temperature must be a number in \[0.0, inf\), got -1"),
    (lambda m: m.sample(2, temperature=math.nan), "temperature must be"),
    (lambda m: m.sample(2, eta=1.5), r"eta must be a number in \[0.0, 1.0\]"),
    (lambda m: m.sample(2, seed=-1), "seed must be"),
    (lambda m: m.sample(2, batch=0), "batch must be"),
    (lambda m: m.infill(X[:0]), "x is an empty batch"),
    (lambda m: m.infill(X[:, :5]), "x must have length 6, got 5"),
    (lambda m: m.infill(X + 4), r"x holds ids 4\.\.4; allowed are 0\.\.3 \(3 is the mask\)"),
    (lambda m: m.infill(X.float()), "x must hold integer token ids, got dtype torch.float32"),
    (lambda m: m.infill(X[0]), r"x must have shape \[batch, 6\]"),
    (lambda m: m.infill(X, n=0), "n must be"),
    (lambda m: m.nelbo(X + 3), r"x holds ids 3\.\.3; allowed are 0\.\.2"),
    (lambda m: m.nelbo(X - 1), r"x holds ids -1\.\.-1"),
    (lambda m: m.loss(X[:0]), "x0 is an empty batch"),
    (lambda m: m.loss(X > 0), "x0 must hold integer token ids, got dtype torch.bool"),
    (lambda m: LatentDiffusion.preset("lddm", TASK), "system must be one of mdlm, co-joint"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, widht=64), "unknown option 'widht'; allowed are"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, width=30), "width must be a multiple of heads=4"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, lead=0.7), "lead must be"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, seed=-1), "seed must be"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, latent="vector"), "latent must be none, continuous or discrete"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, pad_id=3), "pad_id must be"),
    (lambda m: LatentDiffusion.preset("co-seq", TASK, own_share=0.7, off_path_share=0.4), "off_path_share must be"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[m[:24] for _, m in BAD])
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(MODEL)


def test_latent_steps_without_latents():
    mdlm = LatentDiffusion.preset("mdlm", TASK)
    assert mdlm.sample(1, 2, latent_steps=0).nfe == 2
    with pytest.raises(ValueError, match="latent_steps must be 0 for 'mdlm', which has no latents; got 4"):
        mdlm.sample(1, 2, latent_steps=4)

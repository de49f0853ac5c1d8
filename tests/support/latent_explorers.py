"""Explorers of latents, as the tests of the widget and those in the browser look at them."""

import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.widgets import LatentExplorer

SIZES = dict(width=16, heads=2, blocks=1, encoder_blocks=1)
SAW = tasks.Binsaw(length=16)
HOSTILE = ["</script><img src=x onerror=alert(1)>", "<b>bold</b>", "שלום", "👩‍🚀", "w" * 10_000, "a&b", "\u2028", "$x$"]


def small(system="co-seq", data=SAW, **changes):
    """A fresh model of one block."""
    return LatentDiffusion.preset(system, data, **{**SIZES, **changes})


def shifts():
    """Of the exact model: its latents are the shifts, and what it decodes follows them."""
    x = SAW.sample(40, seed=0)
    model = LatentDiffusion.exact(SAW, "shift")
    return LatentExplorer(model, x, hue=SAW.find_shift(x) * SAW.saws, walk_steps=5)


def hostile():
    """With markup, other scripts and very long words for labels, hues and title."""
    labels = HOSTILE + [f"w{k}" for k in range(8)]
    model = small("co-seq", tasks.MixtureOfProducts(length=5, vocab=16), dim=2)
    model.labels = labels
    x = torch.arange(16).reshape(-1, 1).expand(16, 5).contiguous()
    hue = [HOSTILE[k % 3] for k in range(16)]
    return LatentExplorer(model, x, hue=hue, title=HOSTILE[0])

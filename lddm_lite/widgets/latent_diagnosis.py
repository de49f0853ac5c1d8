"""Latent diagnosis widget: what a model's latents know, with sequences beside the numbers."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from .._common import schemas
from .._common.estimate import Estimate
from .._common.protocols import Data
from ..evaluation import latents
from ..evaluation.latents import KINDS, RATES, Diagnosis
from ..model import LatentDiffusion
from ..plots.run_frame import png
from ..plots.style import FAINT, GROUPS
from .base import Widget
from .scrubber_data import structures, view_of

__all__ = ["LatentDiagnosis"]

NAMES = {"true": "true z", "wrong": "someone else's z", "none": "no z", "sampled": "sampled z"}


class LatentDiagnosis(Widget):
    """Latent diagnosis: what does the latent know? Tokens drawn given the true latents, another
    sequence's, none, and the model's own, side by side; what a masked token costs by mask rate; and
    the total correlation that is left (`evaluation.diagnose`, METHOD 5). All of it lives in the
    browser.

    - `model`, `data`: of the same tokens and length, a task or a text; a model without latents has
      one column;
    - `found`: a `Diagnosis` of them at hand; None measures one, of `n` sequences, which can take minutes;
    - `examples`: how many sequences to show;
    - `seed`: of the sequences, what is masked, and all draws;
    - `title`: above it.

    `found` is the diagnosis. Raises ValueError as `diagnose`.

    >>> from lddm_lite import tasks
    >>> task = tasks.Binsaw(length=8)
    >>> LatentDiagnosis(LatentDiffusion.preset("co-seq", task, dim=2, width=16), task, n=16, examples=2)
    LatentDiagnosis(What does the latent know? co-seq)
    """

    _kind = "latent-diagnosis"

    @schemas.checked(
        "model", "data", "seed", "title", n=schemas.whole(2, limit="samples"), examples=schemas.whole(2, 64),
    )  # fmt: skip
    def __init__(
        self,
        model: LatentDiffusion,
        data: Data,
        found: Diagnosis | None = None,
        *,
        n: int = 256,
        examples: int = 6,
        seed: int = 0,
        title: str | None = None,
    ):
        self.found = latents.diagnose(model, data, n, RATES, seed) if found is None else found
        if not isinstance(self.found, Diagnosis):
            raise ValueError(f"found must be a Diagnosis or None, got {type(self.found).__name__}")
        rates = list(self.found.costs)
        shown = latents.examples(model, data, examples, rates, seed)
        kinds = [kind for kind in KINDS if kind in self.found.costs[rates[0]]]
        tokens = [shown["real"], *(shown["visible"][r] for r in rates)]
        tokens += [shown["drawn"][r][kind] for r in rates for kind in kinds]
        used, index = np.unique(np.stack([torch.as_tensor(v).cpu().numpy() for v in tokens]), return_inverse=True)
        pad = model.config.pad_id
        view = view_of(model.data, model.config.length, model.config.vocab, used.tolist())
        if view is not None and view["kind"] == "molecule":
            rows = np.stack([torch.as_tensor(v).cpu().numpy() for v in tokens], 1).reshape(-1, model.config.length)
            words = [*model.labels, "[MASK]"]
            view |= structures("".join(words[v] for v in row if v != pad) for row in rows)
        head = {
            "title": title or f"What does the latent know? {model.name}",
            "labels": ["[MASK]" if v == model.config.vocab else model.labels[v] for v in used],
            "pad": -1 if pad is None or pad not in used else int(np.flatnonzero(used == pad)[0]),
            "view": view,
            "kinds": kinds,
            "rates": rates,
            "found": _plain(self.found.to_dict()),
        }
        super().__init__(head, {"tokens": index.reshape(len(tokens), *shown["real"].shape)})

    def still(self) -> bytes:
        """What a masked token costs by mask rate, as PNG."""
        figure = Figure(figsize=(6, 3.4), layout="constrained")
        ax = figure.add_subplot()
        for kind in KINDS:
            points = [(rate, of[kind]) for rate, of in self.found.costs.items() if kind in of]
            x, y, se = ([v for v, _ in points], *([getattr(e, a) for _, e in points] for a in ("value", "stderr")))
            if points:
                ax.errorbar(x, y, 2 * np.array(se), marker="o", color=GROUPS[KINDS.index(kind)], label=NAMES[kind])
        ax.set(xlabel="share of tokens masked", ylabel="nats a masked token")
        ax.legend(frameon=False)
        ax.spines[:].set_color(FAINT)
        return png(figure)


def _plain(value):
    """Estimates as [value, stderr], keys as text, for JSON; None for what is not finite."""
    if isinstance(value, Estimate):
        return [_plain(value.value), _plain(value.stderr)]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if not isinstance(value, float) or np.isfinite(value) else None

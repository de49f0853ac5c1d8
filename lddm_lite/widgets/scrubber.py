"""The scrubber: drag, play or key through the denoising of one run, or of several at equal network
calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .._common import arguments, schemas
from .._common.quantised import KINDS
from ..model import LatentDiffusion
from ..plots.run_frame import side_by_side
from ..tasks import MixtureTask
from . import payload
from .base import Kept, Widget
from .scrubber_data import collect, exported, go_on

__all__ = ["Scrubber"]


class Scrubber(Widget):
    """Step through denoising: tokens, all samples, latents and noise times of one `Trace`, or of
    two to four in step by NFE. The whole run lives in the browser; moving in time never asks the
    kernel.

    - `traces`: a Trace, or a list of up to four with as many sequences each;
    - `model`: one, or a list, one for each trace: the latent plane then shows encoded data behind,
      and a ring where the encoder would put the finished sequence;
    - `task`, `data`: what is encoded: token ids [N, L], or a task that makes them;
    - `hue`: colours of the data: N numbers in [0, 1) (cyclic), or N group names;
    - `order` [n], or one for each trace: sorts the rows of the picture of all samples;
    - `cloud` [N, m, d]: encoded data, given directly;
    - `names`: headings;
    - `samples`: how many sequences of a trace to take along;
    - `step`: where to start; None for the end, where there is something to see;
    - `title`: above it;
    - `weights`: take the models along, one of `_common.quantised.KINDS`, so that runs go on in the
      page; they lie once in it, for all its widgets (see `Playground`).

    Where a model is given, and the kernel runs or its weights came along, a click on a token (or the
    plane, or a code) changes it, and the run goes on from that step, as a branch beside the old one;
    *Drop*, or Delete, removes it. At the end tokens become gaps, which are filled.

    Traits: `step` and `sample`, which follow the browser at most once a second and can be set, from 0
    to `last` and to the last sequence; TraitError else. Raises ValueError for no trace, more than
    four, or arguments whose sizes disagree.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> s = Scrubber(LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(4, token_steps=3))
    >>> s.last, s.step
    (3, 3)
    """

    _kind = "scrubber"
    _state = ("step", "sample")

    step = Kept(0, "_steps").tag(sync=True)
    sample = Kept(0, "_samples").tag(sync=True)
    last = _last_sample = 0

    @schemas.checked(
        "title", model=schemas.maybe(schemas.one_of(schemas.items(schemas.maybe(schemas.model)), schemas.model)),
        task=schemas.maybe(schemas.task), names=schemas.maybe(schemas.items(schemas.maybe(schemas.text(most=1000)))),
        samples=schemas.whole(1), step=schemas.whole(0), weights=schemas.maybe(schemas.choice(*KINDS)),
    )  # fmt: skip
    def __init__(
        self,
        traces,
        *,
        model: LatentDiffusion | Sequence[LatentDiffusion | None] | None = None,
        task: MixtureTask | None = None,
        data: np.ndarray | torch.Tensor | None = None,
        hue=None,
        order=None,
        cloud=None,
        names=None,
        samples: int = 64,
        step: int | None = None,
        title: str | None = None,
        weights: str | None = None,
    ):
        self.traces = side_by_side(traces)
        head, arrays, self._frame = collect(self.traces, model, task, data, hue, order, cloud, names, samples)
        self.last = max(t.steps for t in self.traces)
        head["title"] = title or " | ".join(r["name"] for r in head["runs"])
        self._last_sample = head["samples"] - 1
        each = isinstance(model, list | tuple)
        self._models: list[Any] = list(model) if each else [model] * len(self.traces)  # type: ignore[arg-type]
        if weights is not None:
            self._take_along(head, weights)
        super().__init__(head, arrays, step=self.last if step is None else self._steps("step", step))

    def _take_along(self, head: dict, weights: str) -> None:
        """Pack the models of all runs that can go on. ValueError where there is none."""
        sent = {}
        for run, model in zip(head["runs"], self._models, strict=True):
            if model is not None and "model" in run:
                sent[run["model"]["index"]] = web = exported(model, weights, encoder=False)
                run["model"]["key"] = web.key
        if not sent:
            raise ValueError("weights must be None without a model with which runs can go on")
        self._packed = {web.key: payload.pack(web.head, web.arrays) for web in sent.values()}
        self._kind = "live-scrubber"

    def answer(self, message: dict) -> dict:
        """`{"go_on": plan}` -> the run of that plan; else as `Widget.answer`."""
        if "go_on" not in schemas.mapping(schemas.anything)("message", message):
            return super().answer(message)
        of_run = schemas.record({"run": schemas.whole(0, len(self.traces) - 1)}, others=schemas.anything)
        plan = of_run("message.go_on", message["go_on"])
        k, model = plan["run"], self._models[plan["run"]]
        if model is None:
            raise ValueError(f"message.go_on.run {k} has no model to go on with")
        return go_on(self.traces[k], model, plan)

    def _steps(self, name: str, value) -> int:
        return arguments.integer(name, value, 0, self.last)

    def _samples(self, name: str, value) -> int:
        return arguments.integer(name, value, 0, self._last_sample)

    def frame(self, step: int | None = None, sample: int | None = None):
        """The Matplotlib figure of one step (default: where the scrubber stands, or half way if at
        the start)."""
        from .. import plots

        step = self._telling_step() if step is None else step
        return plots.frame(self.traces, step, self.sample if sample is None else sample, **self._frame)

    def _telling_step(self) -> int:
        """A step that shows something: where the scrubber stands, else when about half the tokens
        are there."""
        if self.step:
            return self.step
        when = np.sort(self.traces[0].reveal_step, axis=None)
        return int(when[len(when) // 2])

    def still(self) -> bytes:
        """PNG of `frame()`."""
        from .. import plots

        return plots.png(self.frame())

    def animate(self, path, fps: float = 4, sample: int | None = None):
        """Write the run as .gif or .mp4 (see `plots.animate`). Returns the path."""
        from .. import plots

        sample = self.sample if sample is None else sample
        return plots.animate(self.traces, path, fps=fps, sample=sample, **self._frame)

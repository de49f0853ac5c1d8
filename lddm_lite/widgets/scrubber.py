"""A first scrubber, in plain ipywidgets: drag through the steps of one or several runs, side by side."""

from __future__ import annotations

import html

import ipywidgets as W
import numpy as np

from ..plots import plane
from ..trace import Trace
from . import views

__all__ = ["Scrubber"]

CLOUD = 400  # dots of encoded data drawn behind the latents


class Scrubber(W.VBox):
    """Scrub through denoising: tokens, latents and noise times of one `Trace`, or of several in step by NFE.

    Arguments: `traces`, a Trace or a list of them; `order` [n] or a list of such: bit rows are sorted by it;
    `cloud` [N, m, d]: latents of encoded data, drawn behind. Drag the slider, press Play, or use the arrow keys on it.
    Raises ValueError for no trace, or runs of different sizes.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> Scrubber(LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(4, token_steps=3)).step.max
    3
    """

    def __init__(self, traces, order=None, cloud=None):
        self.traces: list[Trace] = [traces] if isinstance(traces, Trace) else list(traces)
        if not self.traces:
            raise ValueError("traces is empty; give at least one Trace")
        if len({len(t) for t in self.traces}) > 1:
            raise ValueError(f"all traces must hold as many sequences; got {[len(t) for t in self.traces]}")
        many = isinstance(order, (list, tuple)) and len(order) == len(self.traces)
        self.orders = [None if v is None else np.asarray(v) for v in (order if many else [order] * len(self.traces))]
        self._planes = [self._plane(t, cloud) for t in self.traces]
        last = max(t.steps for t in self.traces)
        self.step = W.IntSlider(0, 0, last, description="step", layout=W.Layout(width="420px"))
        self.play = W.Play(min=0, max=last, interval=300, show_repeat=False)
        self.pick = W.BoundedIntText(
            0, 0, len(self.traces[0]) - 1, description="sample", layout=W.Layout(width="160px")
        )
        W.jslink((self.play, "value"), (self.step, "value"))
        self.panes = [W.HTML(layout=W.Layout(margin="0 18px 0 0")) for _ in self.traces]
        self.step.observe(self._draw, "value"), self.pick.observe(self._draw, "value")
        self._draw()
        controls = W.HBox([self.play, self.step, self.pick], layout=W.Layout(flex_flow="row wrap"))
        super().__init__([controls, W.HBox(self.panes, layout=W.Layout(flex_flow="row wrap"))])

    def _repr_mimebundle_(self, **kwargs):
        """As every widget, with a still picture besides for pages that run no widgets: the last step but one."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        step = max(0, self.step.max - 1)
        stills = "".join(
            f'<div style="display:inline-block;vertical-align:top">{self.frame(k, step, self.pick.value)}</div>'
            for k in range(len(self.traces))
        )
        data["text/html"] = f"<div>{stills}</div>"
        return bundle

    @staticmethod
    def _plane(trace: Trace, cloud):
        """2-d coordinates of the latents of a run and of the cloud behind them; None without continuous latents."""
        if trace.latent_kind != "continuous":
            return None
        behind = trace.latents[-1]
        if cloud is not None and np.asarray(cloud).shape[1:] == behind.shape[1:]:
            behind = np.asarray(cloud)[:CLOUD]
        to = plane(behind)
        return to(trace.latents), to(behind)

    def _draw(self, _=None) -> None:
        for k, pane in enumerate(self.panes):
            pane.value = self.frame(k, self.step.value, self.pick.value)

    def frame(self, k: int, step: int, i: int) -> str:
        """HTML of run k after `step` steps (a shorter run stays at its end), sample i in focus."""
        t = self.traces[k]
        step = min(step, t.steps)
        t_x, t_z = t.knots[step]
        still = int((t.tokens_at(step)[i] == t.mask_id).sum())
        noise = f"t<sub>x</sub> {t_x:.2f}" + ("" if t.latents is None else f", t<sub>z</sub> {t_z:.2f}")
        head = (
            f'<div style="font-size:14px;margin:6px 4px;min-width:420px"><b>{html.escape(t.model)}</b> &nbsp; '
            f"NFE {step} of {t.nfe} &nbsp; {noise} &nbsp; {still} masked</div>"
        )
        parts = [head, views.token_view(t, i, step)]
        if len(t.labels) == 2:
            parts.append(views.raster_view(t, step, self.orders[k], i))
        below = []
        if self._planes[k] is not None:
            below.append(views.latent_view(*self._planes[k], i, step))
        elif t.latent_kind == "discrete":
            below.append(views.code_view(t.latents[step, i], int(t.latents.max())))
        if t.latents is not None:
            below.append(views.path_view(t.knots, step))
        parts.append(f'<div style="display:flex;gap:14px;align-items:flex-end;margin:4px">{"".join(below)}</div>')
        return "".join(parts)

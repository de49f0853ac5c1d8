"""Interactive infilling: type a text or bits with gaps, choose system and budgets; the result opens in
a Scrubber."""

from __future__ import annotations

import contextvars
import functools
import html
import threading
import time

import ipywidgets as W

from .._common import schemas
from .._common.arguments import shown
from .._common.files import user_path
from .._common.words import counted
from ..diffusion.paths import Path
from ..diffusion.trace import Trace
from ..model import LatentDiffusion, load
from ..text import prompts
from .scrubber import Scrubber
from .scrubber_data import goes_on
from .status_line import StatusLine

__all__ = ["Infill", "named"]

BEAT = 0.1  # seconds between two messages to the page while sampling


class Infill(W.VBox):
    """Interactive infilling: type with gaps, press Run, scrub through what comes out.

    - `models`: a dictionary from names to models, folders, or names of checkpoints that ship, which
      are loaded when first chosen (also a single one of these, or a list of names);
    - `text`: the first pattern: `[MASK]` or `_` is a gap, among bits `_` or `?`; None for an
      example;
    - `token_steps`, `latent_steps`, `lead`, `seed`, `n`: the first values of the controls; None for
      what the model is used to.

    A run happens in a thread of its own, so other
    cells can run meanwhile; Stop ends it at the next network call. `trace` is the last result.
    Raises ValueError for no models, or a model that cannot be loaded.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> infill = Infill(LatentDiffusion.exact(tasks.Binsaw(length=8)), "01??", n=2)
    >>> infill.run().tokens.shape, infill.status.text
    ((2, 8), '2 sequences from exact, 8 network calls.')
    """

    @schemas.checked(
        text=schemas.maybe(schemas.text()), token_steps=schemas.whole(1, 1024),
        latent_steps=schemas.maybe(schemas.whole(1, 1024)), lead=schemas.maybe(schemas.number(0.0, 0.5)),
        seed=schemas.whole(0, 2**31 - 1), n=schemas.whole(1, 64),
    )  # fmt: skip
    def __init__(self, models, text: str | None = None, *, token_steps=8, latent_steps=None, lead=None, seed=0, n=4):
        self._models = named(models)
        self._loaded: dict[str, LatentDiffusion] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.trace: Trace | None = None
        self.scrubber: Scrubber | None = None
        wide = dict(style={"description_width": "initial"})

        def number(kind, text, width, **options):
            return kind(description=text, layout=W.Layout(width=width, margin="2px 14px 2px 2px"), **options, **wide)

        field = W.Layout(flex_flow="column", align_items="flex-start", width="calc(100% - 8px)", max_width="900px")
        self.text = W.Textarea(description="Text with gaps", rows=3, layout=field, **wide)
        self.hint = W.HTML()
        self.system = W.Dropdown(options=list(self._models), description="model", **wide)
        self.system.layout = W.Layout(width="auto", min_width="190px", margin="2px 14px 2px 2px")
        self.token_steps = number(W.BoundedIntText, "token steps", "160px", value=token_steps, min=1, max=1024)
        self.latent_steps = number(W.BoundedIntText, "latent steps", "165px", value=1, min=1, max=1024)
        self.lead = number(W.BoundedFloatText, "lead", "120px", value=0.5, min=0, max=0.5, step=0.05)
        self.seed = number(W.BoundedIntText, "seed", "150px", value=seed, min=0, max=2**31 - 1)
        self.samples = number(W.BoundedIntText, "samples", "140px", value=n, min=1, max=64)
        self.lead.tooltip = "how far the latents run ahead of the tokens: 0 together, 0.5 all the way"
        button = dict(layout=W.Layout(width="84px", min_height="32px", flex="0 0 auto"))
        self.run_button = W.Button(description="Run", button_style="primary", **button)
        self.stop_button = W.Button(description="Stop", **button)
        self.status = StatusLine(layout=W.Layout(flex="1 1 240px", min_width="0"))
        self.result = W.Box(layout=W.Layout(display="block", width="100%", overflow="visible"))
        self.run_button.on_click(lambda _: self._guarded(self.start))
        self.stop_button.on_click(lambda _: self.stop())
        self._example, self._given = "", (latent_steps, lead)
        self._describe(self._model(self.system.value))
        self.text.value = self._example if text is None else text
        self.system.observe(lambda _: self._guarded(lambda: self._describe(self._model(self.system.value))), "value")
        wrap = W.Layout(flex_flow="row wrap", align_items="center")
        settings = [self.system, self.token_steps, self.latent_steps, self.lead, self.samples, self.seed]
        buttons = W.HBox([self.run_button, self.stop_button, self.status], layout=wrap)
        super().__init__([self.text, self.hint, W.HBox(settings, layout=wrap), buttons, self.result])

    # -- models ---------------------------------------------------------------------------------------------
    def _model(self, name: str) -> LatentDiffusion:
        """The model of that name, loaded once."""
        if name not in self._loaded:
            entry = self._models[name]
            self._loaded[name] = entry if isinstance(entry, LatentDiffusion) else load(entry)
        return self._loaded[name]

    def _describe(self, model: LatentDiffusion) -> None:
        """Set the controls to what the model allows: its usual path and latent steps, an example
        unless something else was typed."""
        latents, (latent_steps, lead) = model.latent_channel is not None, self._given
        self.latent_steps.disabled = self.lead.disabled = not latents
        if latents:
            usual = 16 if model.config.latent == "continuous" else model.config.slots
            self.latent_steps.value = usual if latent_steps is None else latent_steps
            self.lead.value = model.path.lead if lead is None else lead
        self._given = (None, None)  # of the first model only
        if self.text.value == self._example:
            self._example = self.text.value = prompts.example(model)
        kind, most = prompts.kind(model), model.config.length
        marks = prompts.marks(model, typed=True)
        gap = " or ".join([m for m in marks if m != "[MASK]"] if kind == "symbols" and len(marks) > 1 else marks)
        gap += " or _" if kind == "text" else ""
        if kind == "symbols":
            symbols = " ".join(map(html.escape, model.labels)) if len(model.labels) <= 16 else ""
            hint = f"{symbols}, with {html.escape(gap)} for a gap; what is missing at the end, up to {most}, is one."
        else:
            of = "word pieces" if kind == "text" else f"the {len(model.labels)} words of the task"
            hint = f"{html.escape(gap)} stands for one missing word; at most {most} of {of}."
        self.hint.value = _note(hint)

    # -- running --------------------------------------------------------------------------------------------
    def run(self):
        """Do what Run does, here and now: the Trace, which is also shown. ValueError for what
        cannot be run."""
        return self._guarded(lambda: self._work(*self._settings()), again=True)

    def start(self) -> None:
        """What the button Run does: sample in a thread. ValueError for what cannot be run."""
        if self._thread is not None and self._thread.is_alive():
            raise ValueError("Still running. Press Stop first, or wait.")
        settings = self._settings()
        self._stop.clear()
        self.status.say("Sampling …", busy=True)
        context = contextvars.copy_context()  # so that messages from the thread belong to this cell
        work = functools.partial(self._work, *settings)
        self._thread = threading.Thread(target=context.run, args=(self._guarded, work), daemon=True, name="infill")
        self._thread.start()

    def stop(self) -> None:
        """What the button Stop does: the run ends at the next network call."""
        running = self._thread is not None and self._thread.is_alive()
        self._stop.set()
        self.status.say("Stopping …" if running else "Nothing is running.")

    @schemas.checked(seconds=schemas.maybe(schemas.number(0, 1e6)))
    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the thread of `start`; True when it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _settings(self):
        model = self._model(self.system.value)
        latents = model.latent_channel is not None
        options = dict(token_steps=self.token_steps.value, seed=self.seed.value, n=self.samples.value)
        options |= dict(latent_steps=self.latent_steps.value, path=Path(self.lead.value)) if latents else {}
        return self.system.value, model, prompts.read(model, self.text.value).unsqueeze(0), options

    def _work(self, name: str, model: LatentDiffusion, x, options: dict):
        self._last = 0.0
        trace = model.infill(x, progress=self._progress, **options)
        trace.model = name
        scrubber = Scrubber(trace, model=model if goes_on(trace, model) else None)
        old, self.trace, self.scrubber = self.scrubber, trace, scrubber
        self.result.children = [scrubber]
        if old is not None:
            old.close()
        what, price = counted(len(trace), "sequence"), counted(trace.nfe, "network call")
        self.status.say(f"{what} from {name}, {price}.")
        return trace

    def _progress(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped(f"Stopped after {done} of {total} network calls.")
        if time.monotonic() - self._last > BEAT:
            self._last = time.monotonic()
            self.status.share = done / total

    def _guarded(self, work, again: bool = False):
        """work(), with what goes wrong in the status line; `again`: and raised."""
        if again:
            self._stop.clear()
        kept = "" if self.trace is None else " The last result is still below."
        try:
            return work()
        except _Stopped as e:
            self.status.say(f"{e}{kept}")
        except ValueError as e:
            self.status.say(f"{e}{kept}", error=True)
            if again:
                raise
        except Exception as e:
            self.status.say(f"{type(e).__name__}: {e}{kept}", error=True)
            raise  # a thread or a callback prints it, with its traceback

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        data["text/html"] = "<p>Infilling needs a running kernel: run this cell.</p>"
        return bundle


class _Stopped(Exception):
    """Stop was pressed."""


def named(models) -> dict:
    """The argument `models` as a dictionary."""
    if isinstance(models, LatentDiffusion):
        models = {models.name: models}
    elif isinstance(models, str):
        models = {models: models}
    elif isinstance(models, list | tuple):
        models = {m if isinstance(m, str) else getattr(m, "name", shown(m)): m for m in models}
    if not isinstance(models, dict) or not models:
        raise ValueError(f"models must be a dictionary of names to models or checkpoint names, got {shown(models)}")
    for model in models.values():
        if not isinstance(model, LatentDiffusion):
            try:
                user_path("models", model)
            except ValueError:
                raise ValueError(f"models must be models or names of checkpoints, got {shown(model)}") from None
    return {str(name): model for name, model in models.items()}


def _note(text: str) -> str:
    return f'<div style="font-size:12.5px;line-height:1.4;white-space:normal">{text}</div>'

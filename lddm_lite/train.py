"""`fit`: two stages, EMA, exact resume. Knows nothing of the model's formulas. METHOD 5."""

from __future__ import annotations

import math
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

from . import checks
from .history import History
from .metrics import z_response
from .trainconfig import TrainConfig, TrainingError, budget
from .trainstate import TrainState, restore, snapshot

__all__ = ["TrainConfig", "TrainingError", "budget", "fit"]


LATEST_STAGE1 = 0.6  # stage 1 ends here even if the tokens still ignore z
RESPONSE = 0.01  # they respond when shuffling z between sequences costs this share of their loss


def fit(
    model, data, config: TrainConfig | None = None, out=None, resume=False, progress: bool = True, **options
) -> History:
    """Train `model` on `data` (anything with `sample(n, generator)` -> tokens [n, L]) and return the history.

    `options` are fields of `TrainConfig`. With `out`, checkpoints go to that folder. Ctrl-C or a kernel stop ends
    after the current step and keeps a usable model; `resume=True` (from `out`) or `resume=history` goes on exactly
    where it stopped, bit for bit on CPU. Afterwards the model holds the averaged (EMA) weights.
    Raises TrainingError for a loss that is not finite, ValueError for bad options.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> fit(LatentDiffusion.preset("mdlm", task, width=16), task, steps=3, progress=False).rows[-1]["step"]
    3
    """
    known = {f.name for f in fields(TrainConfig)}
    for name in options:
        if name not in known:
            raise ValueError(f"unknown training option {name!r}; allowed are {', '.join(sorted(known))}")
    config = replace(config or TrainConfig(), **options)
    if (data.length, data.vocab) != (model.config.length, model.config.vocab):
        raise ValueError(
            f"data has length {data.length} and vocab {data.vocab}; "
            f"the model was made for {model.config.length} and {model.config.vocab}"
        )
    if model.encoder is not None and config.batch < 2:
        raise ValueError(f"batch must be >= 2 for {model.name!r}, whose encoder is centred by the batch; got 1")
    run = _Run(model, data, config, Path(out) if out else None)
    if resume:
        run.resume(resume)
    if getattr(model.encoder, "frozen", False):  # after resuming, which brings the statistics of its latents
        if not hasattr(data, "rows"):
            name = model.config.encoder
            raise ValueError(f"encoder={name!r} needs data that has `rows`, such as text.from_file gives")
        model.encoder.prepare(torch.as_tensor(data.rows), progress=progress)
    return run.go(progress)


class _Run:
    """One training run: model and optimiser in flight."""

    def __init__(self, model, data, config: TrainConfig, out: Path | None):
        self.model, self.data, self.config, self.out = model, data, config, out
        self.history = History()
        learned = model.latents is not None and not getattr(model.encoder, "frozen", False)
        self.step, self.stage = 0, 1 if learned and config.stage1 > 0 else 2
        self.g_data = checks.generator(config.seed)
        self.g_noise = checks.generator(config.seed + 1_000_003, model.device)
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.params]
        self.optimiser = torch.optim.AdamW(
            self.params, lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99)
        )
        self.window: list[dict] = []

    def resume(self, source) -> None:
        """Take over the state of a stopped run."""
        state = source.state if isinstance(source, History) else None
        if state is None:
            if self.out is None:
                raise ValueError("resume=True needs `out`, the folder of the run to go on with, or resume=history")
            state = TrainState.read(self.out / "training")
        if state.options != asdict(self.config):
            differ = [k for k, v in asdict(self.config).items() if state.options.get(k) != v]
            raise ValueError(f"resume: these options differ from the stopped run's: {', '.join(differ)}")
        restore(self, state)

    def go(self, progress: bool) -> History:
        """Steps until done or stopped; the model ends with EMA weights, the run's state kept for resuming."""
        c, started = self.config, time.perf_counter()
        with _stop_after_step() as stop, _bar(c.steps, self.step, progress) as bar:
            try:
                while self.step < c.steps and not stop.is_set():
                    if self.stage == 1 and self._encoder_done():
                        self._freeze_encoder()
                    terms = self._one_step()
                    self.step += 1
                    self.window.append(terms)
                    if self.step % c.log_every == 0 or self.step == c.steps:
                        self._log(started)
                        bar.set_postfix_str(f"stage {self.stage}  " + _short(self.history))
                    bar.update(1)
                    if self.out and self.step % c.save_every == 0 and self.step < c.steps:
                        self._save()
            finally:
                self.history.interrupted = self.step < c.steps
                self.history.state = snapshot(self)
                self._use_ema()
                if self.out:
                    self._save(self.history.state)
        return self.history

    def _one_step(self) -> dict:
        """One step, or a TrainingError that leaves the model as it was before."""
        # the forward pass of stage 1 already moves the encoder's statistics and codebook
        before = [b.clone() for b in self.model.encoder.buffers()] if self.stage == 1 else []
        try:
            return self._update()
        except TrainingError:
            with torch.no_grad():
                for b, old in zip(self.model.encoder.buffers() if before else (), before, strict=True):
                    b.copy_(old)
            raise

    def _update(self) -> dict:
        c, lr = self.config, self.config.lr_at(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.model.denoiser.train()
        if self.model.encoder is not None:
            self.model.encoder.train(self.stage == 1)
        few_step = c.few_step1 if self.stage == 1 else c.few_step2
        loss = self.model.loss(self.data.sample(c.batch, self.g_data), self.g_noise, self.stage, few_step)
        for name, value in loss.terms.items():
            if not torch.isfinite(value):
                raise TrainingError(
                    f"step {self.step + 1}: the {name} loss is {float(value)}; stopped, the weights of step "
                    f"{self.step} are kept. Try a smaller lr (now {c.lr:g}) or clip (now {c.clip:g})"
                )
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, c.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {self.step + 1}: the gradient norm is {float(norm)}; stopped, the weights of step "
                f"{self.step} are kept"
            )
        self.optimiser.step()
        decay = min(c.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.params, 1 - decay)
        return {"loss": float(loss.total.detach()), **{k: float(v) for k, v in loss.terms.items()}}

    # -- the two stages ----------------------------------------------------------------------------------------
    def _encoder_done(self) -> bool:
        """Is stage 1 over? Not before its share of steps, nor while the tokens do not respond to z (METHOD 5: a check,
        not a step count), but at the latest after LATEST_STAGE1 of all steps."""
        first = math.ceil(self.config.stage1 * self.config.steps)
        last = max(first, math.ceil(LATEST_STAGE1 * self.config.steps))
        if self.step < first or ((self.step - first) % 20 and self.step < last):
            return False
        share = z_response(self.model, self.data.sample(256, checks.generator(self.config.seed + 7)))
        if share > RESPONSE:
            self.history.events.append((self.step, f"encoder frozen; shuffling z costs {share:.1%} of the token loss"))
            return True
        if self.step >= last:
            text = f"the tokens do not respond to z (shuffling it costs {share:.2%}); the latents carry nothing"
            self.history.events.append((self.step, text))
            return True
        return False

    def _freeze_encoder(self) -> None:
        """Stage 2: the encoder takes its averaged weights, settles its statistics on them, and no longer moves."""
        own = {id(p) for p in self.model.encoder.parameters()}
        with torch.no_grad():
            for p, e in zip(self.params, self.ema, strict=True):
                if id(p) in own:
                    p.copy_(e)
        g = checks.generator(self.config.seed + 11)
        self.model.encoder.settle([self.data.sample(256, g).to(self.model.device) for _ in range(16)])
        self.stage = 2

    # -- bookkeeping -------------------------------------------------------------------------------------------------
    def _log(self, started: float) -> None:
        names = self.window[-1]
        mean = {k: sum(w[k] for w in self.window if k in w) / sum(k in w for w in self.window) for k in names}
        row = {"step": self.step, "stage": self.stage, "lr": self.config.lr_at(self.step - 1), **mean}
        self.history.rows.append({**row, "seconds": round(time.perf_counter() - started, 2)})
        self.window = []

    @torch.no_grad()
    def _use_ema(self) -> None:
        for p, e in zip(self.params, self.ema, strict=True):
            p.copy_(e)
        self.model.eval()

    def _save(self, state=None) -> None:
        """The run's state, then the EMA model; each whole or not at all."""
        state = state or snapshot(self)
        state.write(self.out / "training")
        kept = [p.detach().clone() for p in self.params]
        self._use_ema()
        try:
            self.model.save(self.out, history=self.history.to_dict(), training=asdict(self.config))
        finally:  # also on a full disk: the averages must not be taken for the weights of the run
            with torch.no_grad():
                for p, k in zip(self.params, kept, strict=True):
                    p.copy_(k)


def _short(history: History) -> str:
    last = history.rows[-1]
    return "  ".join(f"{k} {last[k]:.2f}" for k in history.terms() if k in last)


def _bar(total: int, done: int, show: bool):
    """tqdm: a widget in Jupyter, text in a terminal; shows time left."""
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, disable=not show, desc="training", unit="step", dynamic_ncols=True)


@contextmanager
def _stop_after_step():
    """SIGINT (Ctrl-C, kernel stop) asks for a stop after the current step; a second one interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(signum, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)

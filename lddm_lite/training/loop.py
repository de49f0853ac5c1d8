"""Training loop: two stages, EMA of the weights, exact resume. METHOD 5.

It knows nothing of the model's formulas.
"""

from __future__ import annotations

import copy
import functools
import math
import shlex
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from .._common import arguments, checkpoint, data_contract, files, randomness, schemas
from .._common.arguments import shown
from .._common.protocols import Data, Model, is_frozen, settle
from ..evaluation.latents import z_response
from ..networks import custom_parts
from . import averages, microbatches, preflight, processes, validation
from .config import TrainConfig, TrainingError
from .history import History
from .interrupt import bar, stop_after_step
from .optimiser import Optimiser
from .precision import computing, fastest
from .state import TrainState, restore, snapshot
from .tensorboard import open_writer

__all__ = ["fit"]

DATA = 5_000_011  # apart from `data.sample(n, seed)`, on which what was trained is likely to be judged
FIRST_SAVE = 30.0  # seconds until a run saves for the first time, whatever `save_every` says
LATEST_STAGE1 = 0.6  # stage 1 ends here even if the tokens still ignore z
TRIED = 4  # steps that decide about the precision
RESPONSE = 0.01  # they respond when shuffling z between sequences costs this share of their loss


@schemas.checked(
    "progress", model=schemas.has("a model", "config", "loss", "parameters", "save"),
    minutes=schemas.maybe(schemas.number(above=0)),
)  # fmt: skip
def fit(
    model: Model,
    data: Data,
    config: TrainConfig | None = None,
    out=None,
    resume=False,
    progress: bool = True,
    held_out: Data | None = None,
    overwrite: bool = False,
    minutes: float | None = None,
    **options,
) -> History:
    """Train `model` on `data` and return the history.

    - `model`: trained in place; afterwards it holds the averaged (EMA) weights.
    - `data`: anything with `sample(n, generator)` -> tokens [n, L].
    - `config`: a `TrainConfig`; None for its defaults.
    - `out`: a folder for checkpoints, and the history as history.csv; None writes nothing. One in
      which another process trains is refused.
    - `resume`: True (from `out`), or a history: go on exactly where that run stopped, bit for bit
      on CPU, with the same data. With more `steps` than planned the learning rate warms up again, to
      half its peak, and falls to zero at the new end; that is another run than one of so many steps
      from the start.
    - `progress`: show a bar.
    - `held_out`: data for `validate_every`, the bound of the averaged weights.
    - `overwrite`: take an `out` that holds something, which is refused otherwise.
    - `minutes`: stop after the step in which they are over, as Ctrl-C does; `resume` goes on.
    - `options`: fields of `TrainConfig`, in place of those of `config`.

    Ctrl-C or a kernel stop ends after the current step and keeps a usable model; SIGTERM and SIGHUP
    save, say how to go on, and end the process. With `out` a run first saves within half a minute.

    In several processes (`accelerate launch`, `torchrun`) all call this alike: `batch` is that of
    all together, dealt out in `accumulate` pieces (1: one for each process), and the main process
    alone writes. The same pieces give the same curve on one process, up to the order of summation.
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
    if config is not None and not isinstance(config, TrainConfig):
        raise ValueError(f"config must be a TrainConfig or None, got {shown(config)}")
    arguments.truth("overwrite", overwrite)
    if not isinstance(resume, History):
        arguments.truth("resume", resume)
    config = replace(config or TrainConfig(), **options)
    out = None if out is None else files.user_path("out", out)
    preflight.check_together(model, data, config, held_out, out)
    team = processes.join(model.device)
    with _alone(out if team.main else None):
        if out is not None and team.main:
            _check_folder(out, resume, overwrite)
        model.to(team.device)
        run = Trainer(model, data, config, out, held_out, team)
        if resume:
            run.resume(resume)
        preflight.check_micro_batches(model, run.config, team.size)
        if is_frozen(model.encoder):  # after resuming, which brings the statistics of its latents
            with team.main_first():
                model.encoder.prepare(preflight.sentences(data, model.config.encoder), progress and team.main)
        if run.config.precision == "auto":
            bf16 = team.agree(float(fastest(functools.partial(_seconds, run), model.device) == "bf16"))
            run.config = replace(run.config, precision="bf16" if bf16 > 0.5 else "float32")
        team.share([*model.parameters(), *model.buffers(), *run.ema])  # all begin alike, whatever each was given
        return run.go(progress and team.main, minutes)


def _alone(out: Path | None):
    """A lock of the run's folder, for as long as the run goes on; Busy where another has it."""
    return nullcontext() if out is None else files.locked(out, ".running", wait=False)


def _check_folder(out: Path, resume, overwrite: bool) -> None:
    """ValueError for a folder that holds what this run would overwrite."""
    state = out / "training"
    if state.is_symlink():
        raise ValueError(f"{state} is a link; the state of a run is written into its folder alone")
    if resume is True or (resume and checkpoint.is_checkpoint(state)):
        return
    checkpoint.check_free(out, overwrite)
    if state.is_dir() and checkpoint.is_checkpoint(state):  # nothing of the old run may be taken for the new one's
        checkpoint.remove(state)


def _seconds(run: Trainer, precision: str) -> float:
    """Seconds of a step of the second stage, on a copy: the quickest of a few, after one that warms
    up."""
    trial = Trainer(copy.deepcopy(run.model), run.data, replace(run.config, accumulate=1), None)
    trial.stage, times = 2, []
    with computing(trial.model, precision):
        for _ in range(1 + TRIED):
            started = time.perf_counter()
            trial._one_step()
            if trial.model.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    return min(times[1:])


class Trainer:
    """One training run: model and optimiser in flight."""

    def __init__(
        self,
        model: Model,
        data: Data,
        config: TrainConfig,
        out: Path | None,
        held_out: Data | None = None,
        team: processes.Team | None = None,
    ):
        self.model, self.data, self.out, self.held_out = model, data, out, held_out
        self.team = team or processes.Team(model.device)
        # one piece cannot be shared out
        self.config = config if config.accumulate > 1 else replace(config, accumulate=self.team.size)
        self.history = History()
        self.board: Any = None  # what writes for TensorBoard
        self.bar: Any = None  # tqdm's, from `go` on
        learned = custom_parts.learned(model.encoder)
        if model.config.latent == "discrete":
            model.encoder.late = config.late_codes
        self.whole = True  # no step is half done
        self.step, self.stage = 0, 1 if learned and config.stage1 > 0 else 2
        self.g_data = randomness.generator(config.seed + DATA)
        self.g_noise = randomness.generator(config.seed + 1_000_003, model.device)
        self.params: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.params]
        self.optimiser = Optimiser(model, self.params, config)
        self.window: list[dict] = []
        self.again: int | None = None  # the step from which there were more steps than planned

    def resume(self, source) -> None:
        """Take over the state of a stopped run."""
        state = source.state if isinstance(source, History) else None
        if state is None:
            if self.out is None:
                raise ValueError("resume=True needs `out`, the folder of the run to go on with, or resume=history")
            state = TrainState.read(self.out / "training")
            if any(v.is_symlink() for v in (self.out / "training", self.out / "tensorboard")):
                raise ValueError(f"{self.out} holds links to other folders, and what lies there is not written to")
        if self.config.accumulate == self.team.size:  # not asked for otherwise: as the stopped run had it
            self.config = replace(self.config, accumulate=state.options["accumulate"])
        if self.config.precision == "auto":  # as was found when it began
            self.config = replace(self.config, precision=state.options["precision"])
        if "weight" not in state.options:  # from before there was a choice
            self.config = replace(self.config, weight="time")
        stopped = {**asdict(TrainConfig(weight="time")), **state.options}  # which may be older than an option
        if stopped != asdict(self.config):
            now = asdict(self.config)
            differ = [k for k in {**now, **stopped} if k not in now or stopped.get(k) != now[k]]
            if differ != ["steps"] or self.config.steps < stopped["steps"]:
                raise ValueError(f"resume: these options differ from the stopped run's: {', '.join(differ)}")
        restore(self, state)
        self.again = state.meta.get("again")
        if stopped["steps"] != self.config.steps:
            self.again = self.step
            text = f"{self.config.steps:,} steps instead of {stopped['steps']:,}: lr warms up again, to half its peak"
            self.history.events.append((self.step, text))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the data, so that a run does not go on with others."""
        return preflight.fingerprint(self.data)

    def go(self, progress: bool, minutes: float | None = None) -> History:
        """Steps until done, stopped, or out of time; the model ends with EMA weights, the run's
        state kept for resuming."""
        c, started, saved, late = self.config, time.perf_counter(), False, False
        self.fingerprint  # noqa: B018 - taken now, since data that fail later could not be asked any more
        if c.tensorboard and self.out is not None and self.team.main:
            self.board = open_writer(self.out / "tensorboard", self.step)
        with (
            stop_after_step(forwarded=self.team.size > 1) as stop,
            bar(c.steps, self.step, progress, self.model.name) as self.bar,
            computing(self.model, c.precision, c.compile, self._say),
        ):
            try:
                while self.step < c.steps and not self.team.any(stop.is_set() or late):
                    if self.stage == 1 and self._encoder_done():
                        self._freeze_encoder()
                    terms = self._one_step()
                    self.step += 1
                    self.window.append(terms)
                    self.whole = True
                    self._log(started)
                    self.bar.update(1)
                    spent = time.perf_counter() - started
                    late = minutes is not None and spent > 60 * minutes
                    early = not saved and spent > FIRST_SAVE
                    if (self.step % c.save_every == 0 or early) and self.step < c.steps:
                        self._save()
                        saved = True
            finally:
                self.history.interrupted = self.step < c.steps
                if self.whole:  # else a second Ctrl-C cut a step in two: what was saved before it is what to go on from
                    self.history.state = snapshot(self)
                self._use_ema()
                if self.board:
                    self.board.close()
                if self.whole:
                    self._save(self.history.state)
                    self._tell(getattr(stop, "by", None))
        return self.history

    def _one_step(self) -> dict:
        """One step; an error before the weights move leaves all as it was before: generators too,
        so that resuming is exact."""
        # the forward pass of stage 1 already moves the encoder's statistics and codebook
        before = [b.clone() for b in self.model.encoder.buffers()] if self.stage == 1 else []
        drawn = [(g, g.get_state()) for g in (self.g_data, self.g_noise)]
        try:
            return self._update()
        except BaseException:
            if self.whole:
                with torch.no_grad():
                    for b, old in zip(self.model.encoder.buffers() if before else (), before, strict=True):
                        b.copy_(old)
                for g, state in drawn:
                    g.set_state(state)
            raise

    def _update(self) -> dict:
        c, lr = self.config, self.config.lr_at(self.step, self.again)
        self.model.denoiser.train()
        if self.model.encoder is not None:
            self.model.encoder.train(self.stage == 1)
        few_step = c.few_step1 if self.stage == 1 else c.few_step2
        x = data_contract.draw(self.data, c.batch, self.g_data)
        self.optimiser.zero_grad()
        how = self.stage, few_step, c.accumulate, self.team
        terms = microbatches.backward(self.model, x, self.g_noise, *how, weight=c.weight, told=c.told)
        for name, value in terms.items():
            if name != "loss" and not torch.isfinite(value):
                raise TrainingError(
                    f"step {self.step + 1}: the {name} loss is {float(value)}; stopped, the weights of step "
                    f"{self.step} are kept. Try a smaller lr (now {c.lr:g}) or clip (now {c.clip:g})"
                )
        norm = torch.nn.utils.clip_grad_norm_(self.params, c.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {self.step + 1}: the gradient norm is {float(norm)}; stopped, the weights of step "
                f"{self.step} are kept"
            )
        self.whole = False  # until the step is counted
        self.optimiser.step_with(lr)
        decay = min(c.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.params, 1 - decay)
        return {k: float(v) for k, v in terms.items()}

    # -- the two stages ----------------------------------------------------------------------------------------
    def _encoder_done(self) -> bool:
        """Is stage 1 over? Not before its share of steps, nor while the tokens do not respond to z
        (METHOD 5: a check, not a step count), but at the latest after LATEST_STAGE1 of all steps.
        """
        first = math.ceil(self.config.stage1 * self.config.steps)
        last = max(first, math.ceil(LATEST_STAGE1 * self.config.steps))
        if self.step < first or ((self.step - first) % 20 and self.step < last):
            return False
        share = z_response(self.model, data_contract.draw(self.data, 256, randomness.generator(self.config.seed + 7)))
        share = self.team.agree(share)
        if share > RESPONSE:
            self.history.events.append((self.step, f"encoder frozen; shuffling z costs {share:.1%} of the token loss"))
            return True
        if self.step >= last:
            text = f"the tokens do not respond to z (shuffling it costs {share:.2%}); the latents carry nothing"
            self.history.events.append((self.step, text))
            return True
        return False

    def _freeze_encoder(self) -> None:
        """Stage 2: the encoder takes its averaged weights, settles its statistics on them, and no
        longer moves."""
        own = {id(p) for p in self.model.encoder.parameters()}
        with torch.no_grad():
            for p, e in zip(self.params, self.ema, strict=True):
                if id(p) in own:
                    p.copy_(e)
        g, batches = randomness.generator(self.config.seed + 11), 32 if self.config.late_codes else 16
        drawn = [data_contract.draw(self.data, 256, g).to(self.model.device) for _ in range(batches)]
        settle(self.model.encoder, drawn)
        self.team.share([*self.model.encoder.parameters(), *self.model.encoder.buffers()])
        self.stage = 2

    # -- bookkeeping -------------------------------------------------------------------------------------------------
    def _log(self, started: float) -> None:
        """A row of the history and a preview, where they are due."""
        c = self.config
        validate = c.validate_every and self.step % c.validate_every == 0
        look = c.preview_every and self.step % c.preview_every == 0
        bound = {}
        if (validate or look) and self.team.main:
            with averages.averaged(self.model, self.params, self.ema):
                if validate and self.held_out is not None:
                    bound = validation.held_out_bound(self.model, self.held_out, c.seed)
                if look:
                    texts = validation.preview(self.model, c.seed)
                    self.history.previews.append((self.step, texts))
                    self._write(f"step {self.step}: " + "\n    ".join(texts))
        if not (validate or self.step % c.log_every == 0 or self.step == c.steps):
            return
        names = self.window[-1]
        mean = {k: sum(w[k] for w in self.window if k in w) / sum(k in w for w in self.window) for k in names}
        row = {"step": self.step, "stage": self.stage, "lr": c.lr_at(self.step - 1, self.again), **mean, **bound}
        self.history.rows.append({**row, "seconds": round(time.perf_counter() - started, 2)})
        self.window = []
        if self.board:
            self.board.add(row)
        self.bar.set_postfix_str(f"stage {self.stage}  " + _short(self.history))

    def _write(self, text: str) -> None:
        if not self.bar.disable:  # as quiet as the bar
            self.bar.write(text)

    def _say(self, text: str) -> None:
        """An event worth keeping, once."""
        if text not in [known for _, known in self.history.events]:
            self.history.events.append((self.step, text))
            self._write(text)

    @torch.no_grad()
    def _use_ema(self) -> None:
        for p, e in zip(self.params, self.ema, strict=True):
            p.copy_(e)
        self.model.eval()

    def _save(self, state=None) -> None:
        """The run's state, then the EMA model, then the history for other programs; each whole or
        not at all. Nothing without `out`."""
        if self.out is None or not self.team.main:
            return
        state = state or snapshot(self)
        state.write(self.out / "training")
        with averages.averaged(self.model, self.params, self.ema):  # whatever happens, the run's own weights come back
            about = {"history": self.history.to_dict(), "training": asdict(self.config)}
            self.model.save(self.out, overwrite=True, weights=self.config.weights, **about)
        self.history.save(self.out / "history.csv")

    def _tell(self, by: str | None) -> None:
        """Say how to go on after a signal that is about to end the process, which says nothing
        itself."""
        if by and self.out is not None and self.team.main:
            print(
                f"\n{by}: stopped after step {self.step:,}; what was learned is in {self.out}. Go on with "
                f"fit(..., out={str(self.out)!r}, resume=True), or: python -m lddm_lite train --out "
                f"{shlex.quote(str(self.out))} --resume", file=sys.stderr,
            )  # fmt: skip


def _short(history: History) -> str:
    last = history.rows[-1]
    bounds = [f"held out {v:.2f}" for v in history.column("held_out") if v == v]  # nan: none in that row
    return "  ".join([f"{k} {last[k]:.2f}" for k in history.terms() if k in last] + bounds[-1:])

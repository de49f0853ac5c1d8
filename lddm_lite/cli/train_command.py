"""A training run in a folder: what `python -m lddm_lite train` does, and how it goes on after a
stop.

The folder holds the model (`model.save`), `training/`, the state between two steps, `history.csv`,
and `run.json`, all options. Of several processes, the main one alone writes and prints.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._common import hub, schemas
from .._common.arguments import brief, shown
from .._common.documents import read_document, regular
from .._common.files import read_json, sha256, user_path, write_json
from .._common.protocols import has_scores
from ..config import ALIASES, SYSTEMS, size_fields
from . import own_data
from .options import PROGRAM, SOURCES, TEXT_ONLY, defaults, model_options, run_options

if TYPE_CHECKING:
    from .._common.protocols import Data
    from ..model import LatentDiffusion
    from ..training.config import TrainConfig

__all__ = ["forecast", "recipe", "started_from", "train"]

FORMAT = "lddm-lite run"


def train(
    out, given: dict, words: list[str], device: str, resume=False, force=False, quiet=False, init_from=None,
    minutes=None,
) -> int:  # fmt: skip
    """Train, print what comes of it, and return the exit status: 0, or 130 when stopped.

    - `out`: the folder of the run: checkpoints, history and model.
    - `given`: options by name; others are `options.defaults`, or when resuming the stopped run's.
    - `words`: the command line, to be kept with the model.
    - `device`: "cpu" or "cuda"; of several processes on GPUs each has its own.
    - `resume`: go on with the run in `out`.
    - `force`: a new run may replace another one in `out`, though never other files.
    - `quiet`: no progress bars.
    - `init_from`: another model, whose weights a new run begins with as far as they fit.
    - `minutes`: stop after so many, as Ctrl-C does.

    Raises ValueError for options that do not fit together, for a folder that holds something else,
    and when resuming with other options or another text; TrainingError when the loss is not finite.

    >>> train("runs/a", {"task": "binsaw", "steps": 100}, [], "cpu")  # doctest: +SKIP
    0
    """
    from ..training import processes

    team = processes.join(device)
    try:
        return _train(
            user_path("--out", out), given, words, team, resume, force, quiet or not team.main, init_from, minutes)
    finally:
        team.close()


def _train(out: Path, given: dict, words: list[str], team, resume, force, quiet, init_from, minutes) -> int:
    run = team.first(lambda: _stored(out, given) if resume else _new(out, given, words, force, init_from))
    options = run["options"]
    with team.main_first():  # what it downloads or builds, the others find in the cache
        model, config, data, held_out = _make(options, team.device, not quiet)
    _check(model, config, data, held_out, out, team.size)
    again = run.get("init_from") if resume and not (out / "training" / "config.json").is_file() else None
    if again is not None and init_from is None:
        raise ValueError(f"--resume: the run begins again; give --init-from {shlex.quote(again)} again")
    left = [] if init_from is None else model.init_from(init_from)
    going_on = team.first(lambda: _begin(out, run, model, resume))

    def say(text: str) -> None:
        if team.main:
            print(text)

    if init_from is not None and not going_on:
        say(f"note: begins with the weights of {init_from}" + (f"; {len(left)} tensors do not fit:" if left else ""))
        for line in left[:20]:
            say(f"  {line}")
    with _unless_refused(out, team.main and not resume):
        return _trained(out, run, model, config, data, held_out, team, going_on, say, quiet, minutes)


@contextlib.contextmanager
def _unless_refused(out: Path, new: bool):
    """Within the block a new run begins; where it is refused before it has saved anything, nothing
    of it stays."""
    try:
        yield
    except Exception:
        if new and not (out / "training" / "config.json").exists():
            (out / "run.json").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                out.rmdir()
        raise


def _trained(
    out: Path, run: dict, model: LatentDiffusion, config: TrainConfig, data: Data, held_out: Data | None, team,
    going_on: bool, say, quiet: bool, minutes: float | None,
) -> int:  # fmt: skip
    from ..text.losses import losses_of
    from ..training.loop import fit

    options = run["options"]
    parameters = sum(p.numel() for p in model.parameters())
    several = f", {team.size} processes" if team.size > 1 else ""
    say(f"{model.name} on {data!r}")
    say(f"{parameters:,} parameters, {config.steps:,} steps of {config.batch} on {team.device.type}{several}")
    for line in str(losses_of(data)).splitlines():
        say(f"note: {line}")
    try:
        history = fit(
            model, data, config, out=out, resume=going_on, progress=not quiet, held_out=held_out, overwrite=True,
            minutes=minutes)
    except KeyboardInterrupt:  # a second Ctrl-C, before the step was over
        return _stopped(out, "", say)
    if options["precision"] == "auto" and team.main:  # what it came to
        options["precision"] = history.state.options["precision"]
        write_json(out / "run.json", run)
    if history.interrupted:
        return _stopped(out, f" after step {history.state.meta['step']:,}", say)

    def finish():
        print(history, *(f"step {step}: {text}" for step, text in history.events), sep="\n")
        scores = _final_scores(model, held_out, config.seed)
        about = {"history": history.to_dict(), "training": history.state.options}
        model.save(out, overwrite=True, weights=config.weights, **about, command=run["command"], scores=scores)
        if held_out is None:
            print("no final score: nothing is held out (--holdout)")
        _next(out, options, model, data)

    team.first(finish)  # the others wait: a process that ends while another still works has been seen to abort
    return 0


def forecast(given: dict, device: str) -> int:
    """Print what `train` with the options `given` would need (see `forecast.estimate`), and write
    nothing, except that a text of which the ids are kept on disk goes to the cache. Returns the
    exit status 0. ValueError as for `train`.

    >>> forecast({"task": "binsaw", "steps": 100}, "cpu")  # doctest: +SKIP
    0
    """
    from ..training import forecast, processes

    options = _chosen(given)
    if processes.rank() > 0:
        return 0
    model, config, data, held_out = _make(options, device, True)
    _check(model, config, data, held_out, "", processes.size())
    print(f"{model.name} on {data!r}, {config.steps:,} steps of {config.batch} on {device}")
    print(forecast.estimate(model, data, config, processes.size()))
    return 0


def _make(
    options: dict, device, progress: bool
) -> tuple[LatentDiffusion, TrainConfig, Data, Data | None]:
    """(model, training options, training data, data for bounds and the final score or None)."""
    from ..model import LatentDiffusion
    from ..training.config import TrainConfig
    from . import train_data

    config = TrainConfig(**{f.name: options[f.name] for f in fields(TrainConfig)})
    data, held_out = train_data.load(options, progress)
    changes = {o.name: options[o.name] for o in model_options() if options[o.name] is not None}
    model = LatentDiffusion.preset(data=data, seed=config.seed, **changes).to(device)
    return model, config, data, held_out


def _check(
    model: LatentDiffusion, config: TrainConfig, data: Data, held_out: Data | None, out, processes: int
) -> None:
    """What `fit` would refuse, before anything is written."""
    from ..training import preflight

    preflight.check_together(model, data, config, held_out, out or "unwritten")
    config = config if config.accumulate > 1 else replace(config, accumulate=processes)
    preflight.check_micro_batches(model, config, processes)


def _begin(out: Path, run: dict, model: LatentDiffusion, resume: bool) -> bool:
    """Write run.json. Is there a state to go on from? A run stopped before it first saved starts
    again."""
    from .._common.checkpoint import is_checkpoint, remove

    going_on = resume and (out / "training" / "config.json").is_file()
    if going_on:
        _check_same(out, model)
    else:  # nothing of an old run may be taken for the new one's
        if is_checkpoint(out):
            (out / "history.csv").unlink(missing_ok=True)
        for old in (out / "training", out):
            remove(old)
    write_json(out / "run.json", run)
    return going_on


def _chosen(given: dict) -> dict:
    """All options of a new run: those given, what the size stands for, and the defaults."""
    if sum(k in given for k in SOURCES) != 1:
        raise ValueError(
            "what to train on? Give --task binsaw, mixture, newswire or parity, or --text FILE, or --molecules qm9; or "
            "data of your own: --task FILE.py:NAME, or --ids FILE.npy"
        )
    for names, source in ((TEXT_ONLY, "text"), (own_data.IDS_ONLY, "ids")):
        misplaced = [f"--{k.replace('_', '-')}" for k in names if k in given]
        if misplaced and source not in given:
            raise ValueError(f"{', '.join(misplaced)}: for --{source} only")
    if "holdout" in given and ("molecules" in given or "task" in given and not own_data.is_own(given["task"])):
        raise ValueError("--holdout: for --text only, and for rows of your own")
    from . import train_data

    options = {**defaults(), **given}
    about = SYSTEMS.get(ALIASES.get(options["system"], options["system"]), {})
    sized = size_fields(options["size"], about.get("latent", "none"))
    return {**defaults(), **sized, **given, **train_data.check(given)}


def _new(out: Path, given: dict, words: list[str], force: bool, init_from=None) -> dict:
    """The description of a new run, kept as run.json so that --resume needs nothing else."""
    options = _chosen(given)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not _is_ours(out):
            raise ValueError(f"{out} exists and holds something else; give another --out")
        if not force:
            raise ValueError(f"{out} holds another run; go on with it by --resume, or overwrite it by --force")
    command = shlex.join(["python", "-m", "lddm_lite", *words])
    read = {k: options[k] for k in ("text", "ids") if options[k] is not None}
    digests = {f"{k}_sha256": sha256(regular(user_path(f"--{k}", file))) for k, file in read.items()}
    run = {"format": FORMAT, "command": command, "options": options, **digests}
    return run if init_from is None else {**run, "init_from": str(init_from)}


def _is_ours(out: Path) -> bool:
    from .._common.checkpoint import FORMAT as CHECKPOINT

    for name, form in (("run.json", FORMAT), ("config.json", CHECKPOINT)):
        found = read_json(out / name)
        if found is not None and found.get("format") == form:
            return True
    return False


def recipe(folder, given: dict | None = None) -> dict:
    """The options of the run in `folder` that are not the usual ones: what a new run like it is
    given, beside those `given`. ValueError where there is no run, and as `_trust`.

    >>> recipe("runs/a")  # doctest: +SKIP
    {'task': 'binsaw', 'steps': 100}
    """
    run = _read(user_path("--recipe", folder), "--recipe")
    _trust(run, given or {}, "--recipe")
    options = run["options"]
    idle = TEXT_ONLY if options["text"] is None else ()  # of an older run: options of texts, as they were then
    return {k: v for k, v in options.items() if v != defaults()[k] and k not in idle}


def started_from(folder) -> str | None:
    """The model whose weights the run in `folder` began with, for a new run like it; None for none.
    ValueError for one that is known by its place: a file's word is not enough for that.

    >>> started_from("data/recipes/qm9-mdlm")  # doctest: +SKIP
    """
    source = _read(user_path("--recipe", folder), "--recipe").get("init_from")
    if source is not None and not re.fullmatch(r"[\w-]+", source):
        raise ValueError(f"--recipe: it began with the weights of {source}; give --init-from {shlex.quote(source)}")
    return source


def _given_again(options: dict, given: dict, asked: str) -> None:
    """ValueError where a run's own class is not named on this command line: a file names no code.
    """
    name = own_data.has_own(options)
    if name is not None and not any(k in given for k in (name, *SOURCES[:1])):
        what = "data" if name == "task" else "a tokenizer"
        raise ValueError(
            f"{asked}: the run was trained on {what} of your own; give it again, --{name} {shlex.quote(options[name])}"
        )


def _read(folder: Path, asked: str) -> dict:
    """The description of the run in a folder; ValueError, beginning with the option that `asked`.
    """
    file = folder / "run.json"
    try:
        run = read_document(file, _RUN)
        if odd := set(run["options"]) - set(defaults()):
            raise ValueError(f"options.{min(odd)} is unknown")
        before = {"weight": "time", "tokenizer": "own", "lowercase": True}  # of runs older than these options
        if run["options"].get("tokenizer") == "bert" and "limit" in run["options"] and "muon" not in run["options"]:
            run["options"]["vocab"] = None  # of a run, no recipe, from when --vocab was not about its pieces
        run["options"] = {**defaults(), **before, **run["options"]}
        for o in itertools.chain(*run_options().values()):
            o.check(run["options"][o.name])
    except FileNotFoundError:
        raise ValueError(f"{asked}: no run in {folder}; run.json is missing") from None
    except ValueError as e:
        raise ValueError(f"{asked}: {file} is damaged: {e}") from None
    return run


_RUN = schemas.record(
    {"format": schemas.constant(FORMAT), "command": schemas.text(), "options": schemas.mapping(schemas.anything)},
    {**{f"{k}_sha256": schemas.maybe(schemas.text("[0-9a-f]{64}")) for k in ("text", "ids")},
     "init_from": schemas.maybe(schemas.text(most=4096))}, others=schemas.anything)  # fmt: skip


def _trust(run: dict, given: dict, asked: str) -> None:
    """ValueError for what a run.json names and no file's word is enough for: an encoder that is no
    known package, and a text that is not the one it was."""
    options = run["options"]
    if options["encoder"] not in ("learned", "mixture", *hub.PACKAGES) and "encoder" not in given:
        raise ValueError(
            f"{asked}: run.json names the encoder {shown(options['encoder'])}, which is no known package; to say that "
            "you trust it, give --encoder with that name"
        )
    _given_again(options, given, asked)
    for name in ("text", "ids"):
        if options[name] is None or any(k in given for k in SOURCES):
            continue
        try:
            file = user_path(f"options.{name}", options[name])
            elsewhere = asked == "--recipe" and not file.exists()  # then it must be given before it is read
            same = elsewhere or (file.is_file() and sha256(file) == run.get(f"{name}_sha256"))
        except (ValueError, OSError) as e:
            raise ValueError(f"{asked}: run.json is damaged: {brief(e)}") from None
        if not same:
            what = "text" if name == "text" else "array"
            why = f"{file} is not the {what} of that run (has the {what} changed?)"
            raise ValueError(f"{asked}: {why}; give it by --{name} FILE")



def _stored(out: Path, given: dict) -> dict:
    """The description of the run in `out`; ValueError where `given` options contradict it."""
    run = _read(out, "--resume")
    _trust(run, given, "--resume")
    options = run["options"]
    moved = ("text", "ids", *own_data.IDS_ONLY)  # files that may lie elsewhere now
    if given.get("steps", 0) > options["steps"]:  # more than planned
        options["steps"] = given["steps"]
    other = [k for k, v in given.items() if options[k] != v and (k not in moved or options[k] is None)]
    differ = [f"--{k.replace('_', '-')}" for k in other]
    if differ:
        raise ValueError(
            f"--resume: {', '.join(differ)} not as in the run in {out}; leave out what differs, or start a new run"
        )
    options |= {k: v for k, v in given.items() if k in moved}
    return run


def _check_same(out: Path, model: LatentDiffusion) -> None:
    from .._common.checkpoint import read

    meta = read(out)[1]
    if (meta["config"], meta["data"]) != (model.config.to_dict(), json.loads(json.dumps(model.data))):
        raise ValueError(f"--resume: the data are not those of the run in {out}; has the text changed?")


def _final_scores(model: LatentDiffusion, data: Data | None, seed: int) -> dict:
    """A quick score, printed, and kept with the model."""
    from ..evaluation import few_steps, tables

    if data is None:
        return {}
    if has_scores(data):
        rows = few_steps.frontier(model, data, (1, 4), n=512, seed=seed)
        print(tables.as_text(rows))
        return {"frontier": rows}
    bound = model.nelbo(data.sample(512, seed), seed=seed)
    print(f"held out: {bound}")
    return {"held_out_nats_per_token": bound.nats_per_token}


def _stopped(out: Path, when: str, say) -> int:
    say(f"\nStopped{when}; what was learned is in {out}. Go on with:")
    say(f"  {PROGRAM} train --out {shlex.quote(str(out))} --resume")
    return 130


def _next(out: Path, options: dict, model: LatentDiffusion, data: Data) -> None:
    from ..text import prompts

    folder = shlex.quote(str(out))
    pattern = prompts.pattern_of(model, data.sample(1, seed=0)[0])
    if options["molecules"]:
        pattern = "C1CC1([MASK])[MASK]"
    if options["task"] == "newswire":
        pattern = "the [MASK] rose by two metres in [MASK] on friday , [MASK] said ."
    again = {"text": " --text HELD_OUT.txt", "ids": " --ids HELD_OUT.npy"}
    given = next((words for name, words in again.items() if options[name] is not None), "")
    if own_data.is_own(options["task"]):
        given = f" --task {shlex.quote(options['task'])}"
    print(f"\nSaved in {out}. Next:")
    print(f"  {PROGRAM} sample {folder}")
    print(f"  {PROGRAM} infill {folder} {shlex.quote(pattern)}")
    print(f"  {PROGRAM} evaluate {folder}{given}")

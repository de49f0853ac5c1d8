"""The command line: data, train, sample, infill, evaluate, doctor. Each command is a few calls into
the library."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from .._common import arguments, files
from .._common.protocols import has_scores
from .._common.words import counted
from . import terminal
from .options import PROGRAM, build_parser, defaults

if TYPE_CHECKING:
    from .._common.protocols import Data
    from ..diffusion.paths import Path as NoisePath
    from ..model import LatentDiffusion

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 2 after `error: ...` on stderr, 130 after
    Ctrl-C.

    `argv`: the words after `python -m lddm_lite`; None takes those of this process. With LDDM_DEBUG
    set, errors keep their traceback.

    >>> main(["doctor"])  # doctest: +SKIP
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    with terminal.prepared(steady=argv[:1] == ["train"]):
        return _run(argv)


def _run(argv: list[str]) -> int:
    try:
        parser = build_parser(COMMANDS, argv[:1])
        args = parser.parse_args(argv)
        if args.command is None:
            parser.print_help()
            return 0
        status = args.run(args, argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, say `head`, has seen enough
        terminal.drop(sys.stdout)
        return 0
    except Exception as e:
        if os.environ.get("LDDM_DEBUG") or not _is_user_error(e):
            raise
        if os.environ.get("RANK", "0") == "0":  # of several processes, the main one speaks
            print(f"error: {_message(e)}", file=sys.stderr)
        return 2


def _message(e: Exception) -> str:
    if isinstance(e, OSError) and e.strerror:
        if not e.filename:  # of our own files all have names
            terminal.drop(sys.stdout)
        name = str(e.filename or "the output")
        name = name if name.isprintable() and len(name) < 300 else arguments.shown(name)
        return f"{name}: {e.strerror}"
    if _is_memory(e):
        return f"not enough memory ({str(e).splitlines()[0]}); ask for fewer sequences at once, -n or --batch"
    return str(e)


def _is_user_error(e: Exception) -> bool:
    if isinstance(e, ValueError | OSError) or _is_memory(e):
        return True
    if isinstance(e, ImportError):  # of a package that carries a model: the message has the command
        return not isinstance(e, ModuleNotFoundError)
    from ..training.config import TrainingError

    return isinstance(e, TrainingError)


def _is_memory(e: Exception) -> bool:
    return isinstance(e, MemoryError) or (isinstance(e, RuntimeError) and "alloc" in str(e) and "memory" in str(e))


def _train(args, argv) -> int:
    from .train_command import forecast, recipe, started_from, train

    given = {k: v for k, v in vars(args).items() if k in defaults()}
    if args.recipe is not None:
        if args.resume:
            raise ValueError("--recipe: not with --resume, which takes the options of the run in --out")
        given = {**recipe(args.recipe, given), **given}
    if args.dry_run:
        if args.resume:
            raise ValueError("--dry-run: not with --resume; it is for new runs")
        return forecast(given, _machine(args))
    if args.out is None:
        raise ValueError("where to keep the run? Give --out DIR")
    start = args.init_from
    if args.recipe is not None and start is None:
        start = started_from(args.recipe)
    how = args.resume, args.force, args.quiet, start, args.minutes
    return train(args.out, given, argv, _machine(args), *how)


def _sample(args, argv) -> int:
    from ..training.precision import computing

    model, path = _load(args)
    draw = model.sample if args.prompt is None else functools.partial(model.generate_text, prompt=args.prompt)
    if args.gap is not None and args.prompt is None:
        raise ValueError("--gap: only with --prompt, in which it stands for a gap")
    written: list[str] = []
    for k in _token_steps(args, (8,)):
        how = {**_draws(args), "batch": args.batch}
        how |= {name: getattr(args, name) for name in ("length", "label", "gap") if getattr(args, name) is not None}
        if args.label is not None and args.prompt is not None:
            raise ValueError("--label: not with --prompt; write the class at the beginning of the prompt")
        if args.schedule == "best":
            how["order"] = "even" if args.order == "ancestral" else args.order
            how["path"] = _best(model, args, k)
        else:
            how |= {"token_steps": k, "latent_steps": args.latent_steps, "path": path}
        with computing(model, args.precision):
            trace = draw(args.n, **how)
        _show(trace, k, args.trace)
        about = {"nfe": trace.nfe, "token_steps": k, "seed": trace.seed}
        written += [
            json.dumps({"text": text, "tokens": row, **about}, ensure_ascii=False)
            for text, row in zip(trace.texts(), trace.tokens.tolist(), strict=True)
        ]
    if args.out:
        files.write(files.user_path("out", args.out), "".join(line + "\n" for line in written))
        print(f"# {len(written):,} sequences in {args.out}")
    return 0


def _best(model: LatentDiffusion, args, nfe: int):
    """The best schedule of the model of a task. ValueError for options that say otherwise, and for
    models of something else."""
    from ..evaluation import few_steps, search_schedule
    from ..text import prompts

    few_steps.checked_schedule("best", latent_steps=args.latent_steps, lead=args.lead)
    task = prompts.task_of(model)
    if task is None:
        raise ValueError("--schedule best: only for models of a task; of a text, `evaluate --text FILE` measures it")
    return search_schedule.best_schedule(model, task, nfe, seed=args.seed + 1)


def _infill(args, argv) -> int:
    from ..text import prompts

    model, path = _load(args)
    x = prompts.encode(model, args.pattern, args.gap)
    masks = int((x == model.token_channel.mask_id).sum())
    if not masks:
        mark = prompts.marks(model, args.gap)[0]
        raise ValueError(f"nothing to fill in: write {mark} for each token that is missing")
    how = {**_draws(args), "batch": args.batch}
    for k in _token_steps(args, (min(8, masks),)):
        _show(model.infill(x.unsqueeze(0), args.n, k, args.latent_steps, path, **how), k, args.trace)
    return 0


def _draws(args) -> dict:
    from ..diffusion.sampler import Draws

    return {"seed": args.seed, **{f.name: getattr(args, f.name) for f in fields(Draws)}}


def _compare(args, argv) -> int:
    from .compare_command import run

    return run(args, _machine(args), argv)


def _evaluate(args, argv) -> int:
    from .._common.provenance import provenance
    from ..evaluation import few_steps, latents, tables

    model, path = _load(args)
    data, n = _data(model, args)
    steps, show = args.token_steps, True
    own = None if args.schedule == "best" and args.lead is None else path
    rows = few_steps.frontier(model, data, steps, args.latent_steps, own, n, args.seed, show, args.schedule)
    if has_scores(data) and not args.no_exact:
        rows += few_steps.exact_limit(data, steps, n, args.seed, show, schedule=args.schedule)
    report = {**provenance(PROGRAM, argv), "model": args.model, "system": model.name, "data": repr(data)}
    report |= {"n": n, "seed": args.seed}
    report |= {"rows": rows, "nelbo": model.nelbo(data.sample(n, args.seed), path, seed=args.seed)}
    report |= {"entropy": data.entropy()} if has_scores(data) else {}
    report["health"] = {}
    if model.latent_channel is not None:
        report["health"] = latents.diagnose(model, data, max(n, 2), seed=args.seed, progress=show).to_dict()
    if args.json != "-":
        _print_report(report)
    if args.json:
        text = tables.as_json(report)
        if args.json == "-":
            print(text)
        else:
            files.write(files.user_path("json", args.json), text + "\n")
    return 0


def _data(model: LatentDiffusion, args) -> tuple[Data, int]:
    """(what the model is judged by, sequences per number of steps)."""
    from ..text.losses import losses_of
    from .train_data import judged_by

    data = judged_by(model, args)
    for line in losses_of(data).told():
        print(f"note: {line}", file=sys.stderr)
    return data, (2048 if has_scores(data) else 256) if args.n is None else args.n


def _print_report(report: dict) -> None:
    from ..evaluation import tables

    print(f"{report['system']} on {report['data']}")
    print(f"{report['n']:,} sequences per number of steps, seed {report['seed']}\n\n{tables.as_text(report['rows'])}\n")
    print(report["nelbo"])
    if "entropy" in report:
        print(f"entropy of the task: {report['entropy']} nats/sequence; no bound can be lower")
    if report["health"]:
        print("\n" + "\n".join(tables.diagnosis_lines(report["health"])))


def _fetch_data(args, argv) -> int:
    from ..text import one_billion_words

    url = args.url or one_billion_words.URL
    path = one_billion_words.subset(args.sentences, args.split, args.cache, url, not args.quiet)
    print(path)
    if not args.quiet:
        print(f"one sentence a line; train on it: {PROGRAM} train --text {shlex.quote(str(path))}", file=sys.stderr)
    return 0


def _doctor(args, argv) -> int:
    from .doctor import main as doctor

    return doctor(argv[1:])


def _machine(args) -> str:
    """Sets the threads and returns the device. ValueError for a GPU that is not there."""
    if args.threads:
        arguments.within("threads", args.threads, "--threads")
        os.environ.setdefault("RAYON_NUM_THREADS", str(args.threads))  # of the tokenizer
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    from ..diffusion import prediction

    prediction.limit(args.logits)
    there = [kind for kind in ("cuda", "xpu", "mps") if getattr(torch, kind).is_available()]
    if args.device in ("cpu", "auto"):
        return "cuda" if args.device == "auto" and "cuda" in there else "cpu"
    if args.device not in there:
        raise ValueError(
            f"--device {args.device}: torch sees no {args.device.upper()} device here; leave the option out, or run "
            "doctor"
        )
    return args.device


def _load(args) -> tuple[LatentDiffusion, NoisePath | None]:
    """(model, path or None for the model's own)."""
    device = _machine(args)

    from ..diffusion.paths import Path as NoisePath
    from ..model import load
    from .compare_command import trusting

    path = None if args.lead is None else NoisePath(args.lead)
    return trusting(load(files.user_path("model", args.model)), args.encoder).to(device), path


def _token_steps(args, usual: tuple[int, ...]) -> tuple[int, ...]:
    steps = args.token_steps or usual
    if args.trace and len(steps) > 1:
        raise ValueError(f"--trace saves one run, and --token-steps asks for {len(steps)}")
    return steps


def _remasked(trace) -> str:
    """The entropy of tokens that were drawn again, and of as many real ones it is another matter.
    """
    if not trace.meta.get("remask"):
        return ""
    import torch

    from ..evaluation.metrics import unigram_entropy

    entropy = unigram_entropy(torch.as_tensor(trace.tokens).long(), len(trace.labels), trace.pad_id)
    return f", remasking {trace.meta['remask']:g}, token entropy {entropy:.3f} nats"


def _score(args, argv) -> int:
    from .score_command import run

    return run(args, *_load(args))


def _show(trace, token_steps: int, file) -> None:
    steps = counted(token_steps, "token step")
    print(f"# {trace.model}: NFE {trace.nfe}, {steps}, lead {trace.lead:g}, seed {trace.seed}{_remasked(trace)}")
    for i in range(len(trace)):
        print(trace.text(i))
    if file:
        trace.save(files.user_path("trace", file))
        print(f"# saved in {file}")

COMMANDS = {
    "data": _fetch_data, "train": _train, "sample": _sample, "infill": _infill, "evaluate": _evaluate,
    "score": _score, "compare": _compare, "doctor": _doctor,
}  # fmt: skip

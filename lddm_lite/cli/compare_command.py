"""`python -m lddm_lite compare`: its options, and what it does with them. Nothing heavy is imported
until it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._common.arguments import shown
from .._common.options import option
from .._common.protocols import has_scores

if TYPE_CHECKING:
    from ..evaluation.judge import Judge
    from ..model import LatentDiffusion

__all__ = ["DRAWS", "Compare", "run", "seed_list", "trusting"]

DRAWS = ("order", "temperature", "top_p", "latent_temperature")  # of tokens, and of codes where there are some


@dataclass
class Compare:
    """several models at the same total number of network calls

    The budget is the total number of network calls (NFE), latent steps included. mdlm and joint systems
    move the tokens in each call; sequential ones give the latents half of the calls, at most 16
    (continuous) or one per slot (discrete), unless --latent-share or --latent-steps says otherwise.

    Text is scored by Gen PPL, the perplexity that a judge finds in it, read without a blank before
    . , ? !, always beside the entropy of its tokens and what as many real sentences have; tasks by their
    exact scores, beside the exact predictor without latents. DIR gets report.json and report.png; while
    it runs, report.partial.json holds the rows so far.

    examples:
      python -m lddm_lite compare runs/mdlm runs/seq --text held_out.txt --out runs/compared
      python -m lddm_lite compare binsaw-mdlm binsaw-co-seq binsaw-di-seq --nfe 2,8,32 --out runs/compared
      python -m lddm_lite compare runs/c --text held_out.txt --judge none --latent-steps 4 --out runs/compared
    """

    models: tuple[str, ...] = option(
        help="folders written by train, or shipped checkpoints", metavar="MODEL", flags=("models",))
    out: str = option(help="folder for report.json and report.png", metavar="DIR", flags=("--out",))
    nfe: tuple[int, ...] | None = option(
        None, "network calls in all (default: powers of two up to 128; for tasks up to their length)", minimum=1,
        metavar="K,...")
    n: int = option(256, "samples per row", minimum=1, flags=("-n", "--n"))
    text: str | None = option(None, "models of text: real sentences they have not seen, one a line", metavar="FILE")
    task: str | None = option(None, "models of your own data: FILE.py:NAME or MODULE:NAME, as in train", metavar="NAME")
    ids: str | None = option(None, "models of your own data: held-out rows of ids", metavar="FILE.npy")
    classes: str | None = option(
        None, "the class of each of these rows, where the models have classes", metavar="FILE.npy")
    judge: str = option(
        "smollm2", "of Gen PPL: smollm2 (a package, offline), gpt2-large (the field's choice, from the hub), auto "
        "(that, or smollm2 without a network), a folder, or none")
    latent_share: float | None = option(
        None, "sequential: share of the calls for the latents", minimum=0.0, maximum=1.0)
    latent_steps: int | None = option(None, "sequential: that many, whatever the total", minimum=1, metavar="K")
    schedule: str = option(
        "even", "best: each model in the steps that are best for it, and the exact predictor in both",
        choices=("even", "best"))
    seed: int = option(0, "the same seed gives the same result", minimum=0)
    seeds: str | None = option(
        None, "repeat with each of these, and show means and how far seeds differ: 0-4, or 0,3,5", metavar="N-N")
    encoder: str | None = option(
        None, "the frozen encoder that a model's file names, if it is no known package: you trust it", metavar="NAME")
    real_latents: bool = option(False, "more rows, of what each model does with the latents of real sequences")
    table: str | None = option(
        None, "models of text: more rows, of latents drawn from a table, those of this file's sentences (one call)",
        metavar="FILE")
    no_health: bool = option(False, "leave out what the latents are good for")
    no_exact: bool = option(False, "tasks: leave out the exact predictor without latents")


def run(args, device: str, argv: Sequence[str] = ()) -> int:
    """Compare, print the table, write the report; the exit status is 0. ValueError for models that
    do not fit together, text that is missing or too short, and a judge that is not installed, with
    the command that installs it.

    >>> run(args, "cpu")  # doctest: +SKIP
    0
    """
    from .._common.data_contract import is_text
    from .._common.files import user_path, write_json
    from .._common.provenance import provenance
    from ..evaluation import comparison
    from ..evaluation.tables import comparison_table

    models = _models(args.models, device, args.encoder)
    data, table = _data(models, args), _table(models, args.table)
    spec = next(iter(models.values())).data  # a judge reads text; of molecules rdkit knows more
    read = is_text(spec) and "molecules" not in spec and not has_scores(data)
    judge = _judge(args.judge, device) if read else None
    seeds = [args.seed] if args.seeds is None else seed_list(args.seeds)
    out = user_path("out", args.out)
    partial = out / "report.partial.json"
    chosen = {k: getattr(args, k) for k in ("latent_share", "latent_steps", "schedule", "seed", *DRAWS)}
    try:
        each = [
            comparison.compare(
                models, data, args.nfe, args.n, judge, **{**chosen, "seed": seed}, health=not args.no_health,
                exact=not args.no_exact, real_latents=args.real_latents, table=table, progress=True,
                save=lambda rows: write_json(partial, rows),
            )
            for seed in seeds
        ]  # fmt: skip
    except KeyboardInterrupt:
        if partial.exists():
            print(f"the rows so far are in {partial}", file=sys.stderr)
        raise
    found = each[0] if len(each) == 1 else comparison.over_seeds(each)
    found |= provenance("python -m lddm_lite", argv)
    print(comparison_table(found))
    files = comparison.write(found, out)
    partial.unlink(missing_ok=True)
    print(f"\nsaved in {files[0]} and {files[1].name}")
    return 0


def seed_list(text: str) -> list[int]:
    """Seeds from text: a range with both ends, or a list. ValueError for something else.

    >>> seed_list("0-4"), seed_list("0,3,5")
    ([0, 1, 2, 3, 4], [0, 3, 5])
    """
    first, dash, last = text.partition("-")
    try:
        seeds = list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds must be a range like 0-4, or different numbers like 0,3,5; got {shown(text)}")
    return seeds


def trusting(model: LatentDiffusion, encoder: str | None) -> LatentDiffusion:
    """The model, whose frozen encoder may be loaded although only its file names it, if you named
    one, too. ValueError where it has none.

    >>> trusting(model, "somewhere/else")  # doctest: +SKIP
    """
    if encoder is not None:
        if not _frozen(model):
            raise ValueError(f"--encoder: {model.name!r} has no frozen encoder; leave the option out")
        model.encoder.encoder.told(encoder)
    return model


def _frozen(model: LatentDiffusion) -> bool:
    """Are its latents those of a text encoder that is not trained?"""
    from ..networks import FrozenTextEncoder

    return isinstance(model.encoder, FrozenTextEncoder)


def _models(names: list[str], device: str, encoder: str | None = None) -> dict[str, LatentDiffusion]:
    """{short name: model}: the system where only one model has it, else the folder's name, else the
    whole path."""
    from .._common.files import user_path
    from ..model import load

    if len(set(names)) < len(names):
        raise ValueError(f"each model once, please; got {', '.join(names)}")
    models = [load(user_path("model", name)).to(device) for name in names]
    frozen = [model for model in models if _frozen(model)]
    for model in frozen if encoder is None or frozen else models[:1]:
        trusting(model, encoder)
    for labels in ([model.name for model in models], [Path(name).resolve().name for name in names]):
        if len(set(labels)) == len(labels):
            return dict(zip(labels, models, strict=True))
    return dict(zip(names, models, strict=True))


def _data(models: dict[str, LatentDiffusion], args) -> Any:
    """What all models are scored on: the task of the first, or the text in its tokens."""
    from .._common.data_contract import is_text
    from .train_data import judged_by

    def kind(about: dict) -> str:
        return about.get("molecules") or ("text" if is_text(about) else f"task {about.get('task')!r}")

    kinds = {name: kind(m.data) for name, m in models.items()}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{name} on {kind}" for name, kind in kinds.items())
        raise ValueError(f"models of different data cannot be compared: {found}")
    return judged_by(next(iter(models.values())), args)


def _table(models: dict[str, LatentDiffusion], file: str | None) -> Any:
    """The sentences of --table in the tokens of the models; None without it."""
    from .._common.data_contract import is_text
    from ..text import dataset

    if file is None:
        return None
    spec = next(iter(models.values())).data
    if not is_text(spec) or "molecules" in spec:
        raise ValueError("--table: only models of text take their latents from sentences of a file")
    return dataset.from_file(file, codec=dataset.from_spec(spec))


def _judge(name: str, device: str) -> Judge | None:
    if name == "none":
        return None
    from ..evaluation.judge import USUAL, Judge

    try:
        return Judge(USUAL if name == "gpt2-large" else name, device)
    except ImportError as e:
        raise ValueError(f"--judge {name}: {e}; or leave Gen PPL out with --judge none") from None

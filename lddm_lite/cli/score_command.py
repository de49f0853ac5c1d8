"""`python -m lddm_lite score`: the bound of each sequence in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._common.options import option

if TYPE_CHECKING:
    import torch

    from ..model import LatentDiffusion

__all__ = ["Score", "run"]


@dataclass
class Score:
    """the bound on -log p(x), in nats, of each sequence in a file

    A text has one sequence a line, in words, symbols or sentences as the model has them; a .npy file
    has rows of ids. Lines that the model cannot read, being too long or of unknown words, are named and
    have no number. Without --out, nats, tokens and the line are printed, a line each.

    examples:
      python -m lddm_lite score runs/c sentences.txt
      python -m lddm_lite score runs/digits digits.npy --draws 16 --out scores.jsonl
    """

    model: str = option(
        help="a folder written by train, or the name of a shipped checkpoint", metavar="DIR", flags=("model",)
    )
    file: str = option(help="sequences, one a line, or ids in a .npy file", metavar="FILE", flags=("file",))
    draws: int = option(4, "noise draws per sequence, whose mean is taken", minimum=1)
    lead: float | None = option(
        None, "path of the bound: 0 joint, 0.5 sequential, or between (default: the system's)", minimum=0.0, maximum=0.5
    )
    seed: int = option(0, "the same seed gives the same result", minimum=0)
    encoder: str | None = option(
        None, "the frozen encoder that the model's file names, where it is no known package: you trust it",
        metavar="NAME")
    batch: int = option(512, "sequences in one network call", minimum=1)
    out: str | None = option(None, "write JSON, an object a line: line, nats, se, tokens, text", metavar="FILE")
    classes: str | None = option(None, "--ids of data with classes: the class of each row, .npy", metavar="FILE")


def run(args, model: LatentDiffusion, path) -> int:
    """Score, and print or write; the exit status is 0.

    >>> run(args, model, None)  # doctest: +SKIP
    0
    """
    import torch

    from .._common import arguments, files

    rows, found = _rows(args, model)
    at = [i for i, row in enumerate(rows) if row is not None]
    if not at:
        raise ValueError(f"{args.file}: no line can be scored; the first: {found[0]['error']}")
    arguments.within("draws", args.draws, "--draws")
    x = torch.stack([row for row in rows if row is not None])
    each = torch.stack([
        model.nelbo(x, path, each=True, seed=args.seed + k, batch=args.batch) for k in range(args.draws)])  # fmt: skip
    tokens = model.valid(x.to(model.device)).sum(1).tolist()
    for k, i in enumerate(at):
        found[i]["nats"], found[i]["tokens"] = float(each[:, k].mean()), tokens[k]
        if args.draws > 1:
            found[i]["se"] = float(each[:, k].std() / args.draws**0.5)
    if args.out:
        told = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        files.write(files.user_path("out", args.out), told)
        nats = sum(float(row["nats"]) for row in found if "nats" in row)
        share = f"{len(at):,} of {len(found):,} sequences scored"
        print(f"{share}, {nats / sum(tokens):.4f} nats a token; saved in {args.out}")
        return 0
    for row in found:
        number = f"{row['nats']:.3f}\t{row['tokens']}" if "nats" in row else f"-\t{row['error']}"
        print(f"{number}\t{row['text']}")
    return 0


def _rows(args, model: LatentDiffusion) -> tuple[list[torch.Tensor | None], list[dict]]:
    """(ids of each line or None, {line, text, maybe error} of each)."""
    from .._common.data_contract import read_text
    from .._common.files import user_path
    from ..text import prompts
    from ..text.lines import iter_lines
    from . import own_data

    if Path(args.file).suffix == ".npy":
        data = own_data.held_out_arrays(model, args.file, args.classes)
        rows = list(data.rows)  # type: ignore[attr-defined]
        return rows, [{"line": i, "text": read_text(data, row)} for i, row in enumerate(rows, 1)]
    out, found = [], []
    for i, line in enumerate(iter_lines(user_path("file", args.file), strip=False), 1):
        if not line.strip():
            continue
        row, about = None, {"line": i, "text": line}
        try:
            row = prompts.whole(model, line)
        except ValueError as e:
            row, about["error"] = None, str(e)
        out.append(row)
        found.append(about)
    if not out:
        raise ValueError(f"{args.file} is empty: it must hold at least one sequence, one a line")
    return out, found

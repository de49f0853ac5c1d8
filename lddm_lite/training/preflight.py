"""Checks of the arguments of `fit`, before anything is trained or written."""

from __future__ import annotations

import hashlib
import json

import torch

from .._common import data_contract, randomness
from .._common.protocols import Data, Model, has_rows, read_rows
from ..text.losses import losses_of
from .config import TrainConfig
from .precision import check_precision
from .tensorboard import summary_writer

__all__ = ["check_micro_batches", "check_together", "fingerprint", "sentences"]

DRAWN = 50_000  # sequences of data without rows that the codes of a mixture are fitted to


def check_together(model: Model, data: Data, config: TrainConfig, held_out: Data | None = None, out=None) -> None:
    """Check the arguments of `fit` against each other: ValueError for data of another shape than
    the model's, and for options that lack what they need.

    - `model`, `data`, `config`: of the run;
    - `held_out`: data to take the bound on, for `validate_every`;
    - `out`: the folder to write to, for `tensorboard`.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task = tasks.Binsaw(length=8)
    >>> check_together(LatentDiffusion.preset("mdlm", task, width=16), task, TrainConfig())
    """
    losses_of(data).check("data")  # of a text: what was destroyed on its way trains well, and to no end
    for name, part in (("data", data), ("held_out", held_out)):
        if part is None and name == "held_out":
            continue
        data_contract.check(part, name, whole=False)
        assert part is not None  # for the type checker
        if (part.length, part.vocab) != (model.config.length, model.config.vocab):
            raise ValueError(
                f"{name} has length {part.length} and vocab {part.vocab}; "
                f"the model was made for {model.config.length} and {model.config.vocab}"
            )
    if config.validate_every and held_out is None:
        raise ValueError(f"validate_every={config.validate_every} needs `held_out`, data to take the bound on")
    if config.tensorboard:
        if not out:
            raise ValueError("tensorboard=True needs `out`, the folder to write to")
        summary_writer()
    check_precision(config.precision, model.device)


def fingerprint(data: Data) -> str:
    """SHA-256 of what the data give: their description, a hundred sequences drawn from them, and of
    a corpus in memory all. The same data have the same one, in another process too.

    >>> from lddm_lite import tasks
    >>> len(fingerprint(tasks.Binsaw(length=8)))
    64
    """
    spec = data.spec() if hasattr(data, "spec") else {}
    out = hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode())
    parts = [data_contract.draw(data, 101, randomness.generator(20_251_018))]
    if has_rows(data):
        out.update(f"{len(data)} rows".encode())
        parts += [data.rows] if isinstance(data.rows, torch.Tensor) else []  # on disk: the spec and the draws must do
    for x in parts:
        x = torch.as_tensor(x).cpu().contiguous()
        out.update(f"{x.dtype} {tuple(x.shape)}".encode() + x.numpy().tobytes())
    return out.hexdigest()


def check_micro_batches(model: Model, config: TrainConfig, processes: int = 1) -> None:
    """ValueError for micro-batches that cannot be dealt out to so many processes, or are too small
    for the encoder.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), width=16)
    >>> check_micro_batches(model, TrainConfig(accumulate=4), processes=2)
    """
    if config.accumulate % processes:
        raise ValueError(f"accumulate must be a multiple of the {processes} processes, got {config.accumulate}")
    if model.encoder is not None and config.batch < 2 * config.accumulate:
        least = "2" if config.accumulate == 1 else f"2 * accumulate = {2 * config.accumulate}"
        raise ValueError(
            f"batch must be >= {least} for {model.name!r}, whose encoder is centred by the batch; got {config.batch}"
        )


def sentences(data: Data, encoder: str) -> torch.Tensor:
    """All sentences of a text, for the frozen `encoder`: ids [N, L], of any integer type. The codes
    of a mixture want no text: of data without `rows`, such as a task, sequences are drawn for them.
    ValueError where a sentence encoder gets such data.

    >>> from lddm_lite import text
    >>> sentences(text.from_lines(["a b", "a"], length=3), "minilm").shape
    torch.Size([2, 3])
    """
    if not has_rows(data) and encoder == "mixture":
        return data_contract.draw(data, DRAWN, randomness.generator(0))
    if not has_rows(data):
        raise ValueError(
            f"encoder={encoder!r} needs data that has `rows`, which it reads once: text.from_file or tasks.Corpus give "
            "such (on the command line: --text FILE, or --task NAME --limit N)"
        )
    parts = torch.arange(len(data)).split(65_536)  # int32, part by part, where int64 would be twice as much
    return torch.cat([read_rows(data, part).to(torch.int32) for part in parts])

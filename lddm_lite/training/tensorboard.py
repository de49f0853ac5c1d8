"""TensorBoard logs of the history, where TensorBoard is installed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["summary_writer", "open_writer"]

INSTALL = "pip install tensorboard"


class _Writer:
    def __init__(self, writer):
        self.writer = writer

    def add(self, row: dict) -> None:
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def summary_writer():
    """torch's SummaryWriter. ValueError with the command that installs TensorBoard where it is
    missing.

    >>> summary_writer()  # doctest: +SKIP
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(f"tensorboard=True needs a package that is not installed: {INSTALL}") from None
    return SummaryWriter


def open_writer(folder, step: int = 0) -> _Writer:
    """What writes rows of a history to `folder`, for `tensorboard --logdir`: `add(row)`, `close()`.
    What an earlier run wrote there for later steps than `step` is hidden. ValueError as
    `summary_writer`.

    >>> open_writer("runs/a/tensorboard")  # doctest: +SKIP
    """
    return _Writer(summary_writer()(str(Path(folder)), purge_step=step + 1))

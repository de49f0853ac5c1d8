"""The history for TensorBoard, where that is installed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["board_writer", "open_board"]

INSTALL = "pip install tensorboard"


class _Board:
    def __init__(self, writer):
        self.writer = writer

    def add(self, row: dict) -> None:
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def board_writer():
    """torch's SummaryWriter. ValueError with the command that installs TensorBoard where it is missing.

    >>> board_writer()  # doctest: +SKIP
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(f"tensorboard=True needs a package that is not installed: {INSTALL}") from None
    return SummaryWriter


def open_board(folder, step: int = 0) -> _Board:
    """What writes rows of a history to `folder`, for `tensorboard --logdir`: `add(row)`, `close()`. What an earlier run
    wrote there for later steps than `step` is hidden. ValueError as `board_writer`.

    >>> open_board("runs/a/tensorboard")  # doctest: +SKIP
    """
    return _Board(board_writer()(str(Path(folder)), purge_step=step + 1))

"""Data-parallel training: several processes that train as one, and what they tell each other.

`accelerate launch` or `torchrun` starts the processes; Hugging Face Accelerate sets them up.
Without such a launcher there is one process, Accelerate is not imported, and everything here does
nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import torch

__all__ = ["Team", "join", "rank", "size"]

INSTALL = "pip install accelerate"
# what happens without MPI, and without a word
ONE = "accelerate launch --cpu started a single process; for several: accelerate launch --multi_gpu ... --device cpu"


def size() -> int:
    """How many processes the launcher started; 1 without a launcher.

    >>> size()
    1
    """
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 1


def rank() -> int:
    """This process's number, 0 the main one's, which alone writes and prints.

    >>> rank()
    0
    """
    return int(os.environ["RANK"]) if size() > 1 else 0


class Team:
    """One process on `device`: it has nobody to ask. `join` gives this, or a team of several.

    >>> team = join("cpu")
    >>> team.main, team.size, team.any(False), team.sum([torch.ones(2)])
    (True, 1, False, [tensor([1., 1.])])
    """

    rank, size = 0, 1

    def __init__(self, device):
        self.device = torch.device(device)

    @property
    def main(self) -> bool:
        """Is this the process that writes and prints?"""
        return self.rank == 0

    def sum(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Sums of float tensors over the processes: shapes and order must be the same in all."""
        return tensors

    def any(self, flag: bool) -> bool:
        """Is the flag set in any process?"""
        return flag

    def agree(self, value: float) -> float:
        """The main process's value."""
        return value

    def share(self, tensors) -> None:
        """Overwrite tensors with the main process's."""

    def first(self, work):
        """What `work()` returns in the main process, in all of them. Where it fails, the main
        process raises, and the others exit with status 2."""
        return work()

    def main_first(self):
        """Within this block the main process goes ahead: the others find in the cache what it put
        there."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """The processes part."""


class _Several(Team):
    """Processes that Accelerate has set up: NCCL between GPUs, gloo between CPUs."""

    def __init__(self, state):
        super().__init__(state.device)
        self.state, self.rank, self.size = state, state.process_index, state.num_processes

    def sum(self, tensors):
        from accelerate.utils import reduce

        if not tensors:
            return []
        flat = reduce(torch.cat([t.float().flatten() for t in tensors]), reduction="sum")
        parts = flat.split([t.numel() for t in tensors])
        return [p.view_as(t) for p, t in zip(parts, tensors, strict=True)]

    def any(self, flag):
        return bool(self.sum([torch.tensor([float(flag)], device=self.device)])[0] > 0)

    def agree(self, value):
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        self.share([told])
        return float(told)

    @torch.no_grad()
    def share(self, tensors):
        from accelerate.utils import broadcast

        for t in tensors:
            t.copy_(broadcast(t.detach().contiguous()))

    def first(self, work):
        from accelerate.utils import broadcast_object_list

        told: list[Any] = [None, None]
        error: Exception | None = None
        if self.main:
            try:
                told = [work(), None]
            except Exception as e:
                told, error = [None, str(e)], e
        broadcast_object_list(told)
        if error is not None:
            raise error
        if told[1] is not None:
            raise SystemExit(2)
        return told[0]

    def main_first(self):
        return self.state.main_process_first()

    def close(self):
        self.state.destroy_process_group()


def join(device) -> Team:
    """The team that this process belongs to: one process on `device`, or what the launcher started.
    Of several processes on GPUs, each is given one. ValueError when several are to work together
    and Accelerate is missing.

    >>> join("cpu").device
    device(type='cpu')
    """
    if size() == 1:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_PORT" in os.environ:
            print(ONE, file=sys.stderr)
        return Team(device)
    try:
        from accelerate import PartialState
    except ImportError:
        raise ValueError(f"{size()} processes work together through Hugging Face Accelerate: {INSTALL}") from None
    return _Several(PartialState(cpu=torch.device(device).type == "cpu"))

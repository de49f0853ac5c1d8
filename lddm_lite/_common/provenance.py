"""Provenance of measured figures: the command, the versions and the class of machine."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence

import torch

from .words import counted

__all__ = ["provenance"]


def provenance(program: str, words: Sequence[str]) -> dict:
    """Provenance of a figure, what it takes to measure again: {"command", "machine", "versions"},
    JSON-able.

    >>> provenance("python -m lddm_lite", ["evaluate", "runs/a"])["command"]
    'python -m lddm_lite evaluate runs/a'
    """
    threads = counted(torch.get_num_threads(), "thread")
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "command": f"{program} {shlex.join(words)}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores, {threads}{gpu}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }

"""Provenance: what is needed to measure again."""

import os
import shlex

import torch

from lddm_lite._common.provenance import provenance


def test_the_command_can_be_run_as_written():
    words = ["compare", "a b", "--out", "it's"]
    found = provenance("python -m lddm_lite", words)
    assert shlex.split(found["command"]) == ["python", "-m", "lddm_lite", *words]


def test_versions_and_machine():
    found = provenance("x", [])
    assert found["versions"]["torch"] == torch.__version__
    assert f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} thread" in found["machine"]

"""What is handed from room to room is annotated, and what the protocols ask is there."""

import ast

import pytest
import torch

from lddm_lite import Config, GaussianChannel, LatentDiffusion, MaskedChannel, evaluation, networks, tasks, text
from lddm_lite._common.protocols import has_rows, has_scores
from lddm_lite.training.speed import random_data
from tests.support import ROOT

NAMES = {"model", "data", "encoder", "denoiser", "held_out", "task", "channel", "judge"}
LIBRARY = ROOT / "lddm_lite"
SOURCE = ast.parse((LIBRARY / "_common" / "protocols.py").read_text("utf-8"))
PROTOCOLS = {node.name: node for node in SOURCE.body if isinstance(node, ast.ClassDef)}

TASK = tasks.Binsaw(length=4)
SENTENCES = text.from_lines(["the bank is open .", "rain fell ."], length=8)
DATA = [TASK, tasks.Corpus(TASK, 3), SENTENCES, random_data(4, 2, n=3)]
JUDGE = evaluation.Judge.__new__(evaluation.Judge)  # without its model, which is large
JUDGE.name = "smollm2"
SIZE = dict(length=4, vocab=2, width=8, heads=1)


def unannotated(source: str) -> list[str]:
    """The parameters of `NAMES` that no function of a source annotates. (A lambda cannot.)"""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            a = node.args
            given = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
            bare = [p.arg for p in given if p is not None and p.arg in NAMES and p.annotation is None]
            found += [f"{node.name}, line {node.lineno}: {name}" for name in bare]
    return found


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_models_data_and_parts_are_annotated(path):
    assert unannotated(path.read_text("utf-8")) == []


def test_a_parameter_without_annotation_is_found():
    source = """
class Run:
    def __init__(self, model: Model, data, *, held_out=None): ...

async def wait(n, *encoder): ...

short = lambda model: model.name
"""
    assert sorted(unannotated(source)) == [
        "__init__, line 3: data",
        "__init__, line 3: held_out",
        "wait, line 5: encoder",
    ]


def members(protocol: str) -> set[str]:
    """What a protocol asks for, by name: its own and what it inherits of others."""
    node = PROTOCOLS[protocol]
    own = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    own |= {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
    return own.union(*(members(base.id) for base in node.bases if base.id in PROTOCOLS))


FITTING = [
    ("Data", TASK),
    ("Data", random_data(4, 2, n=3)),
    ("Task", TASK),
    ("Task", tasks.MixtureOfProducts(length=4)),
    ("Corpus", tasks.Corpus(TASK, 3)),
    ("Text", SENTENCES),
    ("Denoiser", networks.Denoiser(Config(**SIZE))),
    ("Denoiser", networks.ExactDenoiser(TASK)),
    ("Encoder", networks.ContinuousEncoder(Config(**SIZE))),
    ("Encoder", networks.DiscreteEncoder(Config(**SIZE, latent="discrete"))),
    ("Encoder", networks.ShiftEncoder(TASK)),
    ("Channel", GaussianChannel()),
    ("MaskedNoise", MaskedChannel(2)),
    ("Model", LatentDiffusion.preset("mdlm", TASK, width=8, heads=1)),
    ("Model", LatentDiffusion.exact(TASK, "shift")),
    ("Judge", JUDGE),
]


@pytest.mark.parametrize(("name", "thing"), FITTING, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_what_a_protocol_asks_is_there(name, thing):
    assert {member for member in members(name) if not hasattr(thing, member)} == set()


def test_the_protocols_ask_for_something():
    """The test above would pass on nothing."""
    assert {name for name, _ in FITTING} == set(PROTOCOLS) - {"Module"}
    assert members("Data") == {"length", "vocab", "labels", "spec", "sample"}
    assert members("Text") == members("Data") | {"rows", "__len__", "pad_id", "decode"}
    assert members("Denoiser") == members("Module") | {"forward"}
    assert {"training", "__call__", "parameters"} <= members("Module")
    with pytest.raises(AssertionError):
        test_what_a_protocol_asks_is_there("Text", TASK)


@pytest.mark.parametrize("data", DATA, ids=lambda data: type(data).__name__)
def test_data_are_drawn_by_a_number_or_a_generator(data):
    x = data.sample(5, torch.Generator().manual_seed(3))
    assert torch.equal(x, data.sample(5, seed=3))
    assert x.shape == (5, data.length) and x.dtype == torch.int64
    assert int(x.max()) < data.vocab == len(data.labels)


def test_data_are_told_apart():
    assert [(has_scores(data), has_rows(data)) for data in DATA] == [(True, False), *[(False, True)] * 3]

"""Files from anywhere, damaged in every place: each is read rightly or refused with a message that says
where; nothing runs, nothing hangs, nothing is taken in silence.

The count of outcomes is printed (`pytest -s`). Quick: every seventh case; all of them with `-m slow`.
"""

import json
import shutil
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import lddm_lite as ld
from lddm_lite import networks, text
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.cli import train_command
from lddm_lite.diffusion import RateGrid
from lddm_lite.plots import LatentMap
from lddm_lite.tasks import ToyNewswire, from_spec
from lddm_lite.tasks.newswire import load_grammar
from lddm_lite.text import build_token_store, token_store
from lddm_lite.training.state import TrainState
from tests.support.hostile import Count, documents, signed
from tests.support.training_runs import QUICK, Feed, start

ANSWERS = (ValueError, OSError)
SHARES = [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(7, id="every seventh")]


def some(cases, share):
    """Every so-manieth of the cases, those of the whole document always."""
    for k, (name, content) in enumerate(cases):
        if k % share == 0 or " = " not in name:
            yield name, content


def sampled(model):
    """Is what a model draws what it may be?"""
    trace = model.sample(2, 2)
    return bool(np.isfinite(trace.confidence).all()) and int(trace.tokens.max()) < model.config.vocab


@pytest.fixture(scope="module")
def trace():
    return start("co-seq").sample(2, 2, 2)


@pytest.mark.parametrize("share", SHARES)
def test_traces(share, trace, tmp_path):
    count, file = Count(), tmp_path / "t.json"
    document = json.loads(trace.to_json())

    def read():
        found = ld.Trace.load(file)
        found.texts(), found.tokens_at(1), repr(found)
        return len(found) == 2 and json.loads(found.to_json())["tokens"] == document["tokens"]

    for name, content in some(documents(document), share):
        file.write_bytes(content)
        count.case(name, read, ANSWERS, [file])
    count.verdict("traces")


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_models(share, system, tmp_path):
    whole, count = tmp_path / "whole", Count()
    start(system).save(whole, history={"rows": [{"step": 1, "loss": 2.0}], "events": [[1, "a"]]})
    document = json.loads((whole / "config.json").read_text())
    document["labels"] = ["0", "1"]
    for name, content in some(documents(document), share):
        (whole / "config.json").write_bytes(content)
        count.case(name, lambda: sampled(ld.load(whole)), CheckpointError, [whole])
    count.verdict(f"models, {system}")


def headers(data):
    """Damaged headers of a safetensors file, with the rest as it was."""
    size = struct.unpack("<Q", data[:8])[0]
    document, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    few = dict(list(document.items())[:3])
    for name, content in documents(few, depth=3):
        try:
            whole = json.loads(content)
            whole = json.dumps({**document, **whole}).encode() if isinstance(whole, dict) else content
        except (ValueError, RecursionError):
            whole = content
        yield name, struct.pack("<Q", len(whole)) + whole + rest
    for name, length in (("longer", size + 9), ("endless", 2**63), ("none", 0), ("negative", 2**64 - 1)):
        yield name, struct.pack("<Q", length) + data[8:]
    yield "cut off", data[:-3]
    yield "more behind", data + b"x"


@pytest.mark.parametrize("share", SHARES)
def test_weights(share, tmp_path):
    """All hashes are right: what is wrong stands in the header, or in the numbers."""
    count = Count()
    whole = start("co-seq").save(tmp_path / "whole")
    weights = next(whole.glob("weights-*")).read_bytes()
    config = (whole / "config.json").read_text()
    good = ld.load(whole).sample(2, 2).tokens.tolist()

    def read():
        return ld.load(whole).sample(2, 2).tokens.tolist() == good

    def restore():
        for file in whole.glob("weights-*"):
            file.unlink()
        (whole / json.loads(config)["weights"]).write_bytes(weights)
        (whole / "config.json").write_text(config)

    for name, content in some(headers(weights), share):
        signed(whole, content)
        count.case(f"header: {name}", read, CheckpointError, [whole])
        restore()
    tensors = load_tensors(weights)
    for name, v in tensors.items():
        changes = {"cut": v.reshape(-1)[:0], "one": v.flatten()[:1], "flat": v.reshape(1, -1)}
        changes |= {"int": v.int(), "bool": v > 0}
        if v.is_floating_point():
            changes |= {"nan": v * float("nan"), "inf": v + float("inf")}
        for how, new in list(changes.items())[:: 1 if share == 1 else 3]:
            if new.shape == v.shape and new.dtype == v.dtype and torch.equal(new, v):
                continue
            signed(whole, save_tensors({**tensors, name: new.contiguous()}))
            count.case(f"{name} {how}", read, CheckpointError, [whole])
            restore()
        signed(whole, save_tensors({k: w for k, w in tensors.items() if k != name}))
        count.case(f"{name} missing", read, CheckpointError, [whole])
        restore()
    count.verdict("weights")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a run of a discrete system that was stopped."""
    from tests.support.training_runs import interrupt

    out = tmp_path_factory.mktemp("run")
    ld.fit(start("di-seq"), Feed(16, s14=interrupt), out=out, save_every=5, **QUICK)
    return out


@pytest.mark.parametrize("share", SHARES)
def test_states(share, stopped, tmp_path):
    """A state is what native code works on: names, shapes, numbers, generators."""
    count, folder = Count(), tmp_path / "run" / "training"
    shutil.copytree(stopped, tmp_path / "run")
    config = (folder / "config.json").read_text()
    weights = folder / json.loads(config)["weights"]
    data = weights.read_bytes()
    document = json.loads(config)

    def resume():
        ld.fit(start("di-seq"), Feed(16), out=tmp_path / "run", resume=True, save_every=5, **QUICK)
        return True

    def restore():
        shutil.rmtree(tmp_path / "run")
        shutil.copytree(stopped, tmp_path / "run")

    for name, content in some(documents(document, depth=2), 2 * share):
        (folder / "config.json").write_bytes(content)
        # what a run is told besides its numbers may be anything: model, events, rows
        count.case(name, lambda: TrainState.read(folder) is not None, CheckpointError, [folder])
    restore()
    tensors = load_tensors(data)
    chosen = [k for k in tensors if k.startswith(("optimiser.0", "optimiser.3", "ema.0", "ema.1", "random"))]
    chosen += [k for k in tensors if k.startswith("model.encoder")][:3]
    for name in chosen if share == 1 else chosen[:: share // 2]:
        v = tensors[name]
        changes = {"missing": None, "empty": v.reshape(-1)[:0], "long": torch.cat([v.reshape(-1)] * 2)}
        changes |= {"half": v.reshape(-1)[: max(1, v.numel() // 2)], "double": v.double(), "int": v.int()}
        changes |= {"bool": v > 0, "more axes": v.unsqueeze(0)}
        if v.is_floating_point():
            changes |= {"nan": v * float("nan"), "minus": -v.abs() - 1 if "sq" in name or "step" in name else None}
        else:
            changes |= {"noise": torch.full_like(v, 255)}
        for how, new in changes.items():
            if how == "minus" and new is None:
                continue
            if new is not None and new.shape == v.shape and new.dtype == v.dtype and torch.equal(new, v):
                continue
            kept = {k: w for k, w in tensors.items() if k != name} | ({} if new is None else {name: new.contiguous()})
            signed(folder, save_tensors(kept))
            count.case(f"{name} {how}", resume, CheckpointError, ["state", folder])
            restore()
    count.verdict("states")


@pytest.mark.parametrize("share", SHARES)
def test_runs(share, tmp_path):
    """run.json, as --resume and --recipe read it."""
    count, file = Count(), tmp_path / "run.json"
    options = {"task": "binsaw", "steps": 100, "system": "co-seq", "encoder": "learned", "lr": 0.1, "compile": False,
               "few_step1": 0.5, "seed": 1, "text": None, "length": 8, "size": None, "weight": "time"}  # fmt: skip
    document = {"format": "lddm-lite run", "command": "python -m lddm_lite train", "options": options}

    def read():
        found = train_command.recipe(tmp_path)
        return isinstance(found, dict) and found.get("encoder", "learned") in ("learned", "minilm", "smollm2")

    for name, content in some(documents(document), share):
        file.write_bytes(content)
        count.case(name, read, ANSWERS, [file, "run.json", "--recipe"])
    count.verdict("run.json")


@pytest.mark.parametrize("share", SHARES)
def test_token_stores(share, tmp_path):
    count = Count()
    store = build_token_store.build(["Rain fell .", "Snow fell ."], vocab=64, length=6, cache=tmp_path, progress=False)
    document = json.loads((store.folder / "header.json").read_text())

    def read():
        found = token_store.load(store.folder)
        repr(found), found.spec(), found.unknown()
        return found.sample(3).shape == (3, 6)

    for name, content in some(documents(document), share):
        (store.folder / "header.json").write_bytes(content)
        count.case(name, read, token_store.DamagedStore, [store.folder])
    (store.folder / "header.json").write_bytes(b"[" * 10_000)  # a damaged one is made anew
    again = build_token_store.build(["Rain fell .", "Snow fell ."], vocab=64, length=6, cache=tmp_path, progress=False)
    assert len(again) == 2
    count.verdict("token stores")


@pytest.mark.parametrize("share", SHARES)
def test_tokenizers(share):
    count = Count()
    codec = text.from_lines(["rain fell on rome ."], vocab=32, length=6, allow_losses=True).codec
    document = json.loads(codec.tokenizer)

    def read(content):
        found = text.TextCodec(content.decode("utf-8", "surrogateescape"), 6)
        found.decode(found.encode("rain")), found.tokenise(["a" * 3000])
        return found.vocab > 1

    for name, content in some(documents(document), share):
        count.case(name, lambda c=content: read(c), ValueError, ["tokenizer", "text", "line"])
    for pattern in ("(a+)+$", "(a|a)*b" * 1, "((a*)*)*", r"(\w+\s?)*$", r"(a)\1", "a" * 5000):
        new = {**document, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
                                             "invert": False}}  # fmt: skip
        count.case(pattern, lambda n=new: read(json.dumps(n).encode()), ValueError, ["tokenizer"])
    count.verdict("tokenizers")


@pytest.mark.parametrize("share", SHARES)
def test_grids_grammars_tasks_and_maps(share, tmp_path):
    count, file = Count(), tmp_path / "map"
    grid = RateGrid("flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0)).to_dict()
    for name, content in some(documents(grid), share):
        try:
            raw = json.loads(content)
        except (ValueError, RecursionError):
            continue
        count.case(f"grid: {name}", lambda r=raw: RateGrid.from_dict(r).bound(ld.Path(0.2)).total > 0, ValueError)
    topic = {"slots": ["{city}"], "rows": [["rome"], ["paris"]], "templates": ["rain in {city} ."]}
    grammar = {"free": {"{day}": ["monday"]}, "topics": {"weather": {**topic, "slots": ["city"]}}}
    assert ToyNewswire(8, grammar=grammar).vocab > 3 and load_grammar()
    for name, content in some(documents(grammar, depth=5), share):
        try:
            raw = json.loads(content)
        except (ValueError, RecursionError):
            continue
        count.case(f"grammar: {name}", lambda r=raw: len(ToyNewswire(8, grammar=r).sample(2)) == 2, ValueError)
    for spec in (ld.tasks.Binsaw(length=8).spec(), ld.tasks.MixtureOfProducts(length=4).spec()):
        for name, content in some(documents(spec), share):
            try:
                raw = json.loads(content)
            except (ValueError, RecursionError):
                continue
            count.case(f"task: {name}", lambda r=raw: len(from_spec(r).sample(2)) == 2, ValueError)
    made = LatentMap.fit(np.random.default_rng(0).normal(size=(6, 1, 3)), method="pca")
    made.save(file)
    for name, content in some(headers(file.read_bytes()), share):
        file.write_bytes(content)
        count.case(f"map: {name}", lambda: len(LatentMap.load(file)) == 6, ANSWERS, [file])
    count.verdict("grids, grammars, tasks, maps")


class Letters:
    """A text encoder of no weights."""

    fingerprint, width = "00" * 32, 4

    def __call__(self, texts):
        states = torch.tensor([[[float(ord(c) % p) for p in (2, 3, 5, 7)] for c in t[:3].ljust(3)] for t in texts])
        return states, torch.full((len(texts),), 3)


@pytest.mark.parametrize("share", SHARES)
def test_a_damaged_cache_entry_is_made_anew(share, tmp_path, monkeypatch):
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path))
    count, words = Count(), [f"{a}{b}{c}" for a in "abc" for b in "def" for c in "ghi"]
    encoder = networks.SentenceLatents(Letters(), slots=1, dim=2).fit_statistics(words, progress=False)
    good = encoder.encode(words, progress=False)
    folders = sorted((tmp_path / "frozen").glob("[0-9a-f]*"))
    assert len(folders) == 2
    for folder in folders:
        document = json.loads((folder / "config.json").read_text())
        for name, content in some(documents(document), 2 * share):
            (folder / "config.json").write_bytes(content)

            def anew():
                again = networks.SentenceLatents(Letters(), slots=1, dim=2).fit_statistics(words, progress=False)
                return torch.equal(again.encode(words, progress=False), good)

            count.case(name, anew, ())
    count.verdict("caches")

"""Files from anywhere, damaged in every place: each is read rightly or refused with a message that says
where; nothing runs, nothing hangs, nothing is taken in silence.

The count of outcomes is printed (`pytest -s`). Quick: every seventh case; all of them with `-m slow`.
"""

import io
import json
import shutil
import struct
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tokenizers import Tokenizer, models, pre_tokenizers

import lddm_lite as ld
from lddm_lite import networks, text, widgets
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.cli import own_data, train_command
from lddm_lite.diffusion import RateGrid
from lddm_lite.plots import LatentMap, pictures
from lddm_lite.tasks import ToyNewswire, from_spec
from lddm_lite.tasks.newswire import load_grammar
from lddm_lite.text import build_token_store, token_store
from lddm_lite.training.state import TrainState
from lddm_lite.widgets import payload, playground
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
@pytest.mark.parametrize("kind", ["branch", "remasked"])
def test_traces_with_events(share, kind, tmp_path):
    """Version 2: what was changed on the way, and what a branch remembers; read, and read again as HTML does."""
    model, count, file = start("mdlm"), Count(), tmp_path / "t.json"
    trace = model.sample(2, 3, seed=0)
    if kind == "branch":
        trace = trace.branch(model.sample(2, 3, seed=1), 2, [(0, 1, 2), (1, 0, 1)])
    else:
        trace = model.sample(2, 4, remask=1.0)
    document = json.loads(trace.to_json())

    def read():
        found = ld.Trace.load(file)
        for k in range(found.steps + 1):
            found.tokens_at(k), found.texts(k)
        found.history(), widgets.Scrubber(found), repr(found)
        if found.parent is not None:
            found.branch(found, 1, found.parent["edits"][:0])
        return json.loads(found.to_json())["tokens"] == document["tokens"]

    for name, content in some(documents(document), share):
        file.write_bytes(content)
        count.case(name, read, ANSWERS, [file])
    count.verdict(f"traces, {kind}")


CODED = dict(encoder="mixture", codes=4, width=16, blocks=1, heads=2)


def of_kind(kind):
    """(model, how its weights are kept)."""
    if kind == "mixture":
        task = ld.tasks.Binsaw(length=8)
        model = ld.LatentDiffusion.preset("di-seq", task, **CODED)
        model.encoder.prepare(task.sample(64), progress=False)
        return model.eval(), "float32"
    if kind == "classes":
        rows = [[0, 1, 1, 0], [1, 1, 0, 0]]
        data = ld.from_arrays(rows, shape=(2, 2), classes=[0, 1], names=["x", "y"])
        return ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1, heads=2).eval(), "float32"
    if kind == "text":
        data = text.from_lines(["rain fell ."] * 4, vocab=64, length=16, tokenizer="characters", allow_losses=True)
        return ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1, heads=2).eval(), "float16"
    return ld.LatentDiffusion.preset("co-seq", ld.tasks.Binsaw(length=8), width=64, blocks=1, heads=2).eval(), kind


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["mixture", "classes", "text", "int8"])
def test_models_of_other_kinds(share, kind, tmp_path):
    """Codes of a mixture, classes and pictures, texts, quantised weights: used as they are for."""
    model, kept = of_kind(kind)
    whole, count = model.save(tmp_path / "whole", weights=kept), Count()
    document = json.loads((whole / "config.json").read_text())

    def use():
        found = ld.load(whole)
        if "classes" in found.data:
            found.sample(1, 2, label="y")
        if "shape" in found.data:
            pictures(found.sample(2, 2))
            plt.close("all")
        if "text" in found.data:
            found.generate_text(1, 2, prompt="rain", length=9), found.data["text"]
        return sampled(found)

    for name, content in some(documents(document), share):
        (whole / "config.json").write_bytes(content)
        count.case(name, use, ValueError, [whole, "its data have no `lengths`"])
    count.verdict(f"models, {kind}")


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
@pytest.mark.parametrize("kind", ["float32", "int8", "int6", "mixture"])
def test_weights(share, kind, tmp_path):
    """All hashes are right: what is wrong stands in the header, or in the numbers."""
    count = Count()
    model, kept = (start("co-seq"), kind) if kind == "float32" else of_kind(kind)
    whole = model.save(tmp_path / "whole", weights=kept)
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
        if name.endswith(".scale"):
            changes |= {"minus": -v, "long": torch.cat([v, v])}
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
               "few_step1": 0.5, "seed": 1, "text": None, "length": 8, "size": None, "weight": "time", "ids": None,
               "labels": None, "pad_id": None, "shape": None, "classes": None, "names": None, "tokenizer": "words",
               "stream": None, "molecules": None, "allow_losses": False, "holdout": 0.05}  # fmt: skip
    document = {"format": "lddm-lite run", "command": "python -m lddm_lite train", "options": options,
                "init_from": "runs/a", "ids_sha256": None}  # fmt: skip

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


def arrays():
    """(name, content) of .npy files, damaged or of the wrong kind."""
    good = np.array([[0, 1, 1, 0], [1, 1, 0, 0]], dtype="<i8")

    def saved(array, **how):
        out = io.BytesIO()
        np.save(out, array, **how)
        return out.getvalue()

    whole = saved(good)
    size = struct.unpack("<H", whole[8:10])[0]
    header, rest = whole[10 : 10 + size], whole[10 + size :]
    for dtype in ("i1", "u2", ">i4", "f4", "f8", "c8", "?", "U3", "S2", "M8[s]", "V8", "f2"):
        yield f"dtype {dtype}", saved(good.astype("<i4").astype(dtype) if dtype[0] not in "VM" else good.view(dtype))
    yield "objects", saved(np.array([[1, None]], dtype=object), allow_pickle=True)
    yield "records", saved(np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]))
    for shape in ("()", "(8,)", "(0, 4)", "(2, 0)", "(2, 4, 1)", "(1, 1, 1, 8)", "(-2, 4)", "(2, 1000000000)",
                  "(1000000000000,)", "(2.0, 4)", "(True, 8)", "'x'", "None", "(2, 4, )" * 2, "(" * 60 + ")" * 60,
                  "(99999999999999999999, 1)"):  # fmt: skip
        text = header.replace(b"(2, 4)", shape.encode()).rstrip() + b" " * 16
        yield f"shape {shape[:30]}", whole[:8] + struct.pack("<H", len(text)) + text + rest
    for what in (b"'<i8'", b"'descr'", b"False", b"'fortran_order'"):
        for new in (b"", b"None", b"'O'", b"'|V999999999999'", b"[]", b"__import__('os')", b"'<i8,<i8'", b"{" * 90):
            text = header.replace(what, new).rstrip() + b" " * 16
            yield f"{what} {new[:20]}", whole[:8] + struct.pack("<H", len(text)) + text + rest
    for k in (0, 1, 6, 8, 9, 12, 40, len(whole) - 1):
        yield f"cut at {k}", whole[:k]
    for version in (0, 2, 3, 9, 255):
        yield f"version {version}", whole[:6] + bytes([version]) + whole[7:]
    yield "more behind", whole + b"x" * 64
    yield "long header", whole[:8] + b"\xff\xff" + whole[10:]
    for values in ([[2**40, 0]], [[-1, 0]], [[0, 10**7]], [[5, 5], [6, 6]], [0, 1]):
        yield f"values {values}", saved(np.array(values))
    yield from {"a pickle": b"\x80\x04].", "a zip": b"PK\x03\x04" + b"\0" * 60, "empty": b"", "text": b"0 1 1 0\n",
                "noise": bytes(range(256)) * 4}.items()  # fmt: skip
    out = io.BytesIO()
    np.savez(out, a=good)
    yield "npz", out.getvalue()


@pytest.mark.parametrize("option", ["ids", "classes", "held out", "score"])
def test_arrays_of_ids(option, tmp_path):
    """Files that numpy reads: --ids and --classes of train, those of evaluate, and what score is given."""
    count, file, good = Count(), tmp_path / "a.npy", tmp_path / "good.npy"
    np.save(good, [[0, 1, 1, 0], [1, 1, 0, 0]])
    model = ld.LatentDiffusion.preset("mdlm", ld.from_arrays(np.load(good)), width=16, blocks=1, heads=2).eval()

    def read():
        if option in ("ids", "classes"):
            given = {"ids": str(file)} if option == "ids" else {"ids": str(good), "classes": str(file)}
            data = own_data.arrays(given)
            x = data.sample(2)
            return data.vocab > int(x.max()) and x.shape == (2, data.length)
        data = own_data.held_out_arrays(model, str(file))
        return bool(model.nelbo(data.sample(2)).total.value > 0)

    for name, content in arrays():
        file.write_bytes(content)
        count.case(name, read, ANSWERS, ["--ids", "--classes", file])
    for place in ("/dev/zero", "/dev/null", str(tmp_path), str(tmp_path / "none"), "\0", "~no-such-user/x.npy"):
        count.case(place, lambda p=place: own_data.arrays({"ids": p}), ANSWERS, ["--ids", place], seconds=5)
        count.case(place, lambda p=place: own_data.held_out_arrays(model, p), ANSWERS, ["--ids", place], seconds=5)
    count.verdict(f"arrays, {option}")


def test_words_for_ids(tmp_path):
    """--labels and --names: a word a line."""
    count, file, ids, classes = Count(), tmp_path / "words", tmp_path / "ids.npy", tmp_path / "classes.npy"
    np.save(ids, [[0, 1, 1, 0], [1, 1, 0, 0]])
    np.save(classes, [0, 1])
    contents = {
        "two": b"a\nb\n", "windows": b"a\r\nb\r\n", "mark": b"\xef\xbb\xbfa\nb", "none": b"", "one": b"a",
        "latin-1": b"\xe9\nb", "utf-16": "a\nb".encode("utf-16"), "nul": b"a\0\nb", "blank": b"\n\n", "same": b"a\na",
        "long": b"a" * 5_000_000 + b"\nb", "longer": b"a" * 20_000_000, "many": b"x\n" * 2_000_000,
        "mask": b"[MASK]\n_", "tags": b"<script>\n</script>",
    }  # fmt: skip
    for option in ("labels", "names"):
        for name, content in contents.items():
            file.write_bytes(content)

            def read(option=option):
                data = own_data.arrays({"ids": str(ids), "classes": str(classes), option: str(file)})
                return all("\r" not in w and "\ufeff" not in w for w in data.labels) and data.vocab == len(data.labels)

            count.case(f"{option}: {name}", read, ANSWERS, [f"--{option}", option, "ids", file])
        for place in ("/dev/zero", str(tmp_path), str(tmp_path / "none")):
            given = {"ids": str(ids), "classes": str(classes), option: place}
            count.case(f"{option}: {place}", lambda g=given: own_data.arrays(g), ANSWERS, [option, place], seconds=5)
    count.verdict("words")


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["BPE", "Unigram", "WordLevel"])
def test_tokenizers_of_other_makers(share, kind, tmp_path):
    """A tokenizer.json of somebody's own, as --tokenizer reads it."""
    count, file = Count(), tmp_path / "tokenizer.json"
    pieces = ["[UNK]", "a", "b", "ab", "rain", "\u2581"]
    model = {
        "BPE": models.BPE({p: i for i, p in enumerate(pieces[:4])}, [("a", "b")], unk_token="[UNK]"),
        "Unigram": models.Unigram([(p, -float(i)) for i, p in enumerate(pieces)], 0),
        "WordLevel": models.WordLevel({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"),
    }[kind]
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Metaspace() if kind == "Unigram" else pre_tokenizers.Whitespace()
    document = json.loads(made.to_str())

    def read():
        data = text.from_lines(["ab rain a b", "ab"] * 3, length=8, tokenizer=str(file), allow_losses=True)
        data.decode(data.encode("ab")), data.spec(), text.from_spec(data.spec()).encode("a [MASK]")
        return data.vocab >= 3 and int(data.sample(3).max()) < data.vocab

    for name, content in some(documents(document), share):
        file.write_bytes(content)
        count.case(name, read, ANSWERS, [file, "tokenizer", "text", "list", "lowercase"])
    count.verdict(f"tokenizers, {kind}")


@pytest.mark.parametrize("share", SHARES)
def test_frozen_encoders_and_pages(share, tmp_path):
    """The folder of a frozen encoder; the block in which a page's data travel."""
    count, folder = Count(), tmp_path / "frozen"
    words = [f"{a}{b}{c}" for a in "abc" for b in "def" for c in "ghi"]
    named = networks.SentenceLatents("minilm", slots=1, dim=2)
    fitted = networks.SentenceLatents(Letters(), slots=1, dim=2).fit_statistics(words, progress=False)
    named.statistics = fitted.statistics
    named.save(folder)
    document = json.loads((folder / "config.json").read_text())
    for name, content in some(documents(document), share):
        (folder / "config.json").write_bytes(content)
        read = lambda: networks.SentenceLatents.load(folder).slots == 1  # noqa: E731
        count.case(f"encoder: {name}", read, CheckpointError, [folder])
    block = payload.pack({"title": "x", "runs": [{"name": "a"}]}, {"a": np.arange(4), "b": np.ones((2, 2))})
    raw = zlib.decompress(block)
    for name, content in some(headers(raw), share):
        read = lambda c=content: "head" in payload.unpack(zlib.compress(c))  # noqa: E731
        count.case(f"block: {name}", read, ValueError, ["block"])
    for k in (0, 1, 5, len(block) // 2, len(block) - 1):
        count.case(f"block cut at {k}", lambda k=k: payload.unpack(block[:k]), ValueError, ["block"])
    bomb = zlib.compress(b"\0" * (1 << 28), 9)
    count.case("a bomb", lambda: payload.unpack(bomb), ValueError, ["block"])
    count.verdict("encoders, blocks")


@pytest.mark.parametrize("share", SHARES)
def test_results_beside_a_model(share, tmp_path, monkeypatch):
    """data/results, of which the playground shows what was measured: damaged, it is left out."""
    count = Count()
    monkeypatch.setattr(playground, "SHIPPED", tmp_path)
    (tmp_path / "results").mkdir()
    model = ld.LatentDiffusion.preset("mdlm", ld.tasks.Binsaw(length=8), width=16, blocks=1, heads=2).eval()
    rows = [{"model": "mdlm", "nfe": 1, "token_steps": 1, "latent_steps": 0, "excess": 1.0, "excess_se": 0.1}]
    rows += [{"model": "exact, even steps", "nfe": 1, "token_steps": 1, "excess": 1.0}]
    document = {"kind": "task", "data": repr(ld.tasks.from_spec(model.data)), "n": 4, "seed": 0, "rows": rows}
    for name, content in some(documents(document), share):
        for file in playground.RESULTS:
            (tmp_path / "results" / file).write_bytes(content)
        count.case(name, lambda: len(widgets.Playground({"mdlm": model}, start=False).data) > 0, ())
    count.verdict("results")


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

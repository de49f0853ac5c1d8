"""What a model's files must hold is known before anything is built: tensors, sizes, labels, lengths."""

import json
import subprocess
import sys

import pytest

import lddm_lite as ld
from lddm_lite._common import checkpoint
from lddm_lite._common.checkpoint import CheckpointError
from lddm_lite.config import SYSTEMS
from lddm_lite.networks import model_files
from tests.support import ROOT
from tests.support.hostile import signed
from tests.support.training_runs import start


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_tensors_that_are_expected_are_those_of_a_model(system):
    model = start(system)
    assert model_files.expected(model.config) == checkpoint.form_of(model.state_dict())
    model_files.fits(model.config, checkpoint.form_of(model.bfloat16().state_dict()))


def test_labels_lengths_and_texts_must_go_together():
    config = ld.Config.preset("mdlm", length=4, vocab=2)
    codec = {"tokenizer": "{}", "length": 4}
    for labels, data, message in (
        (["0"], {}, "labels must be 2, one for each token, got 1"),
        (["0", "1"], {"lengths": [0.5, 0.5]}, "shares of lengths 0..4"),
        (["0", "1"], {"lengths": [0.0] * 5}, "one above 0"),
        (["0", "1"], {"text": codec}, "lengths.*is missing"),
        (["0", "1"], {"text": {**codec, "length": 5}, "lengths": [0, 0, 0, 0, 1]}, "data.text.length must be 4"),
        (["0", "1"], {"text": codec, "lengths": [0, 0, 0, 0, 1]}, "pad_id must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            model_files.agree(config, labels, data)


HUGE = {
    "length": 10**9, "vocab": 10**9, "width": 2**20, "blocks": 10**9, "slots": 10**9, "dim": 10**9, "codes": 10**9,
    "encoder_blocks": 10**9, "heads": 10**9,
}  # fmt: skip

# Peak memory of reading or refusing each file, over that of a process that has read a good one.
MEASURE = """
import json, resource, sys, gzip, tarfile, io, zlib, os
import lddm_lite as ld
from lddm_lite.text import one_billion_words, from_file
from lddm_lite.widgets import payload
import lddm_lite.text.dataset
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
ld.load(sys.argv[1]).sample(1, 1)
ld.Trace.load(sys.argv[2])
idle = peak()
for place in sys.argv[3:]:
    try:
        if place.endswith(".json"):
            ld.Trace.load(place)
        elif place.endswith(".gz"):
            os.environ["LDDM_LM1B"] = place
            one_billion_words.subset(3, cache=place + ".cache", progress=False)
        elif place.endswith(".z"):
            payload.unpack(open(place, "rb").read())
        elif place.endswith(".txt"):
            from_file(place)
        else:
            ld.load(place).sample(1, 1)
        said = "read"
    except (ValueError, OSError) as e:
        said = "refused: " + str(e)[:150]
    print(json.dumps([place, peak() - idle, said]), flush=True)
"""


def bombs(folder):
    """Archives and blocks of less than 1 MB that unfold to gigabytes."""
    import gzip
    import tarfile
    import zlib

    name = "x/training-monolingual.tokenized.shuffled/news.en-00001-of-00100"

    def archive(file, header, content, count):
        with gzip.open(folder / file, "wb", 9) as f:
            f.write(header)
            for _ in range(count):
                f.write(content)

    line = tarfile.TarInfo(name)
    line.size = 600_000_000
    archive("line.tar.gz", line.tobuf(), b"a" * 1_000_000, 600)
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, 600_000_000
    archive("pax.tar.gz", pax.tobuf(), b"9" * 1_000_000, 600)
    (folder / "block.z").write_bytes(zlib.compress(bytes(600_000_000), 9))
    return [folder / n for n in ("line.tar.gz", "pax.tar.gz", "block.z")]


@pytest.mark.slow
def test_no_file_below_a_megabyte_takes_300_megabytes(tmp_path):
    good = start("co-seq").save(tmp_path / "good")
    trace = tmp_path / "good.json"
    start("co-seq").sample(1, 1, 1).save(trace)
    files = bombs(tmp_path)
    for system in ("mdlm", "co-seq", "di-seq"):
        for name, value in HUGE.items():
            for size in (value, 30_000):
                place = start(system).save(tmp_path / f"{system}-{name}-{size}")
                config = json.loads((place / "config.json").read_text())["config"]
                signed(place, config={**config, name: size})
                files.append(place)
    for name, text in {
        "lists": "[" + "[]," * 300_000 + "[]]", "objects": "[" + "{}," * 300_000 + "{}]", "deep": "[" * 900_000,
        "keys": "{" + ",".join(f'"{k}":0' for k in range(90_000)) + "}", "digits": "1" * 900_000,
        "shape": trace.read_text().replace('"shape": [1, 8]', '"shape": [100000, 100000]'),
    }.items():  # fmt: skip
        (tmp_path / f"{name}.json").write_text(text)
        files.append(tmp_path / f"{name}.json")
    sparse = tmp_path / "sparse.txt"
    sparse.write_bytes(b"rain " * 180_000)
    files.append(sparse)
    assert all(f.is_dir() or f.stat().st_size < 1_000_000 for f in files)
    command = [sys.executable, "-c", MEASURE, good, trace, *files]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(files), done.stderr[-2000:]
    most = max(rows, key=lambda row: row[1])
    print(f"\npeak memory over idle: {most[1]:.0f} MB at most, {most[0]}: {most[2]}")
    assert most[1] <= 300, most


def test_sizes_are_refused_before_they_are_built(tmp_path):
    for name, value in HUGE.items():
        place = start("di-seq").save(tmp_path / name)
        config = json.loads((place / "config.json").read_text())["config"]
        signed(place, config={**config, name: value})
        with pytest.raises(CheckpointError, match=name):
            ld.load(place)


def test_a_limit_is_lifted_by_the_environment(monkeypatch):
    with pytest.raises(ValueError, match="length must be at most 32,768, got 40000.*LDDM_LIMIT_LENGTH"):
        ld.Config.preset("mdlm", length=40_000, vocab=2)
    monkeypatch.setenv("LDDM_LIMIT_LENGTH", "50000")
    assert ld.Config.preset("mdlm", length=40_000, vocab=2).length == 40_000


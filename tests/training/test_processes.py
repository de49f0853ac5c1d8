"""Training in several processes: the same curve as on one, files written once, one Ctrl-C for all.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from lddm_lite import LatentDiffusion
from lddm_lite.training.loop import fit
from lddm_lite.training.state import TrainState
from tests.support import ROOT
from tests.support.parallel_runs import CALM, opened
from tests.support.training_runs import QUICK, Feed, rows, run, same, start

# Named one by one: what is left out, accelerate guesses, and says so.
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines"]
LAUNCH += ["1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
SYSTEMS = ("mdlm", "co-seq", "di-seq")


def alone(env=os.environ):
    """The environment of a process that no launcher started."""
    gone = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {**{k: v for k, v in env.items() if k not in gone}, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def launched(*words, timeout=120):
    done = subprocess.run([*LAUNCH, *map(str, words)], cwd=ROOT, env=alone(), capture_output=True, text=True,
                          timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes over gloo made of the systems: see parallel_runs.py, which they run."""
    out = tmp_path_factory.mktemp("two")
    launched("-m", "tests.support.parallel_runs", out)
    return out


@pytest.mark.parametrize(("system", "accumulate"), [(s, 2) for s in SYSTEMS] + [("co-seq", 4), ("di-seq", 4)])
def test_two_processes_give_the_curve_of_one(two, responsive, system, accumulate):
    told = [json.loads((two / f"{system}-{accumulate}-{rank}.json").read_text()) for rank in range(2)]
    assert told[0]["sums"] == told[1]["sums"], "bitwise: weights and statistics of both"
    assert [{**r, "seconds": 0} for r in told[0]["rows"]] == [{**r, "seconds": 0} for r in told[1]["rows"]]
    model, history = run(system, opened(start(system)), accumulate=accumulate, **CALM)
    one, both = rows(history), told[0]["rows"]
    assert len(one) == len(both) == 24
    for a, b in zip(one, both, strict=True):
        # the same but for the order of sums; one process that takes its micro-batches backwards is
        # up to 5e-6 off
        assert a == pytest.approx({k: b[k] for k in a}, rel=1e-4)
    assert {r["stage"] for r in both} == ({2} if system == "mdlm" else {1, 2})


def test_one_interrupted_process_stops_all_at_the_same_step(two):
    steps = [json.loads((two / f"stopped-{rank}.json").read_text()) for rank in range(2)]
    assert steps[0] == steps[1] == {"step": 7, "interrupted": True}
    model = start("mdlm")
    same(run("mdlm", accumulate=2), (model, fit(model, Feed(16), out=two / "run", resume=True, **QUICK)))


def test_several_processes_without_accelerate_name_the_command(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ValueError, match="2 processes work together through Hugging Face Accelerate: pip install"):
        run("mdlm")


# --- the command line -----------------------------------------------------------------------------

TINY = "--width 16 --blocks 1 --heads 2 --encoder-blocks 1 --batch 16 --warmup 2 --threads 1 --device cpu".split()


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_command_line_in_two_processes(tmp_path, system):
    words = ["train", "--task", "mixture", "--length", 8, "--system", system, "--steps", 30, "--log-every", 1, *TINY]
    words += ["--validate-every", 10, "--preview-every", 15]
    done = launched("-m", "lddm_lite", *words, "--out", tmp_path / "two")
    assert done.stdout.count("Saved in") == 1 and "2 processes" in done.stdout
    command = [sys.executable, "-m", "lddm_lite", *words, "--accumulate", 2, "--out", tmp_path / "one"]
    subprocess.run(list(map(str, command)), cwd=ROOT, env=alone(), check=True, capture_output=True)
    names = [sorted(p.name for p in (tmp_path / n).iterdir() if p.suffix != ".safetensors") for n in ("one", "two")]
    assert names[0] == names[1] == ["config.json", "history.csv", "run.json", "training"]
    one, two = (json.loads((tmp_path / n / "config.json").read_text())["history"] for n in ("one", "two"))
    assert one["previews"] == two["previews"] and one["events"] == two["events"]
    for a, b in zip(one["rows"], two["rows"], strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_in_the_launcher_keeps_a_run_that_goes_on(name, tmp_path):
    """As in a terminal, or at a cluster's end of time, the launcher and both processes get the signal,
    and the launcher passes it on once more."""
    out = tmp_path / "a"
    words = ["train", "--task", "mixture", "--length", 8, "--system", "co-seq", "--steps", 100_000, "--stage1", 0.5]
    words += [*TINY, "--save-every", 20, "--quiet", "--out", out]
    process = subprocess.Popen([*LAUNCH, "-m", "lddm_lite", *map(str, words)], cwd=ROOT, env=alone(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        patience = time.monotonic() + 90
        while not (out / "config.json").exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        os.killpg(process.pid, getattr(signal, name))
        printed, errors = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    meta = TrainState.read(out / "training").meta
    assert meta["step"] > 0 and meta["options"]["accumulate"] == 2, errors
    if name == "SIGINT":  # told to end, they end, and say nothing
        assert meta["step"] == int(re.search(r"Stopped after step ([\d,]+)", printed)[1].replace(",", ""))
    LatentDiffusion.load(out).sample(1)
    again = [*LAUNCH, "-m", "lddm_lite", "train", "--out", str(out), "--resume", "--quiet", "--device", "cpu"]
    process = subprocess.Popen(again, cwd=ROOT, env=alone(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    try:
        patience, before = time.monotonic() + 90, meta["step"]
        while meta["step"] < before + 20 and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.1)
            meta = TrainState.read(out / "training").meta
    finally:
        process.send_signal(signal.SIGINT)  # which the launcher passes on; killed, it would leave them running
        process.communicate(timeout=90)
    assert meta["step"] >= before + 20, "it goes on from where it stopped"

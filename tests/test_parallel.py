"""Training in several processes: the same curve as on one, files written once, one Ctrl-C for all."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from parallel_runs import CALM, opened
from training_runs import QUICK, TASK, Feed, rows, run, same, start

from lddm_lite import LatentDiffusion, checks, parallel, pieces
from lddm_lite.train import fit

ROOT = Path(__file__).resolve().parents[1]
# Named one by one: what is left out, accelerate guesses, and says so.
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines"]
LAUNCH += ["1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
SYSTEMS = ("mdlm", "co-seq", "di-seq")


def alone(env=os.environ):
    """The environment of a process that no launcher started."""
    gone = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {**{k: v for k, v in env.items() if k not in gone}, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


# --- pieces, on one process -------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", SYSTEMS)
def test_the_gradient_is_the_mean_over_the_pieces(system):
    x, stage = TASK.sample(16), 1 if system != "mdlm" else 2
    model = start(system)
    terms = pieces.backward(model, x, checks.generator(3), stage, 0.5, 4, parallel.Team("cpu"))
    seeds = torch.randint(2**31, (4,), generator=checks.generator(3)).tolist()
    other = start(system)
    kept = {k: b.clone() for k, b in other.named_buffers()}
    losses = []
    for part, seed in zip(x.split(4), seeds, strict=True):
        loss = other.loss(part, checks.generator(seed), stage, 0.5).total
        loss.backward()  # summed, not averaged
        losses.append(float(loss.detach()))
        for k, b in other.named_buffers():
            b.copy_(kept[k])
    assert float(terms["loss"]) == pytest.approx(sum(losses) / 4, rel=1e-6)
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        # sums of four in another order
        assert p.grad is None or torch.allclose(p.grad, q.grad / 4, rtol=1e-4, atol=1e-6), name


def test_statistics_are_the_mean_over_the_pieces():
    x, model = TASK.sample(16), start("co-seq")
    wanted = []
    for part in x.split(8):
        alike = start("co-seq")
        alike.encoder.train()
        alike.encoder(part)
        wanted.append(alike.encoder.centre.running_var)
    model.encoder.train()
    pieces.backward(model, x, checks.generator(0), 1, 0.5, 2, parallel.Team("cpu"))
    assert torch.allclose(model.encoder.centre.running_var, sum(wanted) / 2)
    assert model.encoder.centre.num_batches_tracked == 2


def test_a_code_is_dead_when_all_pieces_say_so_and_takes_a_feature_of_one():
    model = start("di-seq")
    encoder = model.encoder.train()
    k, d = encoder.codebook.shape
    encoder.usage[:] = 1.0 / k
    encoder.usage[:2] = 1e-4  # two codes of which nobody makes use
    merge = pieces._Buffers(encoder, 2)
    features, codes = torch.randn(2, 8, d), torch.arange(2, 10).repeat(2, 1)
    codes[1, 0] = 1  # but the second piece uses code 1
    left = []
    for i in range(2):
        encoder._follow(features[i], codes[i], checks.generator(i))
        left.append({name: b.clone() for name, b in encoder.named_buffers()})
        merge.take(i)
        assert float(encoder.usage[0]) == pytest.approx(1e-4)  # each piece starts from the same
    merge.put(parallel.Team("cpu"))
    assert encoder.usage[0] == 1.0 / k and torch.equal(encoder.sums[0], left[0]["sums"][0])  # piece 0's: 0 modulo 2
    assert torch.allclose(encoder.usage[1], left[1]["usage"][1])  # alive in piece 1 alone
    assert torch.allclose(encoder.sums[5], (left[0]["sums"][5] + left[1]["sums"][5]) / 2)
    assert torch.allclose(encoder.codebook.norm(dim=1), torch.full((k,), d**0.5), rtol=1e-5)


@pytest.mark.parametrize("system", ["mdlm", "di-seq"])
def test_pieces_resume_exactly(system, responsive):
    whole = run(system, accumulate=4)
    model, history = run(system, stop=13, accumulate=4)
    same(whole, (model, fit(model, Feed(16), resume=history, **QUICK, accumulate=4)))
    assert rows(whole[1]) != rows(run(system)[1])  # other noise than one piece


def test_pieces_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="batch must be a multiple of accumulate=3, got 16"):
        run("mdlm", accumulate=3)
    with pytest.raises(ValueError, match=r"batch must be >= 2 \* accumulate = 32 for 'co-seq'"):
        run("co-seq", accumulate=16)
    with pytest.raises(ValueError, match="accumulate must be an integer >= 1, got 0"):
        run("mdlm", accumulate=0)


def test_several_processes_without_accelerate_name_the_command(monkeypatch):
    monkeypatch.setenv("RANK", "0"), monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ValueError, match="2 processes work together through Hugging Face Accelerate: pip install"):
        run("mdlm")


# --- two processes ------------------------------------------------------------------------------------------------

def launched(*words, timeout=120):
    done = subprocess.run([*LAUNCH, *map(str, words)], cwd=ROOT, env=alone(), capture_output=True, text=True,
                          timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes over gloo made of the systems: see parallel_runs.py, which they run."""
    out = tmp_path_factory.mktemp("two")
    launched(ROOT / "tests" / "parallel_runs.py", out)
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
        # the same but for the order of sums; one process that takes its pieces backwards is up to 5e-6 off
        assert a == pytest.approx({k: b[k] for k in a}, rel=1e-4)
    assert {r["stage"] for r in both} == ({2} if system == "mdlm" else {1, 2})


def test_one_interrupted_process_stops_all_at_the_same_step(two):
    steps = [json.loads((two / f"stopped-{rank}.json").read_text()) for rank in range(2)]
    assert steps[0] == steps[1] == {"step": 7, "interrupted": True}
    model = start("mdlm")
    same(run("mdlm", accumulate=2), (model, fit(model, Feed(16), out=two / "run", resume=True, **QUICK)))


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
def test_ctrl_c_in_the_launcher_keeps_a_run_that_goes_on(tmp_path):
    """As in a terminal, the launcher and both processes get the signal, and the launcher passes it on once more."""
    out = tmp_path / "a"
    words = ["train", "--task", "mixture", "--length", 8, "--system", "co-seq", "--steps", 100_000, "--stage1", 0.5]
    words += [*TINY, "--save-every", 20, "--quiet", "--out", out]
    process = subprocess.Popen([*LAUNCH, "-m", "lddm_lite", *map(str, words)], cwd=ROOT, env=alone(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        patience = time.monotonic() + 90
        while not (out / "config.json").exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    step = int(re.search(r"Stopped after step ([\d,]+)", printed)[1].replace(",", ""))
    meta = json.loads((out / "training" / "config.json").read_text())
    assert meta["step"] == step and meta["options"]["accumulate"] == 2, errors
    LatentDiffusion.load(out).sample(1)

"""A run that is killed at any moment, in the middle of a write too, goes on as if nothing had
happened."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.training.loop import fit
from tests.support import ROOT
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, run, same, start

# One process imports torch, and a child of its own for each moment trains until it is killed there.
CHILDREN = """
import os, signal
import torch
from tests.support import training_runs as t
from lddm_lite._common import checkpoint
from lddm_lite.training import loop
torch.set_num_threads(1)
loop.z_response = lambda *a: 1.0
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def counted(function, n, how):
    calls = []
    def call(*args, **more):
        calls.append(1)
        if len(calls) == n:
            how(function, *args, **more)
            die()
        return function(*args, **more)
    return call

def half(path, data, _=checkpoint.write_file):
    data = data.encode() if isinstance(data, str) else data
    with open(path.with_name(path.name + ".part"), "wb") as f:
        f.write(data[: len(data) // 2])
        f.flush()

for name, how, n in {moments!r}:
    child = os.fork()
    if child == 0:
        if how == "before the n-th file takes its place":
            os.replace = counted(os.replace, n, lambda f, *a: None)
        elif how == "after it":
            os.replace = counted(os.replace, n, lambda f, *a: f(*a))
        elif how == "with half of it written":
            checkpoint.write_file = counted(checkpoint.write_file, n, lambda f, *a: half(*a))
        elif how == "before an old file is removed":
            from pathlib import Path
            Path.unlink = counted(Path.unlink, n, lambda f, *a, **k: None)
        feed = t.Feed(16, **({{f"s{{n}}": die}} if how == "in step n" else {{}}))
        t.fit(t.start({system!r}), feed, out=os.path.join({out!r}, name), save_every=5, **t.QUICK)
        os._exit(3)  # it should have been killed
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# A save replaces five files: weights and description of the state, the same of the model, and
# history.csv.
MOMENTS = [("in step n", n) for n in (3, 5, 6, 13, 24)]
MOMENTS += [("before the n-th file takes its place", n) for n in range(1, 12)]
MOMENTS += [("after it", n) for n in (1, 2, 3, 4, 6, 7, 8, 9, 21)]
MOMENTS += [("with half of it written", n) for n in (1, 2, 3, 4, 5, 6, 7, 8)]  # of the weights
MOMENTS += [("before an old file is removed", n) for n in (1, 2, 3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    ("system", "moments"),
    [
        ("co-seq", [MOMENTS[2], MOMENTS[11], MOMENTS[26]]),
        pytest.param("mdlm", MOMENTS, marks=pytest.mark.slow),
        pytest.param("di-seq", MOMENTS, marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(system, moments, responsive, tmp_path):
    moments = [(f"{i:02}", how, n) for i, (how, n) in enumerate(moments)]
    code = CHILDREN.format(out=str(tmp_path), moments=moments, system=system)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout.split() == [w for name, *_ in moments for w in (name, str(-signal.SIGKILL))], done.stderr
    model = start(system)
    whole = model, fit(model, Feed(16), save_every=5, **QUICK)
    for name, how, n in moments:
        out, about = tmp_path / name, (how, n)
        state = out / "training" / "config.json"
        # nothing of a fresh model may survive; one that was never saved starts again from its own
        # weights
        model = LatentDiffusion.preset(system, TASK, seed=9 if state.exists() else 1, **SMALL)
        history = fit(model, Feed(16), out=out, resume=state.exists(), overwrite=True, save_every=5, **QUICK)
        assert not history.interrupted, about
        same(whole, (model, history))
        loaded = LatentDiffusion.load(out).state_dict()
        assert all(torch.equal(v, loaded[k]) for k, v in whole[0].state_dict().items()), about
        assert not list(out.rglob("*.part")), about
        assert len(list(out.rglob("weights-*"))) == 2, "what was left over is cleared away"


RANDOM = """
import os, signal, sys, time
import torch
from tests.support import training_runs as t
from lddm_lite.training import loop
torch.set_num_threads(1)
loop.z_response = lambda *a: 1.0
system, out = sys.argv[1:3]
for name, delay in zip(sys.argv[3::2], map(float, sys.argv[4::2])):
    child = os.fork()
    if child == 0:
        t.fit(t.start(system), t.Feed(16), out=os.path.join(out, name), save_every=2, **t.QUICK)
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("system", ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"])
def test_a_run_killed_at_random_goes_on_bit_for_bit(system, responsive, tmp_path):
    """Twelve moments a system, 60 in all, spread over a run that saves every second step and so does
    little else."""
    model, begun = start(system), time.perf_counter()
    whole = model, fit(model, Feed(16), out=tmp_path / "whole", save_every=2, **QUICK)
    lasts = time.perf_counter() - begun
    g = torch.Generator().manual_seed(0)
    moments = [(f"{k:02}", f"{lasts * float(torch.rand((), generator=g)):.3f}") for k in range(12)]
    words = [word for moment in moments for word in moment]
    done = subprocess.run([sys.executable, "-c", RANDOM, system, str(tmp_path), *words], capture_output=True, text=True,
                          cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    differ = 0
    for name, _ in moments:
        out = tmp_path / name
        state = out / "training" / "config.json"
        model = LatentDiffusion.preset(system, TASK, seed=9 if state.exists() else 1, **SMALL)
        history = fit(model, Feed(16), out=out, resume=state.exists(), overwrite=True, save_every=2, **QUICK)
        loaded = LatentDiffusion.load(out).state_dict()
        differ += any(not torch.equal(v, loaded[k]) for k, v in whole[0].state_dict().items())
        same(whole, (model, history))
        assert not list(out.rglob("*.part"))
    print(f"\n{system}: 12 kills, {differ} differ")
    assert differ == 0


KILLED = """
import os, signal
from tests.support import training_runs as t
feed = t.Feed(16, s14=lambda: os.kill(os.getpid(), signal.SIGKILL))
t.fit(t.start("co-seq"), feed, out={out!r}, save_every=5, **t.QUICK)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_run_leaves_a_checkpoint_and_resumes_exactly(tmp_path):
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(out=str(out))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert LatentDiffusion.load(out).sample(2, 2).tokens.max() < 2
    model = start("co-seq")
    history = fit(model, Feed(16), out=out, resume=True, save_every=5, **QUICK)
    assert history.rows[0]["step"] == 5
    same(run("co-seq", save_every=5), (model, history))

"""The scrubber in the kernel: its range, its size, what it refuses. What a person sees is tested in
tests/browser."""

import numpy as np
import pytest
import traitlets

from lddm_lite import LatentDiffusion, Trace, tasks
from lddm_lite.widgets import Scrubber, payload


def test_step_and_sample_stay_in_range(traces):
    s = Scrubber(traces)
    assert s.last == 5
    for name, value in (("step", 99), ("sample", -3), ("step", 2.5)):
        with pytest.raises(traitlets.TraitError, match=f"{name} must be an integer in .0, "):
            setattr(s, name, value)
    s.step, s.sample = 2, 1
    assert (s.step, s.sample) == (2, 1)


def test_bad_arguments(traces):
    with pytest.raises(ValueError, match="a list of 1 to 4, got"):
        Scrubber([])
    with pytest.raises(ValueError, match="a list of 1 to 4, got"):
        Scrubber(traces * 3)
    with pytest.raises(ValueError, match="Trace objects, got str"):
        Scrubber(["run.json"])
    more = LatentDiffusion.exact(tasks.Binsaw(length=16)).sample(2, token_steps=1)
    with pytest.raises(ValueError, match="as many sequences"):
        Scrubber([traces[0], more])
    with pytest.raises(ValueError, match=r"cloud must be \[N, 1, 8\]"):
        Scrubber(traces[0], cloud=np.zeros((5, 1, 3)))
    with pytest.raises(ValueError, match="hue must hold one value for each of the 5"):
        Scrubber(traces[0], cloud=np.zeros((5, 1, 8)), hue=[0.1])
    with pytest.raises(ValueError, match="order must hold 6 numbers"):
        Scrubber(traces[0], order=[1, 2])
    with pytest.raises(ValueError, match="names must have one entry"):
        Scrubber(traces, names=["one"])


def test_size_of_a_large_run(tmp_path):
    rng = np.random.default_rng(0)
    n, length, steps, vocab = 64, 128, 32, 5_000  # random data: nothing to compress
    t = Trace(
        rng.integers(0, vocab, (n, length)),
        rng.integers(1, steps + 1, (n, length)),
        rng.random((n, length)),
        [(1 - k / steps, 1 - k / steps) for k in range(steps + 1)],
        [f"word{k}" for k in range(vocab)],
        vocab,
        latents=rng.normal(size=(steps + 1, n, 4, 8)),
        alternatives=rng.integers(0, vocab, (n, length, 5)),
        alternative_probs=rng.random((n, length, 5)),
    )
    s = Scrubber(t)
    assert len(s.data) + len(s._esm) < 1_000_000, "what the comm carries"
    assert s.to_html(tmp_path / "x.html").stat().st_size < 1_500_000


def test_models_come_along_where_asked_for(models, traces):
    plain, live = (Scrubber(traces, model=[models["co-seq"], models["mdlm"]], weights=w) for w in (None, "int8"))
    page = live._fragment(live=False)
    assert page.count("data-lddm-weights=") == 2 and "function serve(" in live._esm
    assert "data-lddm-weights=" not in plain._fragment(live=False) and "function serve(" not in plain._esm
    head = payload.unpack(live.data)["head"]
    assert {run["model"]["key"] for run in head["runs"]} == set(live.weights())
    with pytest.raises(ValueError, match="weights must be None without a model"):
        Scrubber(traces, weights="int8")
    with pytest.raises(ValueError, match="weights"):
        Scrubber(traces, model=list(models.values())[:2], weights="int7")


def test_the_kernel_goes_on_with_a_run(models, traces):
    scrubber = Scrubber(traces[1], model=models["mdlm"])
    t = traces[1]
    plan = {"run": 0, "start": [[2] * 16], "seed": 0, "rows": [3], "latents": None, "first": 0, "free": [16]}
    assert scrubber.answer({"go_on": plan})["tokens"] == t.tokens[[3]].tolist()
    with pytest.raises(ValueError, match="run must be"):
        scrubber.answer({"go_on": {**plan, "run": 1}})

"""What notebook 00 concludes from the models that it trains holds for seeds 0 to 4 of training and
sampling, too."""

import jupytext
import pytest

import lddm_lite as ld
from tests.support import ROOT

SOURCE = jupytext.read(ROOT / "notebooks/source/00_start_here.py", fmt="py:percent")
TASK = ld.tasks.Binsaw(length=32)


def trained(name, seed, monkeypatch):
    """The model that the cell which begins with its name trains, of another seed."""
    monkeypatch.delenv("LDDM_FAST", raising=False)
    (cell,) = [c.source for c in SOURCE.cells if c.source.startswith(f"{name} = ")]
    names = {"ld": ld, "task": TASK}
    exec(cell.replace("seed=0", f"seed={seed}"), names)
    return names[name]


def excess(trace, seed):
    return TASK.score(trace.tokens, seed=seed)["excess"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_one_parallel_draw_given_the_code(seed, monkeypatch):
    """Sections 3 and 4, 20 seconds for each seed. At two calls the exact predictor without latents
    has an excess of 3.2 nats in its best steps, at four 1.1; standard errors are 0.1 with 1,024 samples,
    of the divergences 0.01. Measured: 0.09 to 0.11, and an excess of -0.09 to -0.26."""
    model = trained("diseq", seed, monkeypatch)
    found = ld.evaluation.divergences(model, TASK, 1, 1, n=1024, seed=seed)
    assert found.forward.value < 0.2 and found.reverse.value < 0.2
    for token_steps in (1, 3):
        assert abs(excess(model.sample(1024, token_steps, 1, seed=seed), seed)) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_masked_diffusion_alone_stays_above_both_limits(seed, monkeypatch):
    """Sections 3 and 4: trained for twice as many steps, in its own best ones. Measured at two and
    four calls: 4.2 to 8.1 and 2.2 to 8.0, seeds 3 and 4 being slow to begin."""
    model = trained("mdlm", seed, monkeypatch)
    for nfe, limit in ((2, 3.2), (4, 1.1)):
        path = ld.evaluation.best_schedule(model, TASK, nfe, seed=seed + 1)
        assert excess(model.sample(1024, path=path, order="even", seed=seed), seed) > limit + 0.4

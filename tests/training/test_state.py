"""The state of a run: whatever is on, a resumed run is the same; of another run it is refused."""

import pytest
import torch

from lddm_lite import tasks
from lddm_lite._common import checkpoint
from lddm_lite.model import LatentDiffusion
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, run, same, start

EVERYTHING = dict(precision="bf16", accumulate=2, validate_every=8, preview_every=6)


@pytest.mark.parametrize(("system", "stop"), [("mdlm", 7), ("co-seq", 12), ("di-seq", 17)])
def test_resuming_is_exact_with_everything_on(system, stop, responsive, tmp_path):
    whole = run(system, held_out=TASK, **EVERYTHING)
    run(system, stop=stop, out=tmp_path / "run", held_out=TASK, **EVERYTHING)
    fresh = LatentDiffusion.preset(system, TASK, seed=9, **SMALL)
    again = fit(fresh, Feed(16), out=tmp_path / "run", resume=True, held_out=TASK, **QUICK, **EVERYTHING)
    same(whole, (fresh, again))
    assert again.previews == whole[1].previews


def test_a_state_from_before_these_options_can_be_resumed(tmp_path):
    model, history = run("mdlm", stop=7)
    for name in ("precision", "compile", "accumulate", "validate_every", "preview_every", "tensorboard"):
        del history.state.meta["options"][name]
    same(run("mdlm"), (model, fit(model, Feed(16), resume=history, **QUICK)))


LATE = dict(steps=24, batch=16, warmup=4, stage1=0.5, late_codes=True, progress=False)


def test_a_run_with_late_codes_resumes_exactly(tmp_path):
    task = tasks.MixtureOfProducts(length=8)

    def model_of(task):
        return LatentDiffusion.preset("di-seq", task, width=16, blocks=1, heads=2, codes=16, dim=4)

    whole = model_of(task)
    fit(whole, task, **LATE)

    class Stop(Exception):
        pass

    class Stops:
        length, vocab, labels, spec = task.length, task.vocab, task.labels, task.spec
        left = 6

        def sample(self, n, g):
            if n == 16:
                self.left -= 1
            if self.left < 0:
                raise Stop
            return task.sample(n, g)

    stopped = model_of(task)
    with pytest.raises(Stop):
        fit(stopped, Stops(), out=tmp_path / "run", **LATE)
    again = model_of(task)
    fit(again, task, out=tmp_path / "run", resume=True, **LATE)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(lr=5e-3), "these options differ from the stopped run's: lr"),
        (dict(steps=48, seed=3), "these options differ from the stopped run's: steps, seed"),
    ],
)
def test_resume_with_other_options_is_an_error(change, message):
    model, history = run("mdlm", stop=4)
    with pytest.raises(ValueError, match=message):
        fit(model, Feed(16), resume=history, **{**QUICK, **change})


def test_resume_needs_a_run_of_the_same_model(tmp_path):
    _, history = run("mdlm", stop=4)
    with pytest.raises(ValueError, match="the stopped run was of another model: width 16, now 32"):
        fit(start("mdlm", width=32), Feed(16), resume=history, **QUICK)
    with pytest.raises(ValueError, match="another model: system 'co-seq', now 'co-joint'; lead 0.5, now 0.0"):
        fit(start("co-joint"), Feed(16), resume=run("co-seq", stop=1)[1], **QUICK)
    with pytest.raises(ValueError, match="resume=True needs `out`"):
        fit(start("mdlm"), Feed(16), resume=True, **QUICK)
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint at"):
        fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, **QUICK)
    start("mdlm").save(tmp_path / "training")
    with pytest.raises(checkpoint.CheckpointError, match="holds no training state"):
        fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, **QUICK)

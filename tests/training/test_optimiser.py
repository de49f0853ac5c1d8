"""Muon beside AdamW: which parameters are whose, what a step is, and that a run goes on exactly."""

import pytest
import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.training.config import TrainConfig
from lddm_lite.training.loop import fit
from lddm_lite.training.optimiser import Optimiser
from tests.support.training_runs import QUICK, SMALL, TASK, Feed, run, same


def made(system="co-seq", **options):
    model = LatentDiffusion.preset(system, TASK, seed=0, **SMALL)
    return model, Optimiser(model, list(model.parameters()), TrainConfig(**options))


def test_matrices_of_attention_and_mlps_are_muons():
    model, opt = made(muon=0.01)
    theirs = {n for n, p in model.named_parameters() if opt.moments(p) == ("momentum_buffer",)}
    assert theirs and all(n.rsplit(".", 2)[-2] in ("qkv", "out", "up", "down") and n.endswith("weight") for n in theirs)
    assert {n.split(".")[0] for n in theirs} == {"denoiser", "encoder"}
    model, opt = made()
    assert len(opt.parts) == 1 and all("exp_avg" in opt.moments(p) for p in model.parameters())


def test_a_step_turns_momentum_into_a_matrix_of_like_singular_values():
    """Newton and Schulz's iteration leaves them between .3 and 1.5 of the scale that AdamW's steps
    have, .2 sqrt(the larger side) over all of them (Jordan et al. 2024; Liu et al. 2025)."""
    model, opt = made(muon=0.01, weight_decay=0.0)
    p = model.denoiser.trunk.token[0].up.weight
    before = p.detach().clone()
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(0)) * torch.logspace(-1.5, 0, p.shape[1])
    opt.step_with(opt.config.lr / 2)  # half of AdamW's peak is half of Muon's
    moved = torch.linalg.svdvals(before - p.detach()) / (0.005 * 0.2 * max(p.shape) ** 0.5)
    assert 0.3 < float(moved.min()) and float(moved.max()) < 1.5


@pytest.mark.parametrize("system", ["mdlm", "di-seq"])
def test_a_run_goes_on_exactly(system, tmp_path):
    whole = run(system, muon=0.01)
    assert not all(torch.equal(a, b) for a, b in zip(whole[0].parameters(), run(system)[0].parameters(), strict=True))
    run(system, stop=9, out=tmp_path / "run", muon=0.01)
    fresh = LatentDiffusion.preset(system, TASK, seed=9, **SMALL)
    same(whole, (fresh, fit(fresh, Feed(16), out=tmp_path / "run", resume=True, **QUICK, muon=0.01)))


def test_a_state_of_the_other_optimiser_is_refused(tmp_path):
    run("mdlm", stop=9, out=tmp_path / "run")
    fresh = LatentDiffusion.preset("mdlm", TASK, seed=9, **SMALL)
    with pytest.raises(ValueError, match="differ from the stopped run's: muon"):
        fit(fresh, Feed(16), out=tmp_path / "run", resume=True, **QUICK, muon=0.01)

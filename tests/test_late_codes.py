"""Codes made by k-means of finished continuous latents (`late_codes`)."""

import pytest
import torch

from lddm_lite import LatentDiffusion, fit, tasks
from lddm_lite.encoders import _k_means

OPTIONS = dict(steps=24, batch=16, warmup=4, stage1=0.5, late_codes=True, progress=False)


def test_k_means_finds_clusters_that_are_apart():
    g = torch.Generator().manual_seed(0)
    centres = 2 * torch.nn.functional.normalize(torch.randn(20, 4, generator=g), dim=-1)
    of = torch.arange(20).repeat_interleave(30)
    y = centres[of] + 0.01 * torch.randn(600, 4, generator=g)
    y = 2 * torch.nn.functional.normalize(y, dim=-1)
    found = _k_means(y, 20)
    codes = (y @ found.T).argmax(-1)
    assert len(codes.unique()) == 20  # k-means++ with far more than 0.01 between centres misses none
    assert all(len(codes[of == k].unique()) == 1 for k in range(20))
    torch.testing.assert_close(found.norm(dim=-1), torch.full((20,), 2.0))


def test_k_means_of_fewer_points_than_centres():
    y = torch.nn.functional.normalize(torch.eye(3), dim=-1)
    found = _k_means(y, 8)
    assert found.shape == (8, 3) and torch.isfinite(found).all()


@pytest.fixture(scope="module")
def task():
    return tasks.MixtureOfProducts(length=8)


def model_of(task):
    return LatentDiffusion.preset("di-seq", task, width=16, blocks=1, heads=2, codes=16, dim=4)


def test_codebook_moves_only_when_stage_1_ends(task):
    model = model_of(task)
    before = model.encoder.codebook.clone()
    model.encoder.late = True
    model.encoder.train()
    codes, vectors, commit = model.encoder.quantise(task.sample(8), torch.Generator().manual_seed(0))
    assert float(commit.sum()) == 0
    assert not torch.equal(vectors, model.encoder.codebook[codes])  # not quantised
    assert torch.equal(model.encoder.codebook, before)
    model.encoder.settle([task.sample(64, seed=k) for k in range(4)])
    assert not torch.equal(model.encoder.codebook, before)


def test_resumed_run_is_the_same(task, tmp_path):
    whole = model_of(task)
    fit(whole, task, **OPTIONS)

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
        fit(stopped, Stops(), out=tmp_path / "run", **OPTIONS)
    again = model_of(task)
    fit(again, task, out=tmp_path / "run", resume=True, **OPTIONS)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name

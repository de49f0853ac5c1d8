"""Codebooks: k-means of finished latents, and codes that nobody uses."""

import pytest
import torch

from lddm_lite import LatentDiffusion, tasks
from lddm_lite._common import randomness
from lddm_lite.networks import codebook
from lddm_lite.networks.codebook import k_means
from lddm_lite.training import processes
from tests.support.training_runs import start


def test_k_means_finds_clusters_that_are_apart():
    g = torch.Generator().manual_seed(0)
    centres = 2 * torch.nn.functional.normalize(torch.randn(20, 4, generator=g), dim=-1)
    of = torch.arange(20).repeat_interleave(30)
    y = centres[of] + 0.01 * torch.randn(600, 4, generator=g)
    y = 2 * torch.nn.functional.normalize(y, dim=-1)
    found = k_means(y, 20)
    codes = (y @ found.T).argmax(-1)
    # k-means++ with far more than 0.01 between centres misses none
    assert len(codes.unique()) == 20
    assert all(len(codes[of == k].unique()) == 1 for k in range(20))
    torch.testing.assert_close(found.norm(dim=-1), torch.full((20,), 2.0))


def test_k_means_of_fewer_points_than_centres():
    y = torch.nn.functional.normalize(torch.eye(3), dim=-1)
    found = k_means(y, 8)
    assert found.shape == (8, 3) and torch.isfinite(found).all()


def test_codebook_moves_only_when_stage_1_ends():
    """With `late_codes`, that is: until then latents are continuous."""
    task = tasks.MixtureOfProducts(length=8)
    model = LatentDiffusion.preset("di-seq", task, width=16, blocks=1, heads=2, codes=16, dim=4)
    before = model.encoder.codebook.clone()
    model.encoder.late = True
    model.encoder.train()
    codes, vectors, commit = model.encoder.quantise(task.sample(8), torch.Generator().manual_seed(0))
    assert float(commit.sum()) == 0
    assert not torch.equal(vectors, model.encoder.codebook[codes])  # not quantised
    assert torch.equal(model.encoder.codebook, before)
    model.encoder.settle([task.sample(64, seed=k) for k in range(4)])
    assert not torch.equal(model.encoder.codebook, before)


def test_a_code_with_the_use_of_a_fresh_one_is_not_taken_for_dead():
    """Code 0 was rare, and one micro-batch lifts it to exactly the 1/K of a code that was replaced:
    it is alive there, and keeps what it learned."""
    encoder = start("di-seq").encoder.train()
    k, d = encoder.codebook.shape
    encoder.decay = 0.0  # usage is then that of the batch alone
    encoder.usage[:] = 1.0 / k
    encoder.usage[0] = 0.0
    merge = codebook.BufferMean(encoder, 1)
    features = torch.randn(k, d)
    encoder._follow(features, torch.arange(k), randomness.generator(0))
    assert encoder.usage[0] == 1.0 / k and not encoder.reseeded.any()
    merge.take(0)
    assert float(merge.sums["alive"][0]) == 1
    merge.put(processes.Team("cpu").sum)
    assert torch.allclose(encoder.sums[0], features[0] / k)


def test_a_code_is_dead_when_all_micro_batches_say_so_and_takes_a_feature_of_one():
    model = start("di-seq")
    encoder = model.encoder.train()
    k, d = encoder.codebook.shape
    encoder.usage[:] = 1.0 / k
    encoder.usage[:2] = 1e-4  # two codes of which nobody makes use
    merge = codebook.BufferMean(encoder, 2)
    features, codes = torch.randn(2, 8, d), torch.arange(2, 10).repeat(2, 1)
    codes[1, 0] = 1  # but the second micro-batch uses code 1
    left = []
    for i in range(2):
        encoder._follow(features[i], codes[i], randomness.generator(i))
        left.append({name: b.clone() for name, b in encoder.named_buffers()})
        merge.take(i)
        # each micro-batch starts from the same
        assert float(encoder.usage[0]) == pytest.approx(1e-4)
    merge.put(processes.Team("cpu").sum)
    # micro-batch 0's: 0 modulo 2
    assert encoder.usage[0] == 1.0 / k and torch.equal(encoder.sums[0], left[0]["sums"][0])
    assert torch.allclose(encoder.usage[1], left[1]["usage"][1])  # alive in micro-batch 1 alone
    assert torch.allclose(encoder.sums[5], (left[0]["sums"][5] + left[1]["sums"][5]) / 2)
    assert torch.allclose(encoder.codebook.norm(dim=1), torch.full((k,), d**0.5), rtol=1e-5)

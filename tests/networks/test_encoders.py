"""Learned continuous latents: on the sphere, centred, with settled statistics."""

import torch

from tests.support.random_models import TASK


def test_continuous_latents_lie_on_the_sphere_and_are_centred(settled):
    encoder = settled(TASK, dim=4, slots=2)
    z = encoder(TASK.sample(512, 7))
    assert torch.allclose(z.pow(2).sum(-1), torch.full((512, 2), 4.0), atol=1e-4)
    assert z.mean(0).abs().max() < 0.5 and z.std(0).min() > 0.3


def test_settled_statistics_are_plain_averages(settled):
    encoder, seen = settled(TASK, dim=4), []
    encoder.centre.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for k in range(4):  # the batches that the fixture settled it on
        encoder(TASK.sample(256, seed=k))
    assert torch.allclose(encoder.centre.running_mean, torch.stack([y.mean(0) for y in seen]).mean(0), atol=1e-5)
    assert torch.allclose(encoder.centre.running_var, torch.stack([y.var(0) for y in seen]).mean(0), rtol=1e-4)
    assert encoder.centre.momentum == 0.05 and not encoder.training

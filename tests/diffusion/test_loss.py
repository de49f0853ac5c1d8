"""The loss of both stages: what it holds, and whom it teaches."""

import pytest

from lddm_lite import LatentDiffusion, from_arrays
from tests.support.random_models import TASK, build


@pytest.mark.parametrize("system", ["co-seq", "co-joint", "di-seq", "di-joint"])
def test_stage_1_teaches_the_encoder_and_stage_2_leaves_it_alone(system):
    model = build(system).train()
    x = TASK.sample(32, 6)

    def gradients(stage):
        model.zero_grad(set_to_none=True)
        loss = model.loss(x, 0, stage)
        loss.total.backward()
        return loss, [p.grad for p in model.encoder.parameters()], model.denoiser.latent_head.weight.grad

    loss, encoder, head = gradients(1)
    assert model.encoder.embed.weight.grad.abs().sum() > 0 and head is None
    assert set(loss.terms) == {"tokens"} | ({"commit"} if system.startswith("di") else set())
    model.encoder.eval()
    loss, encoder, head = gradients(2)
    assert all(g is None for g in encoder) and head.abs().sum() > 0
    assert set(loss.terms) == {"tokens", "latents"}
    assert float(loss.total.detach()) == pytest.approx(sum(map(float, loss.terms.values())))


CLASSES = from_arrays([[0, 1, 0, 1], [1, 1, 0, 0]] * 8, classes=[0, 1] * 8)


def seen(model, told, stage=2, few_step=0.0, batch=256):
    """What the network is shown in one loss: (x_t [B, L], z_t, t_z) of each call that sees tokens."""
    calls, predict = [], model.predict
    model.predict = lambda x, z, t, *rest, **options: calls.append((x, z, t)) or predict(x, z, t, *rest, **options)
    model.loss(CLASSES.sample(batch, 1), 0, stage, few_step, told=told)
    model.predict = predict
    return [(x, z, t) for x, z, t in calls if x is not None]


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "co-joint", "di-seq", "di-joint"])
@pytest.mark.parametrize("stage", [1, 2])
def test_a_class_that_is_told_is_never_masked(system, stage):
    model = LatentDiffusion.preset(system, CLASSES, width=16).train(stage == 1)
    mask = CLASSES.vocab
    (told, *_), *_ = seen(model, 1.0, stage)
    assert (told[:, 0] != mask).all() and 0.2 < (told[:, 1:] == mask).float().mean() < 0.99
    (half, *_), *_ = seen(model, 0.5, stage, few_step=1.0)  # all at the beginning of sampling, or near it
    begins = (half[:, 1:] == mask).all(1)
    assert 0.3 < (half[begins, 0] != mask).float().mean() < 0.7, "sampling by class is met as often as not"
    (never, *_), *_ = seen(model, 0.0, stage, few_step=1.0)
    begins = (never[:, 1:] == mask).all(1)
    assert (never[begins, 0] != mask).float().mean() < 0.15


def test_codes_are_asked_for_given_the_class_alone():
    """With one slot by counts: masked, at weight 1, whatever the time is; by times once in 1 / t."""
    model = LatentDiffusion.preset("di-seq", CLASSES, width=16, own_share=1.0, off_path_share=0.0)
    (x, z, t), *_ = seen(model, 1.0)
    begins = t > 0  # all others are on the path, where latents are done before tokens are seen
    assert 0.35 < begins.float().mean() < 0.65 and (z[begins] == model.latent_channel.mask_id).all()
    assert (x[begins, 1:] == CLASSES.vocab).all() and (x[:, 0] < CLASSES.vocab).all()


def test_without_classes_nothing_is_told():
    model = build("co-seq")
    x = TASK.sample(8, 1)
    assert float(model.loss(x, 3, told=1.0).total) == float(model.loss(x, 3, told=0.0).total)

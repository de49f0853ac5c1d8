"""The loss of both stages: what it holds, and whom it teaches."""

import pytest

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

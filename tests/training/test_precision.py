"""Mixed precision and compilation: the same training but for rounding."""

import pytest
import torch

from lddm_lite.training import precision
from tests.support.training_runs import rows, run, start


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_bf16_follows_float32_and_leaves_everything_in_float32(system, responsive):
    seen = set()
    model = start(system)
    model.denoiser.trunk.token[0].up.register_forward_hook(lambda m, i, out: seen.add(out.dtype))
    halved, coarse = run(system, model, precision="bf16", log_every=1)
    assert torch.bfloat16 in seen, "the blocks did compute in bfloat16"
    _, fine = run(system, log_every=1)
    assert "forward" not in model.denoiser.trunk.__dict__
    for part in (halved.state_dict(), coarse.state.tensors):
        assert {v.dtype for v in part.values() if v.is_floating_point()} == {torch.float32}
    a, b = coarse.column("tokens"), fine.column("tokens")
    assert a != b
    # a bfloat16 has 8 bits: 0.4 % per number, less in sums; but a code may tip over, hence a mean
    # over stage 1
    assert sum(a[:12]) == pytest.approx(sum(b[:12]), rel=0.01)


def test_autocast_is_over_after_an_error():
    model = start("mdlm")
    with pytest.raises(KeyError), precision.computing(model, "bf16"):
        raise KeyError
    assert "forward" not in model.denoiser.trunk.__dict__ and not torch.is_autocast_enabled("cpu")


@pytest.mark.slow
def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with inductor.patch({"cpp.cxx": ("/no/such/compiler",), "fx_graph_cache": False}):
        model, history = run("mdlm", steps=3, compile=True)
    ((step, text),) = history.events
    assert step == 0 and "no working compiler" in text and "going on without" in text
    plain, expected = run("mdlm", steps=3)
    assert rows(history) == rows(expected)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("system", ["mdlm", "co-seq"])
def test_compiled_blocks_train_as_plain_ones(system, responsive):
    model, fast = run(system, compile=True, log_every=1)
    plain, slow = run(system, log_every=1)
    assert not fast.events or "compiler" not in fast.events[0][1]
    # other kernels, other rounding
    assert fast.column("loss") == pytest.approx(slow.column("loss"), rel=1e-3)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert "forward" not in model.denoiser.trunk.__dict__

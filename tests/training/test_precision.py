"""Mixed precision and compilation: the same training but for rounding."""

import pytest
import torch

from lddm_lite import load
from lddm_lite.networks.transformer import _attention
from lddm_lite.tasks import from_spec
from lddm_lite.training import loop, precision
from lddm_lite.training.loop import fit
from tests.support.training_runs import QUICK, TASK, Feed, rows, run, same, start


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


@pytest.mark.parametrize("name", ["binsaw-di-seq", "binsaw-co-seq"])
def test_samples_in_bf16_are_as_good(name):
    """The same seeds give nearly the same samples; the excess has a standard error of 0.17 nats."""
    model = load(name)
    task = from_spec(model.data)

    def excess(kind):
        with precision.computing(model, kind):
            return task.score(model.sample(1024, token_steps=2, latent_steps=4, seed=0).tokens)["excess"]

    assert excess("bf16") == pytest.approx(excess("float32"), abs=0.2)


def test_autocast_is_over_after_an_error():
    model = start("mdlm")
    before = torch.get_float32_matmul_precision()
    with pytest.raises(KeyError), precision.computing(model, "bf16"):
        assert torch.get_float32_matmul_precision() == "medium"
        raise KeyError
    assert torch.get_float32_matmul_precision() == before
    assert "forward" not in model.denoiser.trunk.__dict__ and not torch.is_autocast_enabled("cpu")


@pytest.mark.slow
def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with inductor.patch({"cpp.cxx": ("/no/such/compiler",), "fx_graph_cache": False}):
        model, history = run("mdlm", steps=3, compile=True)
    ((step, text),) = history.events
    assert step == 0 and "compile: that fails here" in text and "going on without" in text
    plain, expected = run("mdlm", steps=3)
    assert rows(history) == rows(expected)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "system, network", [("mdlm", "plain"), ("co-seq", "plain"), ("di-seq", "text"), ("mdlm", "bert")]
)
def test_compiled_blocks_train_as_plain_ones(system, network, responsive):
    model, fast = run(system, start(system, network=network), compile=True, log_every=1)
    plain, slow = run(system, start(system, network=network), log_every=1)
    assert not any("compile" in text for _, text in fast.events)
    # other kernels, other rounding
    assert fast.column("loss") == pytest.approx(slow.column("loss"), rel=1e-3)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert "forward" not in model.denoiser.trunk.__dict__


def test_bf16_is_taken_where_it_pays():
    cpu = torch.device("cpu")
    for bf16, taken in ((0.5, "bf16"), (0.95, "float32"), (3.0, "float32")):
        assert precision.fastest({"float32": 1.0, "bf16": bf16}.get, cpu) == taken


@pytest.mark.parametrize("faster", ["float32", "bf16"])
def test_what_was_found_is_noted_and_kept_when_resuming(faster, monkeypatch, tmp_path):
    """The run is the one of that precision, to the last bit: trying it out moves nothing."""
    asked = []
    monkeypatch.setattr(loop, "_seconds", lambda run, p: asked.append(p) or float(p != faster))
    auto = run("mdlm", stop=10, precision="auto", out=tmp_path)
    assert auto[1].state.options["precision"] == faster and asked == ["bf16", "float32"]
    other = {"float32": "bf16", "bf16": "float32"}[faster]
    monkeypatch.setattr(loop, "_seconds", lambda run, p: float(p != other))  # another machine, another answer
    auto = auto[0], fit(auto[0], Feed(16), **{**QUICK, "precision": "auto"}, out=tmp_path, resume=True)
    same(auto, run("mdlm", precision=faster))


def test_trying_out_leaves_the_run_as_it_is():
    model, plain = start("di-seq"), start("di-seq")
    found = fit(model, TASK, **{**QUICK, "precision": "auto", "steps": 3}).state.options["precision"]
    fit(plain, TASK, **{**QUICK, "precision": found, "steps": 3})
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())


def test_the_gradient_of_attention_in_bf16_is_that_of_float32():
    """Written out on a CPU; a bfloat16 has 8 bits, of which the products lose one or two."""
    g = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, 6, 3 * 16, generator=g)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        x = qkv.detach().to(dtype).requires_grad_()
        out = _attention(x, 2)
        out.float().pow(2).sum().backward()
        found.append((out.float(), x.grad.float()))
    assert torch.allclose(*[f[0] for f in found], atol=0.03) and torch.allclose(*[f[1] for f in found], atol=0.15)

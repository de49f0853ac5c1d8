"""Products of bfloat16 matrices on a CPU: the same numbers, in few shapes."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lddm_lite import LatentDiffusion
from lddm_lite.diffusion import bf16_products
from lddm_lite.tasks.arrays import from_arrays
from lddm_lite.training.precision import computing

LENGTH, VOCAB = 24, 40


def sentences(n=500):
    """Rows of all lengths, filled up with 0."""
    g = torch.Generator().manual_seed(0)
    rows, lengths = torch.randint(1, VOCAB, (n, LENGTH), generator=g), torch.randint(2, LENGTH + 1, (n, 1), generator=g)
    return from_arrays(rows.where(torch.arange(LENGTH) < lengths, 0), pad_id=0)


def gradients(system, network, seed=3):
    """Of a training loss, by name."""
    torch.manual_seed(0)
    data = sentences()
    model = LatentDiffusion.preset(system, data, width=32, blocks=2, heads=2, network=network, slots=2)
    for p in model.parameters():  # heads, too, begin somewhere
        nn.init.normal_(p, std=0.1)
    with computing(model, "bf16"):
        model.loss(data.sample(16, seed=1), torch.Generator().manual_seed(seed)).total.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


class Shapes(TorchDispatchMode):
    """The shapes of all products of matrices."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in ("aten::mm", "aten::addmm"):
            self.seen.add(tuple(tuple(a.shape) for a in args if isinstance(a, torch.Tensor)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("system", "network"), [("mdlm", "bert"), ("di-seq", "bert"), ("mdlm", "text")])
def test_rows_that_are_spare_change_no_gradient(system, network, monkeypatch):
    even = gradients(system, network)
    monkeypatch.setattr(bf16_products, "MULTIPLE", 1)
    plain = gradients(system, network)
    assert even.keys() == plain.keys()
    for name, g in even.items():  # the same products, summed in another order: bfloat16 has 8 bits
        assert torch.allclose(g, plain[name], atol=0.02 * float(plain[name].abs().max()) + 1e-6), name


@pytest.mark.parametrize("network", ["bert", "text"])
def test_shapes_of_products_are_few(network, monkeypatch):
    def shapes(multiple):
        monkeypatch.setattr(bf16_products, "MULTIPLE", multiple)
        with Shapes() as shapes:
            for seed in range(12):
                gradients("mdlm", network, seed)
        return len(shapes.seen)

    assert shapes(64) < 0.5 * shapes(1)


def test_rows_are_spare_only_where_products_read_bfloat16():
    rows, at = torch.ones(65, 2), torch.arange(65)
    assert bf16_products.padded(rows) is rows and torch.equal(bf16_products.evened(at), at)
    with computing(LatentDiffusion.preset("mdlm", sentences(), width=16), "bf16"):
        assert len(bf16_products.evened(at)) == len(bf16_products.padded(rows)) == 128
        assert bf16_products.padded(rows)[65:].abs().sum() == 0 and not bf16_products.evened(at)[65:].any()
        assert len(bf16_products.evened(at[:0])) == len(bf16_products.padded(rows[:0])) == 0


@pytest.mark.parametrize("sizes", [(16, 8), (8, 16)])
def test_a_layer_and_its_gradients_are_those_of_float32(sizes):
    torch.manual_seed(0)
    layer, rows, weight = nn.Linear(*sizes), torch.randn(64, sizes[0], requires_grad=True), torch.randn(64, sizes[1])
    inputs = [rows, *layer.parameters()]
    expected = torch.autograd.grad((layer(rows) * weight).sum(), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        out = bf16_products.linear(layer, rows)
    assert out.dtype == torch.bfloat16 and torch.allclose(out.float(), layer(rows), atol=0.03)
    found = torch.autograd.grad((out.float() * weight).sum(), inputs)
    for a, b in zip(found, expected, strict=True):  # four units of the last of 8 bits
        assert a.dtype == torch.float32 and torch.allclose(a, b, atol=2**-6 * float(b.abs().max()))

"""Predictions in pieces: the same numbers and gradients as all at once, in bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lddm_lite import LatentDiffusion
from lddm_lite.diffusion import nelbo, prediction
from lddm_lite.diffusion.channels import MaskedChannel
from lddm_lite.diffusion.prediction import Head, Prediction
from lddm_lite.tasks import Binsaw


@pytest.fixture
def pieces_of(monkeypatch):
    """Pieces of so many rows."""
    return lambda rows: monkeypatch.setattr(Head, "rows", property(lambda head: rows))


def head(n=7, vocab=50, width=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    parts = (torch.randn(*shape, generator=g, dtype=dtype) for shape in ((n, width), (vocab, width), (vocab,)))
    return [v.requires_grad_() for v in parts]


@pytest.mark.parametrize("rows", [4, 12, 28, 400])
def test_pieces_say_the_same_with_the_same_gradients(rows, pieces_of):
    parts, ids, weight = head(), torch.arange(7) * 5, torch.linspace(0.1, 2, 7, dtype=torch.float64)
    whole = (parts[0] @ parts[1].T + parts[2]).log_softmax(-1)
    expected = torch.autograd.grad(-(whole.gather(1, ids[:, None]).squeeze(1) * weight).sum(), parts)
    pieces_of(rows)
    said = Prediction(Head(*parts), None)
    assert torch.allclose(torch.cat(list(said.pieces())), whole)
    assert [len(p) for p in said.pieces()][:-1] == [rows // 4] * ((7 - 1) // (rows // 4))
    found = torch.autograd.grad((said.nll(ids) * weight).sum(), parts)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=True))
    assert torch.allclose(said.nll(ids), -whole.gather(1, ids[:, None]).squeeze(1))
    assert torch.equal(said.tokens, Prediction(said.tokens, None).tokens)


@pytest.mark.parametrize("rows", [4, 400])
def test_of_a_token_that_cannot_be_the_nats_are_right(rows, pieces_of):
    """Its probability is 0 in float32, which the loss must not ask for."""
    weight = torch.tensor([[0.0], [300.0], [-300.0]], requires_grad=True)
    pieces_of(rows)
    said = Prediction(Head(torch.ones(5, 1), weight, torch.zeros(3)), None)
    nats = said.nll(torch.tensor([0, 1, 2, 2, 2]))
    assert torch.equal(nats, torch.tensor([300.0, 0.0, 600.0, 600.0, 600.0]))
    (slope,) = torch.autograd.grad(nats.sum(), weight)
    assert torch.equal(slope, torch.tensor([[-1.0], [4.0], [-3.0]]))


def test_no_rows_are_no_trouble(pieces_of):
    parts, none = head(n=0), torch.empty(0, dtype=torch.long)
    pieces_of(3)
    said = Prediction(Head(*parts), None)
    assert said.nll(none).shape == (0,) and [p.shape for p in said.pieces()] == [(0, 50)]


def test_some_rows_and_sequences():
    parts, z = head(), torch.arange(6.0).view(3, 2)
    said = Prediction(Head(*parts), z)
    rows, sequences = torch.tensor([6, 0, 0]), torch.tensor([2, 0])
    for one in (said, Prediction(said.tokens, z)):
        some = one.taken(rows, sequences)
        assert torch.allclose(some.tokens, said.tokens[rows]) and torch.equal(some.latents, z[sequences])
        assert one.taken(None, sequences).tokens is None


@pytest.mark.parametrize("rows", [4, 400])
def test_written_out_later_it_still_has_no_gradient(rows, pieces_of):
    parts = head()
    pieces_of(rows)
    with torch.no_grad():
        said = Prediction(Head(*parts), None)
    nats = said.nll(torch.zeros(7, dtype=torch.long))  # before all are written out
    assert not nats.requires_grad and not said.tokens.requires_grad


def test_a_loss_writes_no_more_than_a_piece(pieces_of, monkeypatch):
    """Arguments are checked without asking the lazy `tokens` for all log-probabilities at once."""
    parts, channel = [v.detach().float() for v in head()], MaskedChannel(50)
    pieces_of(3)
    monkeypatch.setattr(Prediction, "tokens", property(lambda said: pytest.fail("all were written out")))
    x0, t = torch.arange(7).view(1, 7), torch.tensor([0.5])
    nats = channel.rate(x0, torch.full_like(x0, 50), Prediction(Head(*parts), None), t)
    log_probs = (parts[0] @ parts[1].T + parts[2]).log_softmax(-1)
    assert nats == pytest.approx(-2 * float(log_probs[torch.arange(7), torch.arange(7)].sum()), rel=1e-5)


@pytest.mark.parametrize("system", ["mdlm", "co-joint", "di-seq"])
def test_training_and_sampling_write_no_more_than_a_piece(system, monkeypatch):
    model = LatentDiffusion.preset(system, Binsaw(length=8), width=16, blocks=1)
    monkeypatch.setattr(Prediction, "tokens", property(lambda said: pytest.fail("all were written out")))
    model.loss(Binsaw(length=8).sample(4)).total.backward()
    nelbo(model, Binsaw(length=8).sample(4))
    model.sample(4, token_steps=2)


def test_the_knob_is_checked_and_kept():
    before = prediction.limit()
    try:
        assert prediction.limit(2) == prediction.limit() == 2
        assert Head(torch.zeros(1, 4), torch.zeros(1 << 19, 4), torch.zeros(1 << 19)).rows == 1
        with pytest.raises(ValueError, match="megabytes must be"):
            prediction.limit(0)
    finally:
        prediction.limit(before)


# Gigabytes that drawing takes at its peak, over those of the process that is about to draw.
MEASURE = """
import sys, torch, lddm_lite as ld

class Words:
    length, vocab, labels = 64, 30_522, [str(i) for i in range(30_522)]
    spec = dict
    def sample(self, n, seed=0):
        return torch.zeros(n, 64, dtype=torch.long)

def memory(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what)) * 1024 / 1e9

model = ld.LatentDiffusion.preset(sys.argv[2], Words(), size="tiny")
idle = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here on
model.sample(int(sys.argv[1]), token_steps=1)
print(memory("VmHWM") - idle)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells a process its peak")
@pytest.mark.parametrize(
    ("n", "system"),
    [(64, "mdlm"), *(pytest.param(512, s, marks=pytest.mark.slow) for s in ("mdlm", "co-seq", "di-joint"))],
)
def test_a_large_vocabulary_is_drawn_from_in_bounded_memory(n, system):
    """4 GB of logits at 512 sequences; 64 are seven pieces already. Measured: 0.8 GB for each number and system."""
    ran = subprocess.run([sys.executable, "-c", MEASURE, str(n), system], capture_output=True, text=True)
    assert float(ran.stdout) <= 1.0, ran.stderr

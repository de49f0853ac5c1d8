"""Predictions in pieces: the same numbers and gradients as all at once, in bounded memory."""

import pytest
import torch

from lddm_lite.diffusion import prediction
from lddm_lite.diffusion.prediction import Head, Prediction


@pytest.fixture
def pieces_of(monkeypatch):
    """Pieces of so many rows."""
    return lambda rows: monkeypatch.setattr(Head, "rows", property(lambda head: rows))


def head(n=7, vocab=50, width=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    parts = (torch.randn(*shape, generator=g, dtype=dtype) for shape in ((n, width), (vocab, width), (vocab,)))
    return [v.requires_grad_() for v in parts]


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_pieces_say_the_same_with_the_same_gradients(rows, pieces_of):
    parts, ids, weight = head(), torch.arange(7) * 5, torch.linspace(0.1, 2, 7, dtype=torch.float64)
    whole = (parts[0] @ parts[1].T + parts[2]).log_softmax(-1)
    expected = torch.autograd.grad(-(whole.gather(1, ids[:, None]).squeeze(1) * weight).sum(), parts)
    pieces_of(rows)
    said = Prediction(Head(*parts), None)
    assert torch.allclose(torch.cat(list(said.pieces())), whole)
    assert [len(p) for p in said.pieces()][:-1] == [rows] * ((7 - 1) // rows)
    found = torch.autograd.grad((said.nll(ids) * weight).sum(), parts)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=True))
    assert torch.allclose(said.nll(ids), -whole.gather(1, ids[:, None]).squeeze(1))
    assert torch.equal(said.tokens, Prediction(said.tokens, None).tokens)


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


def test_written_out_later_it_still_has_no_gradient():
    parts = head()
    with torch.no_grad():
        said = Prediction(Head(*parts), None)
    assert not said.tokens.requires_grad and not said.nll(torch.zeros(7, dtype=torch.long)).requires_grad


def test_the_knob_is_checked_and_kept():
    before = prediction.limit()
    try:
        assert prediction.limit(2) == prediction.limit() == 2
        assert Head(torch.zeros(1, 4), torch.zeros(1 << 19, 4), torch.zeros(1 << 19)).rows == 1
        with pytest.raises(ValueError, match="megabytes must be"):
            prediction.limit(0)
    finally:
        prediction.limit(before)

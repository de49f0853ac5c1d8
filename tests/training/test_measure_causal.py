"""The causal baseline: a law that sums to one, samples from it, and what it learns."""

import itertools

import pytest
import torch

from lddm_lite.text import molecules
from lddm_lite.training import measure_causal
from lddm_lite.training.measure_causal import Causal, train


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Causal(length=3, vocab=3, width=16, blocks=1, heads=2).eval()


@pytest.fixture(scope="module")
def strings():
    """All strings of up to three symbols of two, ended by 0 where there is room."""
    every = (s for k in range(4) for s in itertools.product((1, 2), repeat=k))
    return torch.tensor([[*s, *[0] * (3 - len(s))] for s in every])


def test_the_law_sums_to_one(model, strings):
    with torch.no_grad():
        assert float(model.log_prob(strings).exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_samples_follow_the_law_and_their_seed(model, strings):
    n = 4000
    x = model.sample(n, seed=1)
    assert x.shape == (n, 3) and torch.equal(x, model.sample(n, seed=1)) and not torch.equal(x, model.sample(n, seed=2))
    with torch.no_grad():
        expected = n * model.log_prob(strings).exp()
    counts = (x[:, None] == strings).all(-1).sum(0)
    assert int(counts.sum()) == n  # nothing is drawn behind an end
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 36.1  # the 0.1 % point of chi-square with 14 degrees of freedom


def test_it_learns_a_law_by_heart():
    torch.manual_seed(0)
    data = molecules.from_smiles(["CCO", "C=O", "O"], length=4)
    model = train(Causal(data.length, data.vocab, 32, 1, 2), data, steps=800, batch=32)
    with torch.no_grad():
        found = model.log_prob(data.rows.long())
    assert found.exp().tolist() == pytest.approx([1 / 3] * 3, abs=0.05)  # what training leaves


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="heads must divide width=16, got 3"):
        Causal(4, 4, 16, 1, 3)


def test_the_file_holds_what_was_measured(tmp_path, monkeypatch):
    pytest.importorskip("rdkit", reason=f"needs {molecules.INSTALL}")
    data = molecules.from_smiles(["CCO", "CC", "CCC", "OCC"], length=4)
    monkeypatch.setattr(molecules, "load", lambda name: (data, data))
    monkeypatch.setattr(measure_causal, "known_molecules", lambda name: frozenset({"CCO"}))
    file = tmp_path / "found.json"
    measure_causal.main(["--seeds", "0,1", "--steps", "2", "--batch", "4", "-n", "8", "--out", str(file)])
    found = measure_causal.files.read_json(file)
    assert [row["seed"] for row in found["rows"]] == [0, 1]
    assert {"valid", "unique", "novel", "nats", "nats_se"} < set(found["rows"][0])

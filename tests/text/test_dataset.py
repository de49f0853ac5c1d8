"""A text in memory: samples, lengths, splits; and a model of it."""

import pytest
import torch

from lddm_lite import LatentDiffusion, fit
from lddm_lite.diffusion.channels import MaskedChannel
from lddm_lite.text import dataset

BODY = "the bank rose .\nthe yen fell .\n"


def test_one_line_is_enough(write):
    data = dataset.from_file(write(b"the bank rose ."))
    assert len(data) == 1 and data.sample(3).shape == (3, 64)
    assert data.decode(data.sample(1)[0]) == "the bank rose ."
    with pytest.raises(ValueError, match="at least 2"):
        data.split(0.5)


def test_when_every_sentence_is_too_long_the_message_says_by_how_much(write):
    with pytest.raises(ValueError, match="shortest sentence has 4 tokens, more than length=3"):
        dataset.from_file(write(BODY.encode()), length=3)


@pytest.mark.parametrize("bad", [dict(vocab=8), dict(length=0), dict(limit=0), dict(seed=-1, limit=1)])
def test_bad_arguments(write, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        dataset.from_file(write(BODY.encode()), **bad)


def test_limit_draws_lines_at_random_and_repeatably(write):
    path = write("".join(f"line {i} .\n" for i in range(50)).encode())
    a, b, c = (dataset.from_file(path, limit=10, seed=s) for s in (1, 1, 2))
    assert len(a) == 10 and torch.equal(a.rows, b.rows) and a.spec() == b.spec() != c.spec()


def test_samples_splits_and_lengths(data):
    assert torch.equal(data.sample(9, 4), data.sample(9, torch.Generator().manual_seed(4)))
    assert data.rows.dtype == torch.int16 and data.sample(2).dtype == torch.int64
    share = data.spec()["lengths"]
    assert len(share) == 25 and sum(share) == pytest.approx(1) and share[0] == 0
    train, held = data.split(0.25, seed=3)
    assert (len(train), len(held)) == (14, 4)
    both = torch.cat([train.rows, held.rows]).tolist()
    assert sorted(both) == sorted(data.rows.tolist())
    assert torch.equal(data.split(0.25, seed=3)[1].rows, held.rows)
    for bad in (0, 1, -0.1, "x"):
        with pytest.raises(ValueError, match="fraction"):
            data.split(bad)


# --- in a model -----------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_padding_is_neither_noised_nor_scored_through_fit(data, monkeypatch, system):
    corrupt, rate, seen = MaskedChannel.corrupt, MaskedChannel.rate, []

    def checked_corrupt(self, x0, t, g, keep=None):
        out = corrupt(self, x0, t, g, keep)
        if self.vocab == data.vocab:
            assert torch.equal(out == 0, x0 == 0), "padding noised"
            seen.append("noised")
        return out

    def checked_rate(self, x0, x_t, said, t):
        log_probs = getattr(said, "tokens", said)
        if self.vocab == data.vocab:
            scored = x0[x_t == self.mask_id]
            assert (scored != 0).all(), "padding scored"
            if log_probs.dim() == 2:
                assert (log_probs[:, 0] < -1e6).all(), "padding predicted"
            seen.append("scored")
        return rate(self, x0, x_t, said, t)

    monkeypatch.setattr(MaskedChannel, "corrupt", checked_corrupt)
    monkeypatch.setattr(MaskedChannel, "rate", checked_rate)
    model = LatentDiffusion.preset(system, data, width=16, blocks=1, codes=8)
    fit(model, data, steps=12, batch=16, warmup=1, progress=False)
    model.nelbo(data.sample(16))
    model.nelbo(data.sample(16), token_steps=2)
    assert {"noised", "scored"} <= set(seen)


def test_samples_have_the_lengths_of_the_data_and_infilling_keeps_what_is_given(data):
    model = LatentDiffusion.preset("co-seq", data, width=16, blocks=1)
    x = torch.from_numpy(model.sample(200, token_steps=2, latent_steps=2).tokens)
    assert ((x == 0).int().diff(dim=1) >= 0).all()
    allowed = {k for k, share in enumerate(data.spec()["lengths"]) if share}
    assert set((x != 0).sum(1).tolist()) == allowed
    start = data.encode("the [MASK] of [MASK] fell .")
    trace = model.infill(start.unsqueeze(0), n=5, token_steps=2)
    given = torch.from_numpy(trace.tokens)[:, start != data.vocab]
    assert (given == start[start != data.vocab]).all() and (torch.from_numpy(trace.tokens)[:, 6:] == 0).all()


def test_a_tiny_text_is_learned(data):
    model = LatentDiffusion.preset("mdlm", data, width=32, blocks=2)
    history = fit(model, data, steps=80, batch=32, warmup=5, log_every=10, lr=5e-3, progress=False)
    losses = history.column("tokens")
    assert losses[-1] < 0.75 * losses[0]

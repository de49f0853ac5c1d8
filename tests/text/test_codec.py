"""Texts to token ids and back."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite import LatentDiffusion, Trace, tasks
from lddm_lite.text import dataset


@pytest.mark.parametrize("k", range(6))
def test_space_tokenised_lines_come_back_as_they_were(data, lines, k):
    line = lines[k]
    assert data.decode(data.encode(line)) == line.lower()
    assert data.encode(line).shape == (24,) and data.encode(line).dtype == torch.int64


def test_capitals_stay_where_asked_and_accents_always(lines):
    data = dataset.from_lines(lines, vocab=300, lowercase=False)
    assert data.decode(data.encode("The café of Ångström")) == "The café of Ångström"
    assert data.spec()["text"]["lowercase"] is False


def test_a_trace_shows_the_same_text(data, lines):
    x = data.rows[:4].long().numpy()
    shown_at = (x != 0).astype(int)  # step 1; padding is there from the start
    trace = Trace(x, shown_at, np.ones(x.shape), [(1, 0), (0, 0)], data.labels, data.vocab, pad_id=data.pad_id)
    assert [trace.text(i) for i in range(4)] == [data.decode(row) for row in x] == [s.lower() for s in lines[:4]]
    assert trace.text(0, step=0).split() == ["[MASK]"] * int((x[0] != 0).sum())


def test_each_mask_is_one_token_of_id_v(data):
    ids = data.encode("[MASK] bank[MASK] [MASK].")
    assert (ids == data.vocab).sum() == 3 and data.decode(ids) == "[MASK] bank [MASK] [MASK] ."
    assert "[MASK]" not in data.labels and data.labels[:2] == ["[PAD]", "[UNK]"]


def test_word_pieces_join(data):
    ids = data.encode("the bankfell")
    assert any(data.labels[i].startswith("##") for i in ids) and data.decode(ids) == "the bankfell"


@pytest.mark.parametrize("bad", ["", "  ", "\x00", "the " * 25, None, 3])
def test_texts_that_cannot_be_encoded(data, bad):
    with pytest.raises(ValueError, match="text must"):
        data.encode(bad)


def test_ids_that_cannot_be_decoded(data):
    for bad in ([data.vocab + 1], [-1], [0.5]):
        with pytest.raises(ValueError, match="ids"):
            data.decode(bad)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_spelled_without_padding_and_settles_at_once(data, line):
    (ids,) = data.codec.tokenise([line])
    assert all(1 <= i < data.vocab for i in ids)
    if ids and 1 not in ids:
        again = data.decode(ids)
        assert data.codec.tokenise([again])[0] == ids


def test_the_codec_comes_back_from_a_saved_model(data, tmp_path):
    model = LatentDiffusion.preset("mdlm", data, width=16)
    model.save(tmp_path / "m")
    loaded = LatentDiffusion.load(tmp_path / "m")
    codec = dataset.from_spec(loaded.data)
    assert codec.labels == data.labels and (codec.length, codec.pad_id) == (24, 0)
    line = "the [MASK] fell ."
    assert torch.equal(codec.encode(line), data.encode(line))
    held = dataset.from_file(__file__, codec=codec, limit=5)
    assert held.labels == data.labels and held.rows.shape[1] == 24


def test_a_spec_of_something_else(data):
    with pytest.raises(ValueError, match="not a model of text"):
        dataset.from_spec(tasks.Binsaw(length=8).spec())
    about = json.loads(json.dumps(data.spec()))
    about["text"]["tokenizer"] = about["text"]["tokenizer"][:100]
    with pytest.raises(ValueError, match="damaged"):
        dataset.from_spec(about)

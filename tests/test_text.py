"""Text: every line a person may have in a file, and padding that nothing ever touches."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddm_lite import LatentDiffusion, Trace, fit, tasks, text
from lddm_lite.channels import MaskedChannel

LINES = [
    "The bank said on Monday that it 's ready .",
    "The bank of Japan said on Friday that the yen fell .",
    'They won \'t go , " he said .',
    "In 2009 the U.S. paid $ 2,900 a month -- an all-time high !",
    "Rain fell in Paris , and the river rose .",
    "Ångström drank a café crème ; 東京 is far .",
] * 3


@pytest.fixture(scope="module")
def data():
    return text.from_lines(LINES, vocab=300, length=24)


@pytest.fixture
def file(tmp_path):
    """A file with the given bytes."""

    def write(content: bytes):
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        return path

    return write


# --- there and back ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("line", LINES[:6])
def test_space_tokenised_lines_come_back_as_they_were(data, line):
    assert data.decode(data.encode(line)) == line.lower()
    assert data.encode(line).shape == (24,) and data.encode(line).dtype == torch.int64


def test_capitals_stay_where_asked_and_accents_always(tmp_path):
    data = text.from_lines(LINES, vocab=300, lowercase=False)
    assert data.decode(data.encode("The café of Ångström")) == "The café of Ångström"
    assert data.spec()["text"]["lowercase"] is False


def test_a_trace_shows_the_same_text(data):
    x = data.rows[:4].long().numpy()
    shown_at = (x != 0).astype(int)  # step 1; padding is there from the start
    trace = Trace(x, shown_at, np.ones(x.shape), [(1, 0), (0, 0)], data.labels, data.vocab, pad_id=data.pad_id)
    assert [trace.text(i) for i in range(4)] == [data.decode(row) for row in x] == [s.lower() for s in LINES[:4]]
    assert trace.text(0, step=0).split() == ["[MASK]"] * int((x[0] != 0).sum())


def test_each_mask_is_one_token_of_id_v(data):
    ids = data.encode("[MASK] bank[MASK] [MASK].")
    assert (ids == data.vocab).sum() == 3 and data.decode(ids) == "[MASK] bank [MASK] [MASK] ."
    assert "[MASK]" not in data.labels and data.labels[:2] == ["[PAD]", "[UNK]"]


def test_pieces_join(data):
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


# --- files as they come -----------------------------------------------------------------------------------

BODY = "the bank rose .\nthe yen fell .\n"


@pytest.mark.parametrize(
    "content",
    [
        BODY.encode(),
        b"\xef\xbb\xbf" + BODY.encode(),
        BODY.replace("\n", "\r\n").encode(),
        BODY.replace("\n", "\r").encode(),
        BODY.rstrip().encode(),
        BODY.replace(" ", "\t \u00a0").encode(),
        BODY.replace("n", "\x00n\x07").encode(),
    ],
    ids=["plain", "byte-order mark", "CRLF", "CR", "no last newline", "other blanks", "NUL"],
)
def test_line_ends_marks_and_control_characters_change_nothing(file, content):
    data = text.from_file(file(content), vocab=64, length=8)
    assert [data.decode(row) for row in data.rows] == BODY.splitlines()


def test_blank_lines_are_skipped_and_counted(file):
    data = text.from_file(file(b"\n \n" + BODY.encode() + b"\n\x00\n"), vocab=64)
    assert (len(data), data.blank, data.dropped) == (2, 4, 0)


@pytest.mark.parametrize("content", [b"", b"\n\n \r\n", b"\xef\xbb\xbf", b"\x00\n\x00"])
def test_a_file_without_a_sentence(file, content):
    with pytest.raises(ValueError, match="text.txt is empty"):
        text.from_file(file(content))


def test_one_line_is_enough(file):
    data = text.from_file(file(b"the bank rose ."))
    assert len(data) == 1 and data.sample(3).shape == (3, 64)
    assert data.decode(data.sample(1)[0]) == "the bank rose ."
    with pytest.raises(ValueError, match="at least 2"):
        data.split(0.5)


def test_bytes_that_are_not_utf8_are_named_or_dropped(file):
    path = file(b"the bank rose .\nthe y\xffen fell .\n")
    with pytest.raises(ValueError, match=r"text.txt, line 2: byte 0xff is not UTF-8.*errors='replace'"):
        text.from_file(path)
    data = text.from_file(path, vocab=64, errors="replace")
    assert data.decode(data.rows[1]) == "the yen fell ."
    with pytest.raises(ValueError, match="errors must be"):
        text.from_file(path, errors="ignore")


def test_utf16_is_recognised(file):
    with pytest.raises(ValueError, match="line 1: .*UTF-16"):
        text.from_file(file(BODY.encode("utf-16")))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        text.from_file(tmp_path / "none.txt")
    with pytest.raises(OSError):
        text.from_file(tmp_path)


def test_lines_of_ten_kilobytes(file):
    words, word = b"the bank rose " * 750, b"x" * 10_000
    data = text.from_file(file(words + b"\n" + word + b"\nthe bank rose .\n"), vocab=64)
    assert len(data) == 2 and data.dropped == 1
    assert data.decode(data.rows[0]) == "[UNK]" and 0 < data.unknown() < 1


def test_when_every_sentence_is_too_long_the_message_says_by_how_much(file):
    with pytest.raises(ValueError, match="shortest sentence has 4 tokens, more than length=3"):
        text.from_file(file(BODY.encode()), length=3)


@pytest.mark.parametrize("bad", [dict(vocab=8), dict(length=0), dict(limit=0), dict(seed=-1, limit=1)])
def test_bad_arguments(file, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        text.from_file(file(BODY.encode()), **bad)


@pytest.mark.parametrize("lowercase", [True, False])
def test_special_words_in_a_text_are_ordinary(lowercase):
    hostile = ["[MASK] [PAD] [UNK] x", "[mask][pad] ##ing # ##", "</script><b> {} \\ \" ' ` [CLS]", "a##b [MASK]ing"]
    data = text.from_lines(hostile * 20, vocab=200, lowercase=lowercase)
    assert data.labels.count("[PAD]") == data.labels.count("[UNK]") == 1 and "[MASK]" not in data.labels
    assert data.rows.max() < data.vocab and data.unknown() == 0
    assert ((data.rows == 0).int().diff() >= 0).all(), "padding only at the end"
    (ids,) = data.codec.tokenise(["[MASK] [PAD] x"])
    shown = data.decode(ids)
    assert shown.replace(" ", "") == ("[mask][pad]x" if lowercase else "[MASK][PAD]x") and "[MASK]" not in shown


def test_rare_characters_give_way_in_a_small_vocabulary():
    data = text.from_lines(["".join(map(chr, range(0x4E00, 0x4E00 + 500))), "the bank rose ."] * 5, vocab=40, length=64)
    assert data.vocab <= 40


def test_limit_draws_lines_at_random_and_repeatably(file):
    path = file("".join(f"line {i} .\n" for i in range(50)).encode())
    a, b, c = (text.from_file(path, limit=10, seed=s) for s in (1, 1, 2))
    assert len(a) == 10 and torch.equal(a.rows, b.rows) and a.spec() == b.spec() != c.spec()


# --- the same each time -----------------------------------------------------------------------------------

def test_training_the_tokenizer_twice_gives_the_same(file, data):
    path = file("\n".join(LINES).encode())
    code = f"""
import hashlib
from lddm_lite import text
print(hashlib.sha256(text.from_file({str(path)!r}, vocab=300, length=24).codec.tokenizer.encode()).hexdigest())
"""
    run = [sys.executable, "-c", code]  # ties were once broken by a hash map, which differs between processes
    other = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(data.codec.tokenizer.encode()).hexdigest()


def test_the_codec_comes_back_from_a_saved_model(data, tmp_path):
    model = LatentDiffusion.preset("mdlm", data, width=16)
    model.save(tmp_path / "m")
    loaded = LatentDiffusion.load(tmp_path / "m")
    codec = text.from_spec(loaded.data)
    assert codec.labels == data.labels and (codec.length, codec.pad_id) == (24, 0)
    line = "the [MASK] fell ."
    assert torch.equal(codec.encode(line), data.encode(line))
    held = text.from_file(__file__, codec=codec, limit=5)
    assert held.labels == data.labels and held.rows.shape[1] == 24


def test_a_spec_of_something_else(data):
    with pytest.raises(ValueError, match="not a model of text"):
        text.from_spec(tasks.Binsaw(length=8).spec())
    about = json.loads(json.dumps(data.spec()))
    about["text"]["tokenizer"] = about["text"]["tokenizer"][:100]
    with pytest.raises(ValueError, match="damaged"):
        text.from_spec(about)


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


# --- padding ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_padding_is_neither_noised_nor_scored_through_fit(data, monkeypatch, system):
    corrupt, rate, seen = MaskedChannel.corrupt, MaskedChannel.rate, []

    def watched_corrupt(self, x0, t, g, keep=None):
        out = corrupt(self, x0, t, g, keep)
        if self.vocab == data.vocab:
            assert torch.equal(out == 0, x0 == 0), "padding noised"
            seen.append("noised")
        return out

    def watched_rate(self, x0, x_t, log_probs, t):
        if self.vocab == data.vocab:
            scored = x0[x_t == self.mask_id]
            assert (scored != 0).all(), "padding scored"
            if log_probs.dim() == 2:
                assert (log_probs[:, 0] < -1e6).all(), "padding predicted"
            seen.append("scored")
        return rate(self, x0, x_t, log_probs, t)

    monkeypatch.setattr(MaskedChannel, "corrupt", watched_corrupt)
    monkeypatch.setattr(MaskedChannel, "rate", watched_rate)
    model = LatentDiffusion.preset(system, data, width=16, blocks=1, codes=8)
    fit(model, data, steps=12, batch=16, warmup=1, progress=False)
    model.nelbo(data.sample(16)), model.nelbo(data.sample(16), token_steps=2)
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

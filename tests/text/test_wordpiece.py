"""Learning a vocabulary of word pieces: ordinary words, rare characters, and the same each time."""

import hashlib
import subprocess
import sys

import pytest

from lddm_lite.text import dataset


@pytest.mark.parametrize("lowercase", [True, False])
def test_special_words_in_a_text_are_ordinary(lowercase):
    hostile = ["[MASK] [PAD] [UNK] x", "[mask][pad] ##ing # ##", "</script><b> {} \\ \" ' ` [CLS]", "a##b [MASK]ing"]
    data = dataset.from_lines(hostile * 20, vocab=200, lowercase=lowercase, tokenizer="words")
    assert data.labels.count("[PAD]") == data.labels.count("[UNK]") == 1 and "[MASK]" not in data.labels
    assert data.rows.max() < data.vocab and data.unknown() == 0
    assert ((data.rows == 0).int().diff() >= 0).all(), "padding only at the end"
    (ids,) = data.codec.tokenise(["[MASK] [PAD] x"])
    shown = data.decode(ids)
    assert shown.replace(" ", "") == ("[mask][pad]x" if lowercase else "[MASK][PAD]x") and "[MASK]" not in shown


def test_rare_characters_give_way_in_a_small_vocabulary():
    lines = ["".join(map(chr, range(0x4E00, 0x4E00 + 500))), "the bank rose ."] * 5
    data = dataset.from_lines(lines, vocab=40, length=64, tokenizer="words", allow_losses=True)
    assert data.vocab <= 40


def test_training_the_tokenizer_twice_gives_the_same(write, data, lines):
    path = write("\n".join(lines).encode())
    code = f"""
import hashlib
from lddm_lite.text import dataset
print(hashlib.sha256(dataset.from_file({str(path)!r}, vocab=300, length=24).codec.tokenizer.encode()).hexdigest())
"""
    # ties were once broken by a hash map, which differs between processes
    run = [sys.executable, "-c", code]
    other = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(data.codec.tokenizer.encode()).hexdigest()

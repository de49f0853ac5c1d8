"""Texts in memory and on disk."""

import pytest

from lddm_lite.text import build_token_store, dataset

LINES = [
    "The bank said on Monday that it 's ready .",
    "The bank of Japan said on Friday that the yen fell .",
    'They won \'t go , " he said .',
    "In 2009 the U.S. paid $ 2,900 a month -- an all-time high !",
    "Rain fell in Paris , and the river rose .",
    "Ångström drank a café crème ; 東京 is far .",
] * 3

STORED = [
    "The bank said on Monday that it 's ready .",
    "Rain fell .",
    "",
    "The bank of Japan said on Friday that the yen fell against the dollar again , by two more .",
    "Ångström drank a café crème .",
] * 6


@pytest.fixture(scope="session")
def lines():
    """Six sentences, three times each."""
    return LINES


@pytest.fixture(scope="session")
def data():
    return dataset.from_lines(LINES, vocab=300, length=24)


@pytest.fixture
def write(tmp_path):
    """A file with the given bytes."""

    def write(content: bytes):
        path = tmp_path / "text.txt"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def stored_lines():
    """What is in `file`."""
    return STORED


@pytest.fixture
def file(tmp_path):
    """A text with blank lines, and with sentences of very different lengths."""
    path = tmp_path / "text.txt"
    path.write_text("\n".join(STORED) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def build(file, tmp_path):
    """A store of `file`, or of something else."""

    def build(what=None, codec=None, **options):
        usual = {"length": 14, "vocab": 200, "progress": False, "allow_losses": True}
        options = {"cache": tmp_path / "cache", **usual, **options}
        return build_token_store.build(file if what is None else what, codec, **options)

    return build

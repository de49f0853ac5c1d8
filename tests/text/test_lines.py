"""Every line a person may have in a file."""

import pytest

from lddm_lite.text import dataset

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
def test_line_ends_marks_and_control_characters_change_nothing(write, content):
    data = dataset.from_file(write(content), vocab=64, length=8, tokenizer="words")
    assert [data.decode(row) for row in data.rows] == BODY.splitlines()


def test_blank_lines_are_skipped_and_counted(write):
    data = dataset.from_file(write(b"\n \n" + BODY.encode() + b"\n\x00\n"), vocab=64)
    assert (len(data), data.blank, data.dropped) == (2, 4, 0)


@pytest.mark.parametrize("content", [b"", b"\n\n \r\n", b"\xef\xbb\xbf", b"\x00\n\x00"])
def test_a_file_without_a_sentence(write, content):
    with pytest.raises(ValueError, match="text.txt is empty"):
        dataset.from_file(write(content))


def test_bytes_that_are_not_utf8_are_named_or_dropped(write):
    path = write(b"the bank rose .\nthe y\xffen fell .\n")
    with pytest.raises(ValueError, match=r"text.txt, line 2: byte 0xff is not UTF-8.*errors='replace'"):
        dataset.from_file(path)
    data = dataset.from_file(path, vocab=64, errors="replace")
    assert data.decode(data.rows[1]) == "the yen fell ."
    with pytest.raises(ValueError, match="errors must be"):
        dataset.from_file(path, errors="ignore")


def test_utf16_is_recognised(write):
    with pytest.raises(ValueError, match="line 1: .*UTF-16"):
        dataset.from_file(write(BODY.encode("utf-16")))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        dataset.from_file(tmp_path / "none.txt")
    with pytest.raises(OSError):
        dataset.from_file(tmp_path)


def test_lines_of_ten_kilobytes(write):
    words, word = b"the bank rose " * 750, b"x" * 10_000
    path = write(words + b"\n" + word + b"\nthe bank rose .\n")
    data = dataset.from_file(path, vocab=64, tokenizer="words", allow_losses=True)
    assert len(data) == 2 and data.dropped == 1
    assert data.decode(data.rows[0]) == "[UNK]" and 0 < data.unknown() < 1

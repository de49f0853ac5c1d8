"""`score`: the bound of each sequence in a file."""

import json

import pytest

from lddm_lite.model import load


def test_it_is_the_bound_of_each_sequence(saw_run, run, tmp_path):
    (tmp_path / "bits.txt").write_text("01100110\n\n0110 1001\n")
    status, out, err = run("score", saw_run, tmp_path / "bits.txt", "--draws", 1, "--seed", 3)
    x = [[0, 1, 1, 0, 0, 1, 1, 0], [0, 1, 1, 0, 1, 0, 0, 1]]
    want = load(saw_run).nelbo(x, each=True, seed=3)
    found = [float(line.split("\t")[0]) for line in out.splitlines()]
    assert status == 0 and found == pytest.approx(want.tolist(), abs=5e-4), err


def test_text_has_a_line_each_and_unknown_words_no_number(text_run, run, fails, tmp_path):
    (tmp_path / "t.txt").write_text("the bank rose .\nzebra 漢 .\n" + "the " * 40 + "\n[MASK] rose .\n")
    status, out, err = run("score", text_run, tmp_path / "t.txt", "--out", tmp_path / "s.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert status == 0 and [row["line"] for row in rows] == [1, 2, 3, 4], err
    assert rows[0]["tokens"] == 4 and rows[0]["nats"] > 0 and rows[0]["se"] >= 0
    assert "漢" in rows[1]["error"] and "1 to 12 tokens, got 40" in rows[2]["error"] and "nats" not in rows[1]
    (tmp_path / "none.txt").write_text("\n \n")
    assert "is empty" in fails("score", text_run, tmp_path / "none.txt")
    (tmp_path / "odd.txt").write_text("漢\n")
    assert "no line can be scored" in fails("score", text_run, tmp_path / "odd.txt")

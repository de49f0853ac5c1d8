"""The running text in the picture of a run: widths, lines, and what the font lacks."""

import matplotlib.pyplot as plt
import pytest

from lddm_lite.plots import run_words


def test_what_the_font_lacks_is_shown_as_a_box():
    assert run_words.printable("plain é $x_1$ \\frac שלום") == "plain é $x_1$ \\frac שלום"
    assert run_words.printable("中\n\u202eab\U0001f984\x00") == "□□□ab□□"


def test_widths_are_those_of_the_drawn_text():
    figure = plt.figure(dpi=100)
    for word in ("will", "pneumonoultramicroscopic", "$a_b$", "."):
        t = figure.text(0, 0, word, fontsize=9, family="DejaVu Sans", parse_math=False)
        drawn = t.get_window_extent(figure.canvas.get_renderer()).width * 72 / 100
        assert run_words.width(word) == pytest.approx(drawn, abs=0.8)


def test_words_are_set_in_lines_and_the_rest_is_counted():
    labels = [(k, w) for k, w in enumerate(["alpha", "##bet", "", "gamma", "x" * 200, "delta", "omega"])]
    placed, left = run_words.set_words(labels, room=120, lines=3)
    assert left == 0 and [w.position for w in placed] == [0, 1, 3, 4, 5, 6]
    assert placed[1].x == pytest.approx(placed[0].x + placed[0].width), "word pieces join"
    assert placed[2].x > placed[1].x + placed[1].width
    assert placed[3].text.endswith("…") and placed[3].width <= 120 and [w.line for w in placed] == [0, 0, 0, 1, 2, 2]
    assert all(w.x + w.width <= 120 for w in placed)
    placed, left = run_words.set_words(labels, room=120, lines=2)
    assert left == 2 and len(placed) == 4

"""The lecture decks: their sources keep to their time, quote what is there, and every formula compiles. What is built
of them is looked at in tests/browser/test_decks.py."""

import ast
import re

import pytest

from tests.support.notebooks import deck_tools, make_decks, pictures

SOURCES = make_decks.sources()
MINUTES = {"1-why-few-steps-fail": 90, "2-a-channel-for-what-is-shared": 90, "the-idea": 45}
SIXTY = "notebooks/source/01_masked_diffusion.py"


def source(tmp_path, *pages):
    path = tmp_path / "deck.md"
    path.write_text("title: A deck\nminutes: 1\n---\n" + "\n---\n".join(pages), encoding="utf-8")
    return make_decks.Deck(path)


def fences(deck, language):
    """What stands in the fences of a deck, and behind their first word."""
    return [found for page, _, _ in deck.pages for found in
            re.findall(rf"^```{language}\b ?(.*)\n((?:.*\n)*?)```$", page, re.M)]  # fmt: skip


def test_the_decks():
    assert {p.stem: make_decks.Deck(p).minutes for p in SOURCES} == MINUTES


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_a_deck_keeps_to_its_pages_and_its_time(path):
    deck = make_decks.Deck(path)
    assert 25 <= len(deck.pages) <= 35
    assert sum(minutes for _, minutes, _ in deck.pages) == deck.minutes
    for shown, minutes, notes in deck.pages:
        assert re.match("##? ", shown) and notes and 1 <= minutes <= 6
        assert len(re.sub(r"^```(?:.*\n)*?```$|<small>.*", "", shown, flags=re.M)) < 700, "one idea a page"
    asked = sum("\n> **" in shown for shown, _, _ in deck.pages)
    assert asked >= len(deck.pages) / 5


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_what_is_shown_is_there_and_has_a_text(path):
    deck = make_decks.Deck(path)
    seen = 0
    for alt, code in fences(deck, "python"):
        called = [c for c in ast.walk(ast.parse(code)) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)]
        for call in called:
            words = [ast.literal_eval(a) for a in call.args if isinstance(a, ast.Constant)]
            if call.func.id == "kept":
                assert pictures.kept(*words)["from"].startswith("notebook")
            if call.func.id == "table":
                assert len(pictures.run(code).splitlines()) > 4
        assert len(alt) > 40 or {c.func.id for c in called} & {"drawn", "table"}
        seen += 1
    assert seen >= 8


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_every_formula_compiles(path):
    deck_tools()
    deck = make_decks.Deck(path)
    md = deck.markdown()
    md.renderer.rules["fence"] = lambda *_: ""
    for shown, _, notes in deck.pages:
        md.render(shown), md.render(notes)
    made = make_decks.compiled(deck.formulas)
    assert len(made) == len(deck.formulas) and all("katex" in m and "<math" in m for m in made)


def test_a_formula_that_does_not_compile_is_named():
    deck_tools()
    with pytest.raises(ValueError, match=r"frac1.: .*end of input"):
        make_decks.compiled([("x", False), (r"\frac1", True)])


def test_pages_answers_columns_and_notes(tmp_path):
    pages = ["# One\n\nNote: 1 min\nsay it", "## Two\n\n> **Predict.** ?\n\n+++\n\nyes\n\nNote: 0 min\nwait",
             "## Three\n\n|||\nleft\n|||\nright\n\nNote: 2 min\nlook"]  # fmt: skip
    deck = source(tmp_path, *pages)
    one, two, three = (deck.page(*p) for p in deck.pages)
    assert '<section class="title" data-timing="60">' in one and "<strong>1 min.</strong> say it" in one
    assert '<div class="fragment"><p>yes</p>' in two and '<blockquote>' in two
    assert three.count("<div><p>") == 2 and 'class="columns"' in three


@pytest.mark.parametrize("page, message", [
    ("## No notes", "no line 'Note: N min': '## No notes'"),
    ("## No minutes\n\nNote: say it", "no line 'Note: N min'"),
])  # fmt: skip
def test_a_page_without_minutes_is_refused(tmp_path, page, message):
    with pytest.raises(ValueError, match=message):
        source(tmp_path, page)


def test_a_picture_without_a_text_is_refused(tmp_path):
    deck = source(tmp_path, '## A\n\n```python\nkept("01", "4 steps: each pays")\n```\n\nNote: 1 min\nx')
    with pytest.raises(ValueError, match="without a text for those who do not see it"):
        deck.page(*deck.pages[0])


@pytest.mark.parametrize("text, number", [("no such code", 0), ("ld.", "[0-9]+")])
def test_a_picture_that_is_not_there_or_not_one_is_refused(text, number):
    with pytest.raises(ValueError, match=f"keeps {number} pictures .*, not one"):
        pictures.kept("01", text)


def test_a_table_says_what_the_results_say():
    text = pictures.table("binsaw-compared", {"di-seq": "ours"})
    row = next(r for r in pictures.results("binsaw-compared")["rows"] if r["model"] == "di-seq" and r["nfe"] == 2)
    assert f"| ours | {row['excess']:.2f} ± {row['excess_se']:.2f} |" in text and "2,048 samples" in text


def test_sixty_lines_are_those_of_the_notebook():
    """Code on a page is the notebook's, line by line, but for what a page's width asks for."""
    notebook = (make_decks.ROOT / SIXTY).read_text("utf-8")
    pages = [code for _, code in fences(make_decks.Deck(SOURCES[0]), "py")]
    lines = [line for code in pages for line in code.splitlines() if line.strip() and '"""' not in line]
    assert len(pages) == 2 and sum(line in notebook for line in lines) >= len(lines) - 3

"""One visual language: whatever is drawn, in figures, widgets, pages and decks, is in the colours of
plots/style.py."""

import re

import pytest

from lddm_lite.plots import style
from tests.support import ROOT

PLACES = ("lddm_lite/plots/*.py", "lddm_lite/widgets/static/*.css", "lddm_lite/widgets/static/*.js")
PLACES += ("notebooks/site/_static/*", "notebooks/decks/*.css", "notebooks/decks/*.js", "notebooks/source/*.py")
FILES = sorted(file for place in PLACES for file in ROOT.glob(place))
NAMES = {"accent": "latents", "focus": "tokens", "link": "tokens"}  # of a style sheet -> of a theme


def colours(text: str) -> set[str]:
    """Colours that a text names, in six digits."""
    found = re.findall(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b", text)
    return {"#" + (c if len(c) == 6 else "".join(2 * d for d in c)).lower() for c in found}


def known(of) -> set[str]:
    """Colours among some values, however they are nested."""
    if isinstance(of, str):
        return colours(of)
    parts = of.values() if isinstance(of, dict) else of if isinstance(of, list | tuple) else ()
    return set().union(*map(known, parts)) if parts else set()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_colours_are_those_of_the_style(file):
    palettes = known([getattr(style, name) for name in style.__all__]) | {"#000000", "#ffffff"}
    assert file.name == "style.py" or sorted(colours(file.read_text("utf-8")) - palettes) == []


@pytest.mark.parametrize("sheet", ["lddm_lite/widgets/static/style.css", "notebooks/decks/deck.css"])
def test_themes_are_the_same_everywhere(sheet):
    text = (ROOT / sheet).read_text("utf-8")
    blocks = re.findall(r"^:(?:host|root)(\S*?) \{(.*?)\}", text, flags=re.M | re.S)
    found = {"dark" if "dark" in of else "light": dict(re.findall(r"--([\w-]+): (#\w+)", b)) for of, b in blocks[1::-1]}
    assert set(found) == set(style.THEMES)
    for theme, names in found.items():
        assert len(names) >= 7
        assert {k: style.THEMES[theme][NAMES.get(k, k)] for k in names} == names


def test_palettes_in_the_page_are_those_of_the_style():
    text = (ROOT / "lddm_lite" / "widgets" / "static" / "colours.js").read_text("utf-8")
    for name in ("REVEAL", "CYCLE", "GROUPS"):
        assert re.findall(r"#\w{6}", re.search(rf"{name} = \[(.*?)\]", text)[1]) == getattr(style, name)
    for theme, ink in style.THEMES.items():
        names = dict(re.findall(r'(\w+): "(#\w+)"', re.search(rf"{theme}: \{{(.*?)\}}", text)[1]))
        bits = style.BIT_COLOURS[0], style.BIT_COLOURS[1] if theme == "light" else style.BRIGHT["1"]
        of = {"maskInk": ink["mask-ink"], "accent": ink["latents"], "bit0": bits[0], "bit1": bits[1]}
        assert {k: of.get(k, ink.get(k)) for k in names} == names

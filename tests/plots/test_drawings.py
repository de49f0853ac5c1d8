"""The drawings: legible in both themes, told in words, and the files on pages are what the code
draws."""

import re
from xml.etree import ElementTree

import matplotlib
import pytest

from lddm_lite.plots.drawings import DRAWINGS, WIDTH, drawing, write
from lddm_lite.plots.style import THEMES
from tests.support import ROOT

from .drawing import contrast, readable

FIGURES = ROOT / "notebooks/figures"
EACH = [(name, theme) for name in DRAWINGS for theme in THEMES]


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_has_the_contrast_of_wcag_on_its_ground(theme):
    c = THEMES[theme]
    for ink in ("ink", "soft", "tokens", "latents"):
        assert contrast(c[ink], c["paper"]) >= 4.5 and contrast(c[ink], c["raised"]) >= 4.5
    assert contrast(c["soft"], c["mask"]) >= 4.5


@pytest.mark.parametrize(("name", "theme"), EACH)
def test_it_can_be_read_where_a_page_is_narrow(name, theme):
    """A page of 400 pixels makes a point of type a pixel; no text is below nine, or over another."""
    figure = DRAWINGS[name](theme)
    assert 400 / (72 * WIDTH) > 0.99 and readable(figure)
    assert figure.get_facecolor()[:3] == matplotlib.colors.to_rgb(THEMES[theme]["paper"])


@pytest.mark.parametrize("name", DRAWINGS)
def test_it_is_told_in_words_also_in_a_notebook(name):
    figure = drawing(name)
    assert 100 < len(figure.alt) < 500 and figure.alt.endswith(".")
    png, told = figure._repr_png_()
    assert png[:4] == b"\x89PNG" and told == {"alt": figure.alt, "width": 560}


def shape(svg: bytes) -> list[str]:
    return [e.tag.split("}")[1] for e in ElementTree.fromstring(svg).iter()]


def test_the_files_are_what_the_code_draws(tmp_path):
    """Byte for byte where matplotlib is the one that drew them, in structure where it is not."""
    made = write(tmp_path)
    assert {p.name for p in made} == {p.name for p in FIGURES.iterdir()}
    for path in made:
        new, old = path.read_bytes(), (FIGURES / path.name).read_bytes()
        assert len(old) < 100_000
        by = re.search(rb"Matplotlib v([\d.]+)", old)
        if by is None or by[1].decode() == matplotlib.__version__:
            assert new == old, f"{path.name}: make drawings"
        assert abs(len(shape(new)) - len(shape(old))) <= 0.1 * len(shape(old))


def test_pages_say_what_the_drawings_show():
    """Every `<picture>` of the README has both themes and the drawing's own words."""
    page = (ROOT / "README.md").read_text("utf-8")
    shown = re.findall(
        r'srcset="notebooks/figures/([a-z-]+)-dark.svg".*?alt="([^"]*)"\s+src="notebooks/figures/([a-z-]+)-light',
        page,
        re.S,
    )
    assert shown
    for name, alt, same in shown:
        assert name == same and " ".join(alt.split()) == drawing(name.replace("-", "_")).alt


def test_drawings_do_not_depend_on_what_was_drawn_before(tmp_path):
    first = [DRAWINGS[n](t).bytes() for n, t in EACH]
    assert first == [DRAWINGS[n](t).bytes() for n, t in EACH]


def test_bad_names():
    with pytest.raises(ValueError, match="name must be 'saw_wave', .*, got 'wave'"):
        drawing("wave")
    with pytest.raises(ValueError, match="theme must be 'light' or 'dark', got 'sepia'"):
        drawing("two_clocks", "sepia")

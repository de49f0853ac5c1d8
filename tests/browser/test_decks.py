"""The lecture decks as a lecturer has them: from a file, without a network, in Chromium. No page asks
for anything, says an error, or runs over its edge; widgets react; light and dark, the speaker's view,
print."""

from __future__ import annotations

import re

import pytest

from tests.support.notebooks import deck_tools, make_decks

NAMES = [p.stem for p in make_decks.sources()]
SCREEN = (1920, 1080)
# What stands in the page now: what runs over it, pictures without a text or room, numbers of
# formulas that lie on them.
FAULTS = """() => {
    const page = Reveal.getCurrentSlide(), edge = page.getBoundingClientRect(), found = [];
    const shown = (e) => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 && r; };
    for (const e of page.querySelectorAll("h1, h2, p, li, table, pre, figure, img, iframe, blockquote")) {
        const r = !e.closest("aside") && shown(e);
        const over = r && (r.left < edge.left || r.right > edge.right || r.bottom > edge.bottom - 10);
        if (over) found.push(`over: ${e.tagName}`);
        if (r && e.matches("pre, p, td") && e.scrollWidth > e.clientWidth + 1) found.push(`cut: ${e.textContent}`);
        if (r && e.matches("img, iframe") && r.height < 300) found.push(`small: ${r.height}`);
        if (e.matches("img") && !e.alt || e.matches("iframe") && !e.title) found.push("no text");
    }
    for (const tag of page.querySelectorAll(".katex-display .tag")) {
        const r = shown(tag);
        for (const e of tag.parentElement.querySelectorAll(".base")) {
            if (r && !tag.contains(e) && shown(e) && shown(e).right > r.left) found.push("on its number");
        }
    }
    return found;
}"""


@pytest.fixture(scope="session")
def decks(tmp_path_factory):
    """The three decks, built: name -> path."""
    deck_tools()
    folder = tmp_path_factory.mktemp("decks")
    make_decks.main(["--out", str(folder)])
    return {name: folder / f"{name}.html" for name in NAMES}


def opened(offline, path, **look):
    watched = offline(path, viewport=SCREEN, **look)
    watched.page.wait_for_function("window.Reveal && Reveal.isReady()")
    return watched


def at(page, heading: str):
    """The page with this heading, and its widget, once it has begun."""
    number = page.evaluate(
        "h => Reveal.getSlides().findIndex((s) => s.querySelector('h1, h2').textContent === h)", heading
    )
    assert number >= 0
    page.evaluate("k => Reveal.slide(k)", number)
    frame = page.frame_locator("section.present iframe")
    frame.locator(".lddm-host[data-ready]").wait_for()
    return frame


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_all_pages_offline(decks, offline, name, scheme):
    watched = opened(offline, decks[name], color_scheme=scheme)
    page, faults = watched.page, {}
    pages = page.evaluate("Reveal.getTotalSlides()")
    assert 25 <= pages <= 35
    for k in range(pages):
        page.evaluate("k => Reveal.slide(k, 0, 99)", k)  # with all its answers
        if page.locator("section.present iframe").count():
            page.frame_locator("section.present iframe").locator(".lddm-host[data-ready]").wait_for()
        if found := page.evaluate(FAULTS):
            faults[k + 1] = found
    assert not faults
    assert not watched.errors and not watched.off_machine


def test_keys_answers_and_both_themes(decks, offline):
    watched = opened(offline, decks["1-why-few-steps-fail"])
    page = watched.page
    page.keyboard.press("ArrowRight")
    frame = at(page, "Two models, five network calls each, 128 bits")
    ink = "() => getComputedStyle(document.querySelector('section.present h2')).color"
    light = page.evaluate(ink)
    page.keyboard.press("d")
    watched.until(lambda: page.evaluate(ink) != light, "another ink")
    watched.until(lambda: frame.locator(".lddm-host").get_attribute("data-theme") == "dark", "the widget is dark, too")
    page.evaluate("Reveal.slide(6)")
    answer = page.locator("section.present .fragment")
    assert not answer.is_visible()
    page.keyboard.press("ArrowRight")
    watched.until(answer.is_visible, "the answer")
    assert page.evaluate("Reveal.getIndices().h") == 6
    assert not watched.errors


def test_a_run_is_scrubbed_and_left_by_a_key(decks, offline):
    watched = opened(offline, decks["1-why-few-steps-fail"])
    frame = at(watched.page, "Where it goes wrong")
    slider = frame.locator("input[type=range]").first
    slider.focus()
    before = frame.locator(".tokens").first.inner_text()
    watched.page.keyboard.press("Home")
    watched.page.keyboard.press("ArrowRight")
    watched.until(lambda: "1 / 16" in frame.locator("output").first.inner_text(), "the first step")
    for _ in range(8):
        watched.page.keyboard.press("ArrowRight")
    watched.until(lambda: frame.locator(".tokens").first.inner_text() != before, "other words")
    here = watched.page.evaluate("Reveal.getIndices().h")
    watched.page.keyboard.press("PageDown")
    watched.until(lambda: watched.page.evaluate("Reveal.getIndices().h") == here + 1, "the next page")
    assert not watched.errors


def test_a_lead_is_dragged_and_a_model_samples(decks, offline):
    watched = opened(offline, decks["2-a-channel-for-what-is-shared"])
    frame = at(watched.page, "Drag the lead")
    row = frame.locator("tr", has_text="excess")
    assert "6.47" in row.first.inner_text()
    frame.locator("input[type=range]").first.focus()
    watched.page.keyboard.press("End")
    said = row.first.inner_text
    watched.until(lambda: "0.01" in said() and "1.56" in said(), "the numbers of notebook 02")
    frame = at(watched.page, "Sample here")
    frame.locator("button", has_text="Sample").first.click()
    watched.until(lambda: "in this browser" in frame.locator(".frame").first.inner_text(), "a sample", seconds=60)
    assert not watched.errors and not watched.off_machine


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_that_axe_finds_serious(decks, offline, axe, scheme):
    watched = opened(offline, decks["2-a-channel-for-what-is-shared"], color_scheme=scheme)
    for k in (0, 1, 4, 9, 12, 24, 27):  # a title, an answer, a drawing, tables, a formula, code
        watched.page.evaluate("k => Reveal.slide(k, 0, 99)", k)
        watched.page.wait_for_timeout(400)  # an answer has faded in
        assert not axe(watched, "section.present")
    watched.page.evaluate("document.querySelector('section.present h2').style.color = 'var(--line)'")
    assert [v["id"] for v in axe(watched, "section.present")] == ["color-contrast"]  # it would have seen it


def test_the_speakers_view_has_the_notes(decks, offline):
    watched = opened(offline, decks["the-idea"])
    with watched.context.expect_page() as popup:
        watched.page.keyboard.press("s")
    notes = popup.value.locator(".speaker-controls-notes .value")
    watched.until(lambda: "For people who know nothing" in notes.inner_text(), "the notes")
    watched.page.keyboard.press("ArrowRight")
    watched.until(lambda: "language models that people know" in notes.inner_text(), "the next")
    assert not watched.off_machine


def test_print_has_a_sheet_a_page(decks, chromium):
    pdf = make_decks.print_pdf(decks["1-why-few-steps-fail"], chromium).read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 30

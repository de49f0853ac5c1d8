"""The scrubber in a page of its own, with the network off: what it shows, how it is driven, how fast it is."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lddm_lite import plots
from lddm_lite.widgets import payload

from . import scrubber_runs as runs

SIZES = [(1200, 900), (760, 900), (400, 800)]
FITS = "() => document.documentElement.scrollWidth <= innerWidth"
FOCUSED = """() => { const e = document.querySelector('.lddm-host').shadowRoot.activeElement;
    return e && [e.getAttribute('aria-label') || e.textContent || e.tagName, getComputedStyle(e).outlineStyle]; }"""
WATCH = """frame => { window.steps = [];
    const look = () => window.steps.push(+frame.dataset.step);
    new MutationObserver(look).observe(frame, {attributeFilter: ['data-step']}); }"""
WORK = """slider => { const out = [], tokens = slider.getRootNode().querySelector('.tokens');
    for (let k = 0; k < 160; k++) {
        const start = performance.now();
        slider.value = (k * 7) % 33;
        slider.dispatchEvent(new InputEvent('input', {bubbles: true}));
        tokens.getBoundingClientRect();  // the layout too
        out.push(performance.now() - start);
    }
    return out.slice(10); }"""
STEP = "e => +e.getRootNode().querySelector('.frame').dataset.step"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pages and the traces they show, by name."""
    folder = tmp_path_factory.mktemp("scrubbers")
    out = {}
    for name in ("bits", "words", "hostile"):
        scrubber, trace = getattr(runs, name)()
        out[name] = scrubber.to_html(folder / f"{name}.html"), trace, payload.unpack(scrubber.data)
    return out


def opened(offline, path: Path, **look):
    """The page, once the scrubber is there; the still picture has given way to it."""
    watched = offline(path, **look)
    watched.page.wait_for_selector(".lddm-host[data-ready]")
    assert not watched.page.locator(".lddm-still").is_visible()
    return watched


def shown(page, run: int = 0) -> list[str]:
    return page.locator(".tokens").nth(run).locator("[role=option]").evaluate_all(
        "cells => cells.filter(c => !c.hidden).map(c => c.classList.contains('masked') ? null : c.textContent)"
    )


def expected(trace, sample: int, step: int) -> list:
    row = trace.tokens_at(min(step, trace.steps))[sample]
    return [None if v == trace.mask_id else trace.labels[v] for v in row if v != trace.pad_id]


def hex_of(element) -> str:
    r, g, b = element.evaluate("e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number)")[:3]
    return f"#{r:02x}{g:02x}{b:02x}"


def quiet(watched) -> None:
    assert watched.errors == [] and watched.off_machine == []


@pytest.mark.parametrize("name", ["bits", "words"])
def test_each_step_shows_what_the_trace_holds(offline, made, name):
    path, traces, _ = made[name]
    traces = traces if isinstance(traces, list) else [traces]
    watched = opened(offline, path)
    page, last = watched.page, max(t.steps for t in traces)
    slider = page.get_by_role("slider")
    slider.focus()
    for step in range(last + 1):
        for k, trace in enumerate(traces):
            assert shown(page, k) == expected(trace, 0, step)
            s = min(step, trace.steps)
            line = page.locator(".line").nth(k).inner_text()
            assert line.startswith(f"NFE {s} of {trace.nfe}") and f"{expected(trace, 0, s).count(None)} masked" in line
            assert f"{trace.knots[s][0]:.2f}" in line
        assert page.locator(".where").inner_text() == f"NFE {step} / {last}"
        assert slider.get_attribute("aria-valuetext").startswith(f"step {step} of {last}")
        slider.press("ArrowRight")
    page.get_by_role("spinbutton", name="sample").fill("2")
    for k, trace in enumerate(traces):
        assert shown(page, k) == expected(trace, 2, last)
    quiet(watched)


def test_keys_from_anywhere(offline, made):
    watched = opened(offline, made["bits"][0])
    page = watched.page
    at = lambda: int(page.locator(".frame").get_attribute("data-step"))  # noqa: E731
    slider = page.get_by_role("slider")
    for key, to in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 6), ("ArrowRight", 6), ("Home", 0)):
        slider.press(key)
        assert at() == to, key
    loop = page.get_by_role("button", name="Loop")
    for key, to in (("ArrowRight", 1), ("End", 6), ("ArrowLeft", 5), ("Home", 0)):
        loop.press(key)
        assert at() == to, key
    # every control is reached by Tab, and shows that it has the focus
    page.locator("body").click(position={"x": 1, "y": 1})
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found:
            seen.append(found[0])
            assert found[1] == "solid", f"{found[0]} shows no focus"
    assert len(set(seen)) >= 10 and any("tokens of sample 0" in s for s in seen)


def test_a_position_tells_what_was_known_when_it_was_drawn(offline, made):
    path, trace, _ = made["words"]
    watched = opened(offline, path)
    page = watched.page
    tokens, detail = page.get_by_role("listbox"), page.locator(".detail")
    tokens.focus()
    assert f"masked until step {trace.reveal_step[0, 0]}" in detail.inner_text()
    page.get_by_role("slider").press("End")
    tokens.focus()
    for position in range(3):
        words = [trace.labels[v] for v in trace.alternatives[0, position]]
        text = detail.inner_text()
        assert f"Position {position}: {trace.labels[trace.tokens[0, position]]} revealed at step" in text
        said = float(re.search(r"with probability (\d\.\d{3})\.", text)[1])
        assert said == pytest.approx(trace.confidence[0, position], abs=6e-4)
        assert page.locator(".alt-word").all_inner_texts() == words and len(words) == 5
        chosen = tokens.get_attribute("aria-activedescendant")
        assert page.locator(f"#{chosen}").get_attribute("aria-selected") == "true"
        tokens.press("ArrowRight")
    page.locator("[role=option]").nth(6).hover()
    assert detail.inner_text().startswith("Position 6:")
    quiet(watched)


def test_colours_positions_and_numbers(offline, made):
    path, (trace, _), sent = made["bits"]
    watched = opened(offline, path)
    page = watched.page
    code = page.evaluate("() => document.querySelector('script').textContent")
    assert code.count(str(plots.REVEAL)[1:-1].replace("'", '"')) == 1, "one scale for page and print"
    page.get_by_role("slider").press("End")
    cells = page.locator(".tokens").first.locator("[role=option]")
    fresh = cells.evaluate_all("cells => cells.filter(c => c.classList.contains('fresh')).length")
    assert fresh == (trace.reveal_step[0] == 6).sum(), "outlined is what the last step revealed"
    for step in (5, 6):  # evenly spread over the scale: step 1 the first colour, the last step the last
        j = int(np.flatnonzero(trace.reveal_step[0] == step)[0])
        at = (step - 1) / 5 * 10
        a, b = (np.array(to_rgb(plots.REVEAL[min(10, k)])) for k in (int(at), int(at) + 1))
        assert np.allclose(to_rgb(hex_of(cells.nth(j))), a + (at % 1) * (b - a), atol=1 / 255)
    page.get_by_role("button", name="unmasking order").click()
    assert shown(page) == [str(v) for v in trace.reveal_step[0]]
    page.get_by_role("button", name="unmasking order").click()
    # the dot on the path stands at the noise times of the step, the one in the plane where the latent is
    for step in (0, 3, 6):
        page.get_by_role("slider").fill(str(step))
        dot = page.locator("circle.now")
        tx, tz = trace.knots[step]
        assert float(dot.get_attribute("cx")) == pytest.approx(26 + 96 * tx)
        assert float(dot.get_attribute("cy")) == pytest.approx(106 - 96 * tz)
        x, y = sent["plane0"][step, 0]
        assert f"sample 0 at {x:.2f}, {y:.2f}" in page.locator(".plane canvas").get_attribute("aria-label")
        assert np.allclose(trace.latents[step, 0, 0], [x, y])
    # the picture of all samples, pixel by pixel: at the start all masked, at the end the bits, sorted
    pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    raster = page.locator(".raster canvas").first
    image = np.array(raster.evaluate(pixels)).reshape(*raster.evaluate("c => [c.height, c.width, 4]"))
    n, length = trace.tokens.shape
    rows = ((np.arange(n) + 0.5) * image.shape[0] / n).astype(int)
    columns = (14 + (np.arange(length) + 0.5) * (image.shape[1] - 28) / length).astype(int)
    dark = image[rows][:, columns, :3].sum(-1) < 300
    assert np.array_equal(dark, trace.tokens[sent["order0"]] == 1)


def test_codes_fill_in(offline, made):
    path, trace, sent = made["words"]
    page = opened(offline, path).page
    slider, cells = page.get_by_role("slider"), page.locator(".code")
    slider.focus()
    for step in range(trace.steps + 1):
        mask = sent["head"]["runs"][0]["codeMask"]
        want = ["···" if v == mask else str(v) for v in trace.latents[step, 0]]
        assert cells.all_inner_texts() == want
        slider.press("ArrowRight")
    same = int((trace.latents[-1, 0] == sent["goal0"][0]).sum())
    assert f"3 of 3 filled; {same} as the encoder would" in page.locator(".codes").inner_text()


def test_play_pause_loop_and_speed(offline, made):
    watched = opened(offline, made["bits"][0])
    page = watched.page
    frame = page.locator(".frame")
    page.get_by_role("combobox", name="speed").select_option("30")
    page.get_by_role("button", name="Play").click()
    watched.until(lambda: frame.get_attribute("data-step") == "6", "played to the end")
    page.get_by_role("button", name="Play").wait_for()  # it stopped by itself
    page.get_by_role("button", name="Loop").click()
    page.get_by_role("button", name="Play").click()
    page.locator(".frame").evaluate(WATCH)
    watched.until(lambda: page.evaluate("() => window.steps.length > 20"), "looping")
    page.get_by_role("button", name="Pause").click()
    steps = page.evaluate("() => window.steps")
    assert all(b == (a + 1) % 7 for a, b in zip(steps, steps[1:], strict=False)), steps
    stopped = page.evaluate("() => window.steps.length")
    page.wait_for_timeout(200)  # at 30 steps a second six would have passed
    assert page.evaluate("() => window.steps.length") == stopped
    quiet(watched)


def test_less_motion_where_it_is_asked_for(offline, made):
    calm = opened(offline, made["bits"][0], reduced_motion="reduce").page
    assert calm.get_by_role("combobox", name="speed").input_value() == "2"
    assert opened(offline, made["bits"][0]).page.get_by_role("combobox", name="speed").input_value() == "4"


def test_hostile_text_is_text(offline, made):
    path, trace, _ = made["hostile"]
    watched = opened(offline, path)
    page = watched.page
    page.get_by_role("slider").press("End")
    assert shown(page) == runs.HOSTILE
    assert page.locator("h3").inner_text().startswith("<script>document.title")
    assert page.title() == "</title><script>document.title='owned'</script>"
    page.locator("[role=option]").nth(3).hover()
    assert page.locator("img:visible, b >> visible=true").count() == 1, "only our own bold word"
    assert page.evaluate(FITS), "10,000 letters do not widen the page"
    quiet(watched)


def test_save_a_picture_and_a_page(offline, made, tmp_path):
    watched = opened(offline, made["bits"][0])
    page = watched.page
    page.get_by_role("slider").press("End")
    with page.expect_download() as saved:
        page.get_by_role("button", name="save this frame as PNG").click()
    saved.value.save_as(tmp_path / "frame.png")
    from PIL import Image

    picture = np.asarray(Image.open(tmp_path / "frame.png").convert("RGB"))
    box = page.locator(".panels").bounding_box()
    assert picture.shape[1] == pytest.approx(2 * (box["width"] + 28), abs=3)
    colours = {tuple(c) for c in picture.reshape(-1, 3)[::7]}
    assert (0x12, 0x35, 0x5B) in colours and len(colours) > 50, "the picture of all samples and texts are in it"
    with page.expect_download() as saved:
        page.get_by_role("button", name="save as one HTML page").click()
    saved.value.save_as(tmp_path / "copy.html")
    copy = opened(offline, tmp_path / "copy.html")
    assert copy.page.locator(".frame").get_attribute("data-step") == "6", "it opens where it was saved"
    assert shown(copy.page) == shown(page)
    quiet(copy), quiet(watched)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["bits", "words", "hostile"])
def test_accessible_at_every_size(offline, axe, made, name, scheme):
    watched = opened(offline, made[name][0], color_scheme=scheme)
    page = watched.page
    assert page.locator(".lddm-host").get_attribute("data-theme") == scheme
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.get_by_role("slider").fill("1")
        page.locator("[role=option]").nth(2).hover()
        watched.shot(f"scrubber-{name}-{scheme}-{width}")
        assert page.evaluate(FITS), f"wider than {width}"
        labels = page.locator("button, label, h3, figcaption, .line, .legend span")
        clipped = labels.evaluate_all("found => found.filter(e => e.scrollWidth > e.clientWidth + 1).length")
        assert clipped == 0
        if width in (1200, 400):
            assert axe(page, ".lddm-host") == []


def test_fast_enough_to_scrub(offline, tmp_path):
    """64 samples x 128 tokens x 32 steps, four views. The work of a step, its layout included, is timed by itself: what
    the screen shows comes at best every 16.7 ms, so that from event to paint two frames is usual."""
    watched = opened(offline, runs.large().to_html(tmp_path / "large.html"))
    assert watched.page.locator(".views figure").count() == 3, "besides the tokens: samples, plane, path"
    work = watched.page.get_by_role("slider").evaluate(WORK)
    watched.page.get_by_role("slider").fill("0")
    painted = watched.times("input[type=range]", "input", n=30, shown=STEP)
    work.sort()
    middle, slow, seen = statistics.median(work), work[int(0.95 * len(work))], statistics.median(painted)
    print(f"a scrub step: median {middle:.1f} ms, 95 % within {slow:.1f} ms; from event to paint {seen:.1f} ms")
    assert middle <= 16 and slow <= 33 and seen <= 50
    quiet(watched)

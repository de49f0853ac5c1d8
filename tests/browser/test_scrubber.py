"""The scrubber in a page of its own, with the network off: what it shows at each step, and keys."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lddm_lite import plots

from .reading import expected, hex_of, opened, quiet, shown

FOCUSED = """() => { const e = document.querySelector('.lddm-host').shadowRoot.activeElement;
    return e && [e.getAttribute('aria-label') || e.textContent || e.tagName, getComputedStyle(e).outlineStyle]; }"""


@pytest.mark.parametrize("name", ["bits", "words"])
def test_each_step_shows_what_the_trace_holds(offline, scrubbers, name):
    path, traces, _ = scrubbers[name]
    traces = traces if isinstance(traces, list) else [traces]
    watched = opened(offline, path)
    page, last = watched.page, max(t.steps for t in traces)
    slider = page.get_by_role("slider")
    assert page.locator(".frame").get_attribute("data-step") == str(last), "it opens where there is something to see"
    slider.press("Home")
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


def test_keys_from_anywhere(offline, scrubbers):
    watched = opened(offline, scrubbers["bits"][0])
    page = watched.page
    at = lambda: int(page.locator(".frame").get_attribute("data-step"))  # noqa: E731
    slider = page.get_by_role("slider")
    slider.press("Home")
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


def test_a_position_tells_what_was_known_when_it_was_drawn(offline, scrubbers):
    path, trace, _ = scrubbers["words"]
    watched = opened(offline, path)
    page = watched.page
    tokens, detail = page.get_by_role("listbox"), page.locator(".detail")
    page.get_by_role("slider").press("Home")
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


def test_colours_positions_and_numbers(offline, scrubbers):
    path, (trace, _), sent = scrubbers["bits"]
    watched = opened(offline, path)
    page = watched.page
    code = page.evaluate("() => document.querySelector('script').textContent")
    assert code.count(str(plots.REVEAL)[1:-1].replace("'", '"')) == 1, "one scale for page and print"
    page.get_by_role("slider").press("End")
    cells = page.locator(".tokens").first.locator("[role=option]")
    fresh = cells.evaluate_all("cells => cells.filter(c => c.classList.contains('fresh')).length")
    assert fresh == (trace.reveal_step[0] == 6).sum(), "outlined is what the last step revealed"
    # evenly spread over the scale: step 1 the first colour, the last step the last
    for step in (5, 6):
        j = int(np.flatnonzero(trace.reveal_step[0] == step)[0])
        at = (step - 1) / 5 * 10
        a, b = (np.array(to_rgb(plots.REVEAL[min(10, k)])) for k in (int(at), int(at) + 1))
        assert np.allclose(to_rgb(hex_of(cells.nth(j))), a + (at % 1) * (b - a), atol=1 / 255)
    page.get_by_role("button", name="unmasking order").click()
    assert shown(page) == [str(v) for v in trace.reveal_step[0]]
    page.get_by_role("button", name="unmasking order").click()
    # the dot on the path stands at the noise times of the step, the one in the plane where the
    # latent is
    for step in (0, 3, 6):
        page.get_by_role("slider").fill(str(step))
        dot = page.locator("circle.now")
        tx, tz = trace.knots[step]
        assert float(dot.get_attribute("cx")) == pytest.approx(26 + 96 * tx)
        assert float(dot.get_attribute("cy")) == pytest.approx(106 - 96 * tz)
        x, y = sent["plane0"][step, 0]
        assert f"sample 0 at {x:.2f}, {y:.2f}" in page.locator(".plane canvas").get_attribute("aria-label")
        assert np.allclose(trace.latents[step, 0, 0], [x, y])
    # the picture of all samples, pixel by pixel: at the start all masked, at the end the bits,
    # sorted
    pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    raster = page.locator(".raster canvas").first
    image = np.array(raster.evaluate(pixels)).reshape(*raster.evaluate("c => [c.height, c.width, 4]"))
    n, length = trace.tokens.shape
    rows = ((np.arange(n) + 0.5) * image.shape[0] / n).astype(int)
    columns = (14 + (np.arange(length) + 0.5) * (image.shape[1] - 28) / length).astype(int)
    dark = image[rows][:, columns, :3].sum(-1) < 300
    assert np.array_equal(dark, trace.tokens[sent["order0"]] == 1)


def test_codes_fill_in(offline, scrubbers):
    path, trace, sent = scrubbers["words"]
    page = opened(offline, path).page
    slider, cells = page.get_by_role("slider"), page.locator(".code")
    slider.press("Home")
    for step in range(trace.steps + 1):
        mask = sent["head"]["runs"][0]["codeMask"]
        want = ["···" if v == mask else str(v) for v in trace.latents[step, 0]]
        assert cells.all_inner_texts() == want
        slider.press("ArrowRight")
    same = int((trace.latents[-1, 0] == sent["goal0"][0]).sum())
    assert f"3 of 3 filled; {same} as the encoder would" in page.locator(".codes").inner_text()

"""The path explorer in a page of its own, with the network off: the same numbers as Python, by
mouse and by keys."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from lddm_lite.diffusion.paths import Path
from lddm_lite.diffusion.rate_grid import RateGrid
from lddm_lite.widgets.path_explorer import PathExplorer, stored_grids

from .reading import calm, opened, quiet

SIZES = [(1200, 900), (760, 900), (400, 800)]
LOOK = "canvas.px-square"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return PathExplorer().to_html(tmp_path_factory.mktemp("paths") / "paths.html")


def put(page, **state):
    page.locator(".lddm-host").evaluate("(e, s) => Object.entries(s).forEach(([k, v]) => e.widget.set(k, v))", state)


def shown(page) -> dict[str, float]:
    """Numbers of the frame, in full precision."""
    data = page.locator(".frame").evaluate("e => ({...e.dataset})")
    return {k: float(v) for k, v in data.items()}


def cells(page) -> list[list[str]]:
    rows = page.locator(".px-numbers tbody tr")
    return rows.evaluate_all("rows => rows.map(r => [...r.cells].map(c => c.textContent))")


def test_the_browser_computes_what_python_does(offline, file):
    watched = opened(offline, file)
    page = watched.page
    for which, grid in enumerate(stored_grids()):
        for lead in (0.0, 0.07, 0.2, 0.25, 0.33, 0.5):
            for token_steps, latent_steps in ((1, 1), (1, 16), (3, 7), (8, 8), (128, 100)):
                put(page, which=which, lead=lead, token_steps=token_steps, latent_steps=latent_steps)
                cost, seen = grid.bound(Path(lead), token_steps, latent_steps), shown(page)
                assert (seen["lead"], seen["nfe"]) == (lead, cost.nfe)
                # what is sent is float32
                assert seen["bound"] == pytest.approx(cost.total - cost.excess, abs=2e-5)
                assert seen["excess"] == pytest.approx(cost.excess, abs=2e-5)
        table = cells(page)
        assert f"{cost.nfe} network calls" in table[1][0]
        assert [float(v.split(" ±")[0]) for v in table[1][1:]] == [
            pytest.approx(v, abs=0.0051) for v in (cost.tokens, cost.latents + cost.prior, cost.total)
        ]
        assert table[0][3].endswith(f"± {grid.bound_se:.2f}")
    quiet(watched)


def test_discrete_latents_and_hostile_titles(offline, tmp_path):
    """A potential with rho_x = 3 + t_z, rho_z = 2 + t_x: steps and lines by hand."""
    t_x, t_z = 1 - (1 - np.linspace(0, 1, 9)) ** 2, np.linspace(0, 1, 9)
    grid = RateGrid("<b>bold</b>", np.tile(3 + t_z, (9, 1)), np.tile(2 + t_x[:, None], (1, 9)))
    watched = opened(offline, PathExplorer(grid, lead=0.5, token_steps=2, latent_steps=2).to_html(tmp_path / "x.html"))
    assert shown(watched.page) == pytest.approx({"lead": 0.5, "nfe": 4, "bound": 6, "excess": 0}, abs=1e-5)
    put(watched.page, lead=0.0)
    assert shown(watched.page) == pytest.approx({"lead": 0, "nfe": 2, "bound": 6, "excess": 0.5}, abs=1e-5)
    assert watched.page.locator("b", has_text="bold").count() == 0
    assert "<b>bold</b>" in watched.page.locator("h3").inner_text()
    quiet(watched)


def test_by_keyboard(offline, file):
    watched = opened(offline, file)
    page = watched.page
    lead = page.get_by_role("slider", name="lead")
    lead.press("ArrowRight")
    assert shown(page)["lead"] == 0.26 and lead.get_attribute("aria-valuetext") == "0.26"
    lead.press("Home")
    assert lead.get_attribute("aria-valuetext") == "0.00, joint"
    assert page.get_by_role("button", name="joint").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="sequential").press("Enter")
    assert shown(page)["lead"] == 0.5
    page.get_by_role("spinbutton", name="token steps").fill("7")
    assert shown(page)["nfe"] == 23
    page.get_by_role("slider", name="token steps").press("ArrowRight")
    assert page.get_by_role("spinbutton", name="token steps").input_value() == "8"
    page.get_by_role("slider", name="latent steps").press("End")
    assert shown(page)["nfe"] == 136
    page.get_by_role("combobox", name="task").select_option(label="Binsaw, 128 bits")
    assert shown(page)["bound"] > 60
    page.get_by_role("spinbutton", name="token steps").fill("999")
    page.get_by_role("spinbutton", name="token steps").press("Tab")
    assert page.get_by_role("spinbutton", name="token steps").input_value() == "128"
    live = page.locator(".live")
    watched.until(lambda: "256 network calls" in live.text_content(), "the live text")
    # the square tells its values to keys
    square = page.locator(LOOK)
    square.focus()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight"):
        square.press(key)
    rho_x, rho_z = stored_grids()[1].rho(0.62, 0.48)
    read = page.locator(".px-read").inner_text()
    assert "= 0.62" in read and "= 0.48" in read and f"= {rho_x[0]:.4g} ±" in read and f"= {rho_z[0]:.4g} ±" in read
    assert "0.62" in live.text_content()
    square.press("Escape")
    assert "Drag in the square" in page.locator(".px-read").inner_text()
    quiet(watched)


def test_by_mouse(offline, file):
    watched = opened(offline, file)
    page = watched.page
    box = page.locator(LOOK).bounding_box()
    at = lambda t_x, t_z: (box["x"] + 52 + t_x * (box["width"] - 114), box["y"] + 8 + (1 - t_z) * (box["width"] - 114))  # noqa: E731
    page.mouse.move(*at(0.6, 0.6))
    assert "= 0.60" in page.locator(".px-read").inner_text()
    page.mouse.down()
    assert shown(page)["lead"] == 0
    page.mouse.move(*at(0.9, 0.4))  # gap 1/2: lead 1/3
    assert shown(page)["lead"] == 0.33
    page.mouse.move(*at(1.0, 0.0))
    page.mouse.up()
    assert shown(page)["lead"] == 0.5
    page.mouse.move(*at(0.5, 0.5))
    assert shown(page)["lead"] == 0.5, "let go"
    chart = page.locator("canvas.px-lead").bounding_box()
    page.mouse.click(chart["x"] + 46 + 0.5 * (chart["width"] - 62), chart["y"] + 60)
    assert shown(page)["lead"] == 0.25
    quiet(watched)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_and_axe_finds_nothing(offline, file, axe, size, scheme):
    watched = opened(offline, file, viewport=size, color_scheme=scheme)
    page = watched.page
    put(page, token_steps=1, latent_steps=1)  # the widest numbers
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    over = page.locator(".frame").evaluate("""frame => {
        const right = frame.getBoundingClientRect().right;
        const out = (e) => e.getBoundingClientRect().right > right + 0.5 && !e.matches(".live");
        return [...frame.querySelectorAll("*")].filter(out).map(e => e.outerHTML.slice(0, 80));
    }""")
    assert over == []
    assert axe(page) == []
    quiet(watched)


def test_every_event_is_drawn_within_a_frame(offline, file):
    """Time in our own handlers, for the heaviest budget."""
    watched = opened(offline, file)
    put(watched.page, token_steps=127, latent_steps=128, lead=0.1)
    work = """box => {
        const times = {}, inputs = [...box.querySelectorAll("input")];
        const go = (name, input, values) => (times[name] = values.map((v) => {
            input.value = v;
            const start = performance.now();
            input.dispatchEvent(new InputEvent("input", {bubbles: true}));
            return performance.now() - start;
        }));
        go("lead", inputs[0], Array.from({length: 41}, (_, k) => k / 100));
        go("steps", inputs[1], Array.from({length: 21}, (_, k) => 128 - k));
        return times;
    }"""

    def measure():
        return {k: statistics.median(v) for k, v in watched.page.locator(".px-controls").evaluate(work).items()}

    spent = calm(measure, lambda found: max(found.values()) < 16)
    assert max(spent.values()) < 16, spent

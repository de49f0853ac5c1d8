"""The latent explorer and infilling, as a person has them before them: offline, and with a kernel
in JupyterLab."""

from __future__ import annotations

import numpy as np
import pytest

from lddm_lite.widgets.payload import unpack
from tests.support.latent_explorers import HOSTILE, hostile, shifts

from .reading import FITS
from .test_scrubber_lab import HOSTS, IMPORTS

MAKE = """import lddm_lite as ld
task = ld.tasks.Binsaw(length=16)
model = ld.LatentDiffusion.exact(task, "shift")
x = task.sample(40, seed=0)
"""


@pytest.fixture(scope="module")
def saw():
    return shifts()


def test_a_page_without_a_kernel_walks_between_ringed_points(saw, offline, tmp_path):
    p = unpack(saw.data)
    saw.picked = saw.anchors[:2]
    watched = offline(saw.to_html(tmp_path / "saw.html"))
    page = watched.page
    page.wait_for_selector("[data-ready]")
    assert page.locator(".rows li").count() == 5 and page.locator(".message").is_hidden()
    page.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").inner_text() == "2 of 5" and page.locator("li[aria-current]").count() == 1
    first = page.locator(".rows li").nth(1).inner_text().split()
    changed = int((p["walk_tokens"][1] != p["walk_tokens"][0]).sum())
    assert first == ["2", *([str(changed), "new"] if changed else ["same"])]
    # the keyboard alone: to two ringed points, and pick them
    page.locator(".map").focus()
    for key in ("r", "r", "r", "Enter", "r", "Enter"):
        page.keyboard.press(key)
    ends = [page.locator(".end").nth(k).inner_text() for k in (0, 1)]
    assert [f"Sequence {saw.anchors[k]} " in ends[i] for i, k in enumerate((2, 3))] == [True, True]
    assert page.locator(".rows li").count() == 5 and page.locator(".message").is_hidden()
    assert f"to Sequence {saw.anchors[3]} " in page.locator(".live").inner_text()
    # an arrow key moves to the nearest point within 45 degrees of its direction, and says which
    at = saw.anchors[3]
    for key, way in dict(ArrowUp=(0, 1), ArrowLeft=(-1, 0), ArrowDown=(0, -1), ArrowRight=(1, 0)).items():
        off = p["coords"].astype(float) - p["coords"][at]
        along, aside = off @ way, np.abs(off @ way[::-1])
        distance = np.where((along > 1e-6) & (aside <= along), (off**2).sum(1), np.inf)
        at = int(distance.argmin()) if np.isfinite(distance).any() else at
        page.keyboard.press(key)
        assert f"Sequence {at} " in page.locator(".readout").inner_text(), key
        assert page.locator(".live").inner_text().endswith("".join(map(str, p["tokens"][at]))) or at == saw.anchors[3]
    # a point that is not ringed
    box = page.locator(".map").bounding_box()
    plain = next(i for i in range(40) if np.abs(p["coords"][saw.anchors] - p["coords"][i]).sum(1).min() > 0.15)
    side, reach = box["width"] - 2, max(2**0.5, np.abs(p["coords"]).max())
    at = [box["x"] + 1 + side / 2 + p["coords"][plain][0] * (side / 2 - 22) / reach,
          box["y"] + 1 + side / 2 - p["coords"][plain][1] * (side / 2 - 22) / reach]
    page.mouse.move(*map(float, at))
    assert f"Sequence {plain} " in page.locator(".readout").inner_text()
    page.mouse.click(*map(float, at))
    page.locator(".map").focus()
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    assert "needs a running kernel" in page.locator(".message").inner_text()
    assert page.locator(".rows").is_hidden() and page.get_by_role("button", name="Play").is_disabled()
    page.get_by_role("button", name="Next stored walk").click()
    assert page.locator(".rows li").count() == 5 and page.locator(".message").is_hidden()
    assert watched.errors == [] and watched.off_machine == []


def test_hostile_text_is_shown_as_text(offline, tmp_path):
    watched = offline(hostile().to_html(tmp_path / "hostile.html"))
    page = watched.page
    page.wait_for_selector("[data-ready]")
    assert page.locator("h3").inner_text() == HOSTILE[0]
    assert page.locator("img:visible").count() == 0 and page.locator("b").count() == 0
    assert page.locator(".legend button").all_inner_texts() == sorted(HOSTILE[:3])
    for width in (400, 1100):
        page.set_viewport_size({"width": width, "height": 900})
        watched.until(lambda: page.evaluate(FITS), f"it fits {width} pixels", 10)
    page.locator(".map").focus()
    page.keyboard.press("r")
    assert page.locator(".readout .words span").count() == 5
    assert watched.errors == [] and watched.off_machine == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_at_every_size(saw, offline, axe, tmp_path, scheme):
    watched = offline(saw.to_html(tmp_path / "saw.html"), color_scheme=scheme)
    page = watched.page
    page.wait_for_selector("[data-ready]")
    for width in (1200, 760, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.locator(".map").focus()
        page.keyboard.press("r")
        watched.until(lambda: page.evaluate(FITS), f"it fits {width} pixels", 10)
        watched.shot(f"latents-{scheme}-{width}")
        if width != 760:
            assert axe(page, ".lddm-host") == []
    assert watched.errors == [] and watched.off_machine == []


def test_the_kernel_walks_between_any_two(notebook):
    nb = notebook([IMPORTS, MAKE, "e = ld.widgets.LatentExplorer(model, x, walk_steps=5)\ne"], name="latents")
    page = nb.page
    host = page.locator(HOSTS)
    nb.until(lambda: host.count() == 1, "shown")
    host.locator(".map").focus()
    for key in ("Escape", "Shift+ArrowRight", "Shift+ArrowUp", "Enter", "Shift+ArrowLeft", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    nb.until(lambda: host.locator(".rows li:visible").count() >= 2, "the kernel has walked")
    assert host.locator(".message").is_hidden()
    assert nb.errors == []


def test_infilling_leaves_the_page_and_the_kernel_free(notebook, axe):
    """A long run in its thread: another cell answers meanwhile, Stop ends it, and a short one opens
    in a scrubber."""
    make = """model = ld.LatentDiffusion.exact(ld.tasks.Binsaw(), "shift")
w = ld.widgets.Infill({"exact": model}, "0101" + "?" * 120 + "0101", token_steps=1000, n=64)
w"""
    nb = notebook([IMPORTS, MAKE, make], name="infill")
    page, panel = nb.page, nb.page.locator(".jp-NotebookPanel:visible")
    panel.get_by_role("button", name="Run", exact=True).click()
    share = "() => document.querySelector('progress:not([hidden])')?.value"
    nb.until(lambda: (page.evaluate(share) or 0) > 0, "it says how far it is")
    assert nb.page.evaluate(
        """async () => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const start = performance.now();
            await kernel.requestExecute({code: "1 + 1"}).done;
            return performance.now() - start; }"""
    ) < 15_000, "the kernel answers while it samples"
    panel.get_by_role("button", name="Stop", exact=True).click()
    panel.get_by_role("status").get_by_text("Stopped after").wait_for()
    panel.get_by_label("token steps").fill("3")
    panel.get_by_label("token steps").press("Enter")
    panel.get_by_role("button", name="Run", exact=True).click()
    nb.until(lambda: page.locator(HOSTS).count() == 1, "the result opens in a scrubber")
    scrubber = page.locator(HOSTS)
    shown = scrubber.get_by_role("listbox").get_by_role("option")
    nb.until(lambda: "masked" not in shown.evaluate_all("c => c.map(e => e.className).join()"), "at its end")
    text = shown.all_inner_texts()
    assert text[:4] == list("0101") and text[-4:] == list("0101"), "what was given stays"
    assert shown.nth(0).get_attribute("class") == "given"
    # a mistake is explained, and the last result stays
    panel.get_by_label("Text with gaps").fill("01x?")
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_role("status").get_by_text("Unknown symbol: “x”").wait_for()
    assert page.locator(HOSTS).count() == 1
    nb.shot("infill")
    assert axe(page, ".jp-OutputArea-output .widget-vbox") == []
    assert nb.errors == []

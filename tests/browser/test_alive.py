"""Widgets whose models live in the page, opened from disk with the network off: runs that go on, gaps
that are filled, walks that are decoded, points that are drawn again, and what the latent knows."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lddm_lite import LatentDiffusion, load, tasks
from lddm_lite.evaluation.measure_frontier import limits, measure
from lddm_lite.plots.latent_map import LatentMap
from lddm_lite.widgets import FrontierExplorer, LatentDiagnosis, LatentExplorer, Scrubber

from .reading import FITS, opened, quiet, shown
from .test_scrubber_lab import IMPORTS

SAW, NEWS = tasks.Binsaw(length=16), tasks.ToyNewswire()
INSIDE = "document.querySelector('.lddm-host').shadowRoot"
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alive")
    words, saw = load("newswire-di-seq"), LatentDiffusion.preset("co-seq", SAW, width=16, dim=5)
    trace = words.sample(6, token_steps=3, latent_steps=1, seed=0)
    bare = Scrubber(trace, model=words, names=["no weights"])
    x = NEWS.sample(80, seed=1)
    flat = LatentMap.fit(words.encode(x), codebook=words.encoder.codebook, method="pca")
    models = {"saw": LatentDiffusion.preset("mdlm", SAW, width=16), "co": saw}
    about = {"data": repr(SAW), "systems": {"saw": "mdlm", "co": "co-seq"}, **limits(SAW, (2, 4), 32)}
    about["rows"] = measure(models, SAW, (2, 4), (0.7, 1.0), ("ancestral", "even"), n=32)
    found = {"format": "lddm-lite frontier", "command": HOSTILE, "machine": "", "n": 32, "seed": 0, "tasks": [about]}
    made = {
        "words": Scrubber(trace, model=words, weights="int8", names=["di-seq"]),
        "points": Scrubber(saw.sample(4, token_steps=2, latent_steps=4, seed=0), model=saw, weights="float16"),
        "bare": bare,
        "walks": LatentExplorer(words, x, map=flat, weights="int8"),
        "frontier": FrontierExplorer(models, found, title=HOSTILE),
        "knows": LatentDiagnosis(words, NEWS, n=64, examples=3, title=HOSTILE),
    }
    return {name: (w.to_html(folder / f"{name}.html"), w) for name, w in made.items()}


def gone_on(page):
    """Press the button that goes on, and wait for the branch."""
    page.locator(".branch-go:visible").first.click()
    page.wait_for_selector(".lddm-host[data-ready]")
    page.wait_for_function(f"() => {INSIDE}.querySelectorAll('.run').length === 2", timeout=60_000)
    expect(page.locator("p[role=status]").last).to_contain_text("came out")


def test_a_run_goes_on_in_a_page_of_its_own(offline, pages):
    path, widget = pages["words"]
    watched = opened(offline, path)
    page = watched.page
    assert shown(page) == widget.traces[0].words(0)
    slider = page.get_by_role("slider", name="denoising step")
    slider.press("Home")
    slider.press("ArrowRight")
    page.locator(".codes input").fill("7")
    page.locator(".codes input").press("Tab")
    gone_on(page)
    assert page.locator(".code").nth(1).inner_text() == "7"
    assert page.locator(".run h3").all_inner_texts() == ["di-seq", "di-seq, from step 1"]
    assert None not in shown(page, 1) and shown(page, 1) != shown(page)
    quiet(watched)


def test_a_branch_is_dropped_by_button_and_by_key(offline, pages, tmp_path):
    """The run that it left stays, and so does its step; the focus is not lost. Also in a page that
    was saved again, where no model is at hand."""
    path, _ = pages["words"]
    watched = opened(offline, path)
    page = watched.page
    before = shown(page)
    assert page.get_by_role("button", name="drop").count() == 0, "a run itself cannot be dropped"
    for way in ("key", "button"):
        page.locator("[role=option]").nth(1).click()
        page.locator(".branch:visible").get_by_role("button", name="mask", exact=True).click()
        gone_on(page)
        slider = page.get_by_role("slider", name="denoising step")
        slider.press("ArrowLeft")
        at = page.locator(".frame").get_attribute("data-step")
        if way == "key":
            box = page.locator(".codes input").first
            box.press("Delete")
            assert page.locator(".run").count() == 2, "Delete in a field is the field's"
            slider.press("Delete")
        else:
            with page.expect_download() as saved:
                page.get_by_role("button", name="save as one HTML page").click()
            saved.value.save_as(tmp_path / "branched.html")
            page.get_by_role("button", name="drop di-seq, gaps filled").click()
        expect(page.locator(".run")).to_have_count(1)
        expect(page.locator("p[role=status]").last).to_have_text("Dropped: di-seq, gaps filled.")
        assert page.locator(".frame").get_attribute("data-step") == at
        focus = "() => document.querySelector('.lddm-host').shadowRoot.activeElement.type"
        assert page.evaluate(focus) == "range", "the keys go on"
        page.get_by_role("slider", name="denoising step").press("End")
        assert shown(page) == before
    quiet(watched)
    copy = opened(offline, tmp_path / "branched.html")
    copy.page.get_by_role("button", name="drop di-seq, gaps filled").click()
    expect(copy.page.locator(".run")).to_have_count(1)
    quiet(copy)


def test_gaps_are_made_by_clicking_and_filled(offline, pages):
    """Infilling, without a kernel; it says what a reader may type."""
    path, widget = pages["words"]
    watched = opened(offline, path)
    page = watched.page
    before = shown(page)
    for at in (1, 3):
        page.locator("[role=option]").nth(at).click()
        page.locator(".branch").get_by_role("button", name="mask", exact=True).click()
    assert "are those that the model knows" in page.locator(".branch").inner_text()
    assert page.locator(".branch-go").inner_text() == "▶ Fill the gaps"
    gone_on(page)
    after = shown(page, 1)
    changed = {k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    assert None not in after and changed <= {1, 3}
    assert "from its gaps" in page.locator("p[role=status]").last.inner_text()
    quiet(watched)


def test_a_point_moves_within_its_plane(offline, pages):
    watched = opened(offline, pages["points"][0])
    page = watched.page
    page.get_by_role("slider", name="denoising step").press("Home")
    page.locator(".plane canvas").click(position={"x": 20, "y": 30})
    gone_on(page)
    assert page.locator(".plane canvas").count() == 2
    quiet(watched)


def test_without_kernel_and_weights_nothing_is_offered(offline, pages):
    watched = opened(offline, pages["bare"][0])
    watched.page.locator("[role=option]").nth(1).click()
    assert watched.page.locator(".branch").is_hidden() and watched.page.locator(".codes input").is_hidden()
    assert "to change it" not in watched.page.locator(".detail").inner_text()
    quiet(watched)


def test_any_two_points_are_walked_between(offline, pages):
    path, widget = pages["walks"]
    watched = opened(offline, path)
    page = watched.page
    page.evaluate("() => document.querySelector('.lddm-host').widget.set('picked', [3, 17])")
    page.wait_for_selector(".lddm-host[data-ready]")
    page.wait_for_function(f"() => {INSIDE}.querySelector('.message').hidden && {INSIDE}.querySelector('.rows li')")
    want = [NEWS.decode(row).split(" ·")[0].split() for row in widget.walk(3, 17)]
    here = [text.split(" ·")[0].split() for text in page.locator(".rows li .words").all_inner_texts()]
    assert len(here) == len(want)
    assert sum(a == b for x, y in zip(here, want, strict=True) for a, b in zip(x, y, strict=False)) >= 0.9 * sum(
        map(len, want)
    ), "int8 here"
    quiet(watched)


def test_a_point_of_the_frontier_is_drawn_again_from_its_seed(offline, pages):
    path, widget = pages["frontier"]
    watched = opened(offline, path)
    page = watched.page
    assert page.locator("h3").first.inner_text() == HOSTILE
    for label, value in (("calls", "4"), ("temperature", "0.7"), ("order", "even")):
        page.get_by_role("combobox", name=label).select_option(value)
    page.locator(".fe-go").click()
    page.wait_for_function(f"() => {INSIDE}.querySelector('.frame').dataset.runs === '1'", timeout=60_000)
    model = widget.models["saw"]
    want = model.sample(16, token_steps=4, seed=0, temperature=0.7, order="even")
    here = "".join(shown(page))
    assert sum(a == b for a, b in zip(here, want.text(0), strict=True)) >= 14, "in int8 few draws fall otherwise"
    page.locator(".chart-mark.can").first.dispatch_event("click")  # another may lie upon it
    page.wait_for_function(f"() => {INSIDE}.querySelector('.frame').dataset.runs === '2'", timeout=60_000)
    assert page.locator(".run").count() == 2 and "exact, best steps" in page.locator(".chart-key").first.inner_text()
    page.get_by_role("button", name="even", exact=True).click()
    assert page.locator(".chart-mark.can").count() in (8, 9)
    quiet(watched)


def test_what_the_latent_knows(offline, pages):
    path, widget = pages["knows"]
    watched = opened(offline, path)
    page = watched.page
    cards = page.locator(".ld-card")
    assert cards.locator("h4 > span:first-child").all_inner_texts() == [
        "The sequence", "true z", "someone else's z", "no z", "sampled z",
    ]  # fmt: skip
    page.get_by_role("button", name="100 %").click()
    assert "16 tokens masked" in cards.first.inner_text() and page.locator(".ld-card .kept").count() == 0
    cost = widget.found.costs[1.0]["true"]
    assert f"{cost.value:.3f} ± {cost.stderr:.3f} nats a token" in cards.nth(1).inner_text()
    page.get_by_role("button", name="50 %").click()
    before = cards.nth(2).inner_text()
    page.get_by_role("button", name="next sequence").press("Enter")
    assert cards.nth(2).inner_text() != before
    assert "The tokens read z" in page.locator(".ld-facts").inner_text()
    quiet(watched)


LIVE = """
import lddm_lite as ld
task = ld.tasks.Binsaw(length=16)
exact = ld.LatentDiffusion.exact(task)
ld.widgets.Scrubber(exact.sample(4, token_steps=4, seed=0), model=exact)
"""


def test_in_jupyterlab_the_kernel_goes_on_also_with_models_that_no_page_can_run(notebook):
    nb = notebook([IMPORTS, LIVE], name="goes-on")
    page = nb.page
    host = page.locator(".jp-NotebookPanel:visible .lddm-host[data-ready]")
    nb.until(lambda: host.count() == 1, "the scrubber")
    host.get_by_role("slider").press("Home")
    host.locator("[role=option]").first.click()
    nb.until(lambda: host.locator(".branch").is_visible(), "what a bit may become")
    host.get_by_role("textbox", name="type tokens").fill("1_0")
    host.get_by_role("textbox", name="type tokens").press("Enter")
    host.locator(".branch-go").click()
    nb.until(lambda: host.locator(".run").count() == 2, "the branch")
    bits = host.locator(".tokens").nth(1).locator("[role=option]").all_inner_texts()
    assert bits[0] == "1" and bits[2] == "0" and "" not in bits
    assert nb.errors == []


@pytest.mark.parametrize("name", ["frontier", "knows", "walks", "words"])
def test_accessible_at_every_size_in_both_themes(offline, axe, pages, name):
    watched = opened(offline, pages[name][0])
    page = watched.page
    if name == "words":
        page.locator("[role=option]").nth(1).click()
    for scheme, widths in (("light", (1920, 1280, 400)), ("dark", (400, 1280))):
        page.emulate_media(color_scheme=scheme)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 780})
            watched.until(lambda: page.evaluate(FITS), f"it fits {width} pixels", 10)
            watched.shot(f"alive-{name}-{scheme}-{width}")
            if (scheme, width) != ("dark", 400):
                assert axe(page, ".lddm-host") == []

"""Molecules in a page of its own, with the network off: structures beside the symbols, and where a
string's rings and brackets do not match; infilling in JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lddm_lite import LatentDiffusion
from lddm_lite.text import molecules
from lddm_lite.widgets import Scrubber

from .reading import FITS, opened, quiet, shown
from .test_scrubber_lab import HOSTS, IMPORTS

HOSTILE = "[<img src=x onerror=alert(1)>]"
STRINGS = ["CC(=O)N", "C1CC1", "C1CC(C", "CC(C)(C)(C)C", f"C{HOSTILE}C", "CNCF"]
WAVED = "spans => spans.filter(s => s.classList.contains('fault')).map(s => s.textContent)"


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """A run whose sequences are known, as if a model had drawn them."""
    pytest.importorskip("rdkit", reason=f"needs {molecules.INSTALL}")
    data = molecules.from_smiles(STRINGS, length=12)
    model = LatentDiffusion.preset("mdlm", data, width=16)
    trace = model.sample(len(STRINGS), token_steps=4, seed=0)
    trace.tokens[:] = data.rows
    path = tmp_path_factory.mktemp("molecules") / "run.html"
    return Scrubber(trace, model=model, names=["drawn"], weights="int8").to_html(path)


def test_structures_and_faults_without_a_kernel(offline, page_of):
    watched = opened(offline, page_of)
    page = watched.page
    tiles, whole = page.locator(".tile"), page.locator(".whole")
    assert tiles.count() == 6 and page.locator(".tile .structure").count() == 3
    labels = page.locator(".tile .structure").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert labels == [f"structure of {STRINGS[k]}" for k in (0, 1, 5)]
    assert whole.locator(".structure path").count() > 5 and whole.locator(".structure .o").count() >= 2
    assert "atom 1, C, has more bonds than it can bear" in tiles.nth(3).inner_text()
    tiles.nth(2).click()
    assert page.locator(".frame").get_attribute("data-sample") == "2"
    assert tiles.nth(2).get_attribute("aria-pressed") == "true" and "".join(shown(page)) == STRINGS[2]
    assert whole.locator(".structure").count() == 0
    assert whole.locator(".words span").evaluate_all(WAVED) == ["1", "("]
    assert whole.locator(".wrong").inner_text() == "ring 1 is opened and not closed; ( is not closed"
    tiles.nth(4).press("Enter")
    assert HOSTILE in whole.inner_text() and page.locator("img:visible").count() == 0
    slider = page.get_by_role("slider", name="denoising step")
    slider.press("Home")
    assert page.locator(".structure").count() == 0 and "·" in tiles.first.inner_text()
    slider.press("End")
    assert page.locator(".tile .structure").count() == 3
    quiet(watched)


def test_a_branch_in_the_page_shows_its_string_and_its_faults(offline, page_of):
    watched = opened(offline, page_of)
    page = watched.page
    page.locator("[role=option]").nth(1).click()
    page.locator(".branch:visible").get_by_role("button", name="mask", exact=True).click()
    page.locator(".branch-go:visible").first.click()
    expect(page.locator(".run")).to_have_count(2)
    new = "".join(shown(page, 1))
    assert None not in shown(page, 1) and page.locator(".whole").nth(1).inner_text().find(new[:1]) >= 0
    assert page.locator(".run").nth(1).locator(".tile").count() == 6
    quiet(watched)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_at_every_size(offline, axe, page_of, scheme):
    watched = opened(offline, page_of, color_scheme=scheme)
    page = watched.page
    for width in (1920, 1280, 400):
        page.set_viewport_size({"width": width, "height": 780})
        watched.until(lambda: page.evaluate(FITS), f"it fits {width} pixels", 10)
        watched.shot(f"molecules-{scheme}-{width}")
        assert axe(page, ".lddm-host") == []


SCAFFOLD = """import lddm_lite as ld
from lddm_lite.text import molecules
data = molecules.from_smiles(["c1ccccc1", "c1cnccc1C", "CCO(=N)"], length=14)
model = ld.LatentDiffusion.preset("mdlm", data, width=16)
ld.widgets.Infill({"untrained": model}, "c1ccc([MASK][MASK])cc1", token_steps=2, n=3)
"""


def test_a_scaffold_grows_in_jupyterlab(notebook):
    nb = notebook([IMPORTS, SCAFFOLD], name="scaffold")
    page = nb.page
    page.locator(".jp-NotebookPanel:visible").get_by_role("button", name="Run", exact=True).click()
    scrubber = page.locator(HOSTS)
    nb.until(lambda: scrubber.count() == 1, "the result opens in a scrubber")
    nb.until(lambda: scrubber.locator(".tile").count() == 3, "three molecules, or strings that are none")
    symbols = scrubber.get_by_role("listbox").get_by_role("option")
    symbols = symbols.evaluate_all("cells => cells.filter(c => !c.hidden).map(c => c.textContent)")
    assert symbols[:6] == list("c1ccc(") and symbols[8:12] == [")", "c", "c", "1"], "what was given stays"
    assert nb.errors == []

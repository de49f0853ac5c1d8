"""The course site, opened from disk with the network off. Slow, since it is built here: `make test-site`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from tests.support import ROOT

pytestmark = pytest.mark.slow
ALIVE = "() => [...document.querySelectorAll('.lddm-host')].every(host => host.dataset.ready)"
MATHS = "() => !window.MathJax?.startup?.promise || window.MathJax.startup.promise.then(() => true)"
WORDS = {word: "glossary.html" for word in ("knots", "total correlation", "infill")} | {"M11": "METHOD.html"}
WORDS["LatentDiffusion.sample"] = "api/top.html#lddm_lite.model.LatentDiffusion.sample"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as `make site` does; within four minutes, with warnings as errors."""
    for name in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(name, reason="needs the extra `site`: make site")
    out, began = tmp_path_factory.mktemp("site"), time.monotonic()
    command = [sys.executable, ROOT / "notebooks" / "site" / "make.py", "--out", out]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"built in {time.monotonic() - began:.0f} s")
    assert time.monotonic() - began < 240
    return out / "site"


def written(site):
    """The pages that Sphinx wrote. Decks that were taken along are looked at in test_decks.py."""
    return sorted(p for p in site.rglob("*.html") if not {"_static", "slides"} & set(p.relative_to(site).parts))


def test_every_page_is_quiet_and_alive(offline, site):
    """0 errors, 0 requests to anywhere, all widgets drawn, no equation that MathJax cannot read."""
    pages = written(site)
    assert len(pages) > 25
    widgets = equations = 0
    for path in pages:
        watched = offline(path)
        page = watched.page
        page.wait_for_load_state("load")
        page.wait_for_function(ALIVE)
        page.wait_for_function(MATHS)
        widgets += page.locator(".lddm-host[data-ready]").count()
        equations += page.locator("mjx-container").count()
        assert page.locator("mjx-merror").count() == 0, path.name
        assert watched.errors == [] and watched.off_machine == [], path.name
        watched.close()
    assert widgets >= 10 and equations > 500


@pytest.mark.parametrize("words", WORDS)
def test_the_search_finds(offline, site, words):
    watched = offline(site / "index.html")
    page = watched.page
    page.goto(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    expect(page.locator(".search-summary")).to_contain_text("Search finished")
    found = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any(address.split("?")[0].endswith(WORDS[words]) or WORDS[words] in address for address in found)
    assert watched.errors == [] and watched.off_machine == []


def test_inner_links_lead_somewhere(site):
    """Each address within the site is a file, and what stands behind # is in it; outer ones are addresses."""
    missing, known = [], {}
    for path in written(site):
        for address in re.findall(r'<a [^>]*href="([^"]+)"', path.read_text("utf-8")):
            if address == "#" or re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?|mailto:\S+@\S+", address):
                continue
            file, _, place = unquote(address).partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.is_file():
                missing.append((path.name, address))
                continue
            if target not in known:
                known[target] = set(re.findall(r'\bid="([^"]+)"', target.read_text("utf-8", "replace")))
            if place and place not in known[target]:
                missing.append((path.name, address))
    assert missing == []


def test_a_term_explains_itself_and_a_widget_follows_the_theme(offline, site):
    watched = offline(site / "06_scrub.html")
    page = watched.page
    page.wait_for_function(ALIVE)
    term = page.locator("a.term").first
    term.focus()
    says = term.evaluate("a => getComputedStyle(a, '::after').content")
    assert len(says) > 20 and term.get_attribute("href").startswith("glossary.html#term-")
    hosts = page.locator(".lddm-host")
    assert set(hosts.evaluate_all("all => all.map(h => h.dataset.theme)")) == {"light"}
    for _ in range(3):  # auto, light, dark
        page.locator(".theme-toggle:visible").first.click()
        if page.locator("body").get_attribute("data-theme") == "dark":
            break
    watched.until(
        lambda: set(hosts.evaluate_all("all => all.map(h => h.dataset.theme)")) == {"dark"}, "the widgets are dark, too"
    )
    assert watched.errors == []


@pytest.mark.parametrize("name", ["index", "METHOD", "glossary", "00_start_here", "lecturers", "api/tasks"])
def test_accessible_and_as_wide_as_the_window(offline, axe, site, name):
    for scheme, width in (("light", 1400), ("dark", 400)):
        watched = offline(site / f"{name}.html", color_scheme=scheme, viewport=(width, 900))
        watched.page.wait_for_function(MATHS)
        assert watched.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (scheme, width)
        watched.shot(f"site-{name}-{scheme}-{width}")
        assert axe(watched) == [], (scheme, width)
        watched.close()

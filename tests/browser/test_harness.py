"""The fixtures do what they say, on a small notebook and small pages; and what they look for, they
find."""

import re
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from . import conftest, pages
from .lab import Lab
from .notebook import NBCONVERT, export_html

SLIDER = """
import ipywidgets
slider, told = ipywidgets.IntSlider(max=9, description="step"), ipywidgets.Label("at 0")
told.add_class("told")
slider.observe(lambda change: setattr(told, "value", f"at {change.new}"), "value")
ipywidgets.VBox([slider, told])
"""
# A picture that a key changes, in a shadow root; the button's grey is too light, and the text
# beside it has no problem.
HOST = """
<div class="lddm-host" tabindex="0" data-lm-suppress-shortcuts="true"></div>
<script type="module">
  const host = document.querySelector(".lddm-host"), root = host.attachShadow({mode: "open"});
  root.innerHTML = '<p style="color: black; background: white">step <b>0</b></p>'
    + '<button style="color: #bbb; background: white">play</button>';
  host.addEventListener("keydown", event => {
    if (event.key === "ArrowRight") root.querySelector("b").textContent++;
  });
</script>
"""
SHOW = f'from IPython.display import HTML, display\ndisplay(HTML("""{HOST}"""))'
LONG = "print('long\\n' * 100)"  # pushes what follows out of sight
PATHS = "from jupyter_core import paths; print(paths.jupyter_config_dir(), paths.jupyter_data_dir())"
STEP = "host => host.shadowRoot.querySelector('b').textContent"


@pytest.fixture(scope="module")
def ran(module_notebook):
    """A notebook that has run, for the tests that leave it as it is."""
    return module_notebook([SLIDER, LONG, SHOW, PATHS], name="harness")


def ids(found):
    return {violation["id"] for violation in found}


# --- a notebook with its kernel -------------------------------------------------------------------

def test_a_slider_moved_by_key_changes_the_text_through_the_kernel(ran):
    ran.quiet()
    ran.mark()
    handle = ran.page.locator(".noUi-handle")
    for _ in range(3):
        handle.press("ArrowRight")
    expect(ran.page.locator(".told")).to_have_text("at 3")
    sent = ran.kernel_messages("comm_msg")
    values = [s.content["data"]["state"]["value"] for s in sent]
    assert values == sorted(set(values)) and values[-1] == 3, "ipywidgets may leave steps out while the kernel is busy"
    assert sorted(s.seconds for s in sent) == [s.seconds for s in sent]
    ran.mark()
    assert ran.kernel_messages() == []


def test_html_output_ran_its_script_and_takes_keys(ran):
    host = ran.page.locator(".lddm-host")
    before = int(host.evaluate(STEP))
    host.press("ArrowRight")
    assert int(host.evaluate(STEP)) == before + 1


def test_steps_are_timed_until_they_are_painted(ran):
    times = ran.times(".lddm-host", "ArrowRight", n=5, shown=STEP)
    assert len(times) == 5 and all(0 < ms < 5_000 for ms in times)
    with pytest.raises(Exception, match="step 1 showed nothing new"):
        ran.times(".lddm-host", "ArrowLeft", n=1, shown=STEP, seconds=0.3)


def test_axe_looks_into_the_shadow_roots_of_a_notebook(ran, axe):
    for above in (0, 1_000_000):  # wherever the notebook is scrolled to
        ran.page.locator(".jp-WindowedPanel-outer").evaluate("(panel, top) => panel.scrollTo({top})", above)
        assert ids(axe(ran, ".lddm-host")) == {"color-contrast"}
    assert ran.page.evaluate("axe.version").startswith("4.")


def test_the_laboratory_is_not_the_users(ran, lab):
    # Not `inner_text`, which is empty while a cell is out of sight.
    where = ran.page.locator(".jp-OutputArea-output pre").last.text_content().split()
    assert where == [str(lab.home / "config"), str(lab.home / "data")]


def test_a_notebook_alone_makes_no_errors_and_asks_for_nothing(ran):
    assert ran.errors == [] and ran.off_machine == []
    ran.page.evaluate("""() => { setTimeout(() => { throw new Error("planted") }); console.error("said");
        fetch("http://example.invalid/").catch(() => 0); new WebSocket("ws://example.invalid/socket"); }""")
    ran.until(lambda: len(ran.off_machine) == 2 and len(ran.errors) >= 4, "planted errors and requests")
    assert sorted(ran.off_machine) == ["http://example.invalid/", "ws://example.invalid/socket"]
    assert re.search("planted.*said|said.*planted", " ".join(ran.errors))
    ran.errors.clear()
    ran.off_machine.clear()


def test_a_cell_that_fails_is_told_at_once_and_the_look_is_as_asked(notebook, lab):
    failing = notebook(["1 / 0", "2"], run=False, viewport=(800, 600), color_scheme="dark", reduced_motion="reduce")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        failing.run_all()
    reduced = "matchMedia('(prefers-reduced-motion: reduce)').matches"
    look = failing.page.evaluate(f"[innerWidth, innerHeight, document.body.dataset.jpThemeLight, {reduced}]")
    assert look == [800, 600, "false", True]
    failing.close()
    assert lab.kernel(failing.name) is None


# --- a saved notebook -----------------------------------------------------------------------------

def test_saved_html_output_runs_again_where_it_is_trusted(notebook, offline, tmp_path):
    saved = notebook(["1 + 1", SHOW])
    shown = saved.page.locator(".lddm-host button")
    saved.save()
    exported = saved.export_html(tmp_path / "exported.html")

    saved.reopen()  # signed on saving, for all its cells had run here
    expect(shown).to_be_visible()
    assert saved.lab.kernel(saved.name) is None

    saved.reopen(trusted=False)
    # the markup is left, the script is not
    expect(saved.page.locator(".lddm-host")).to_have_count(1)
    expect(saved.page.locator(".jp-RenderedHTML script")).to_have_count(0)
    expect(shown).to_have_count(0)

    saved.reopen(without_kernel=False, trusted=True)
    expect(shown).to_be_visible()
    saved.restart_kernel()
    saved.run_all()
    expect(shown).to_be_visible()
    assert saved.errors == [] and saved.off_machine == []

    page = offline(exported, allowed=NBCONVERT)
    expect(page.page.locator(".lddm-host button")).to_be_visible()
    assert page.off_machine == [] and page.errors == []
    assert offline(export_html(saved.file, tmp_path / "again.html")).off_machine, "so `allowed` was needed"


# --- a page without network or kernel -------------------------------------------------------------

PAGE = '<!DOCTYPE html><html lang="en"><title>t</title><main><h1>t</h1>{}</main></html>'


def test_an_offline_page_may_hold_everything_but_ask_for_nothing(offline):
    clean = offline(PAGE.format('<img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><script>1</script>'))
    assert clean.off_machine == [] and clean.errors == []
    outside = offline(PAGE.format('<img alt="" src="https://example.invalid/a.png">'), viewport=(360, 640))
    assert outside.off_machine == ["https://example.invalid/a.png"]
    outside.until(lambda: outside.errors, "the console names the picture that did not load")
    assert outside.page.evaluate("innerWidth") == 360


def test_a_slider_of_the_page_is_timed_too(offline):
    slider = offline(PAGE.format('<input type="range" max="50" value="0" oninput="out.value = value"><output id="out">'
                                 "</output>"))
    assert len(slider.times("input", "input", n=10, shown="input => input.nextSibling.value")) == 10
    assert slider.page.locator("output").inner_text() == "10"


def test_axe_finds_what_is_planted_and_nothing_else(offline, axe):
    bad = '<p id="pale" style="color: #bbb; background: #fff">pale</p><div id="unnamed"><button></button></div>'
    page = offline(PAGE.format(f"<p>fine</p>{bad}"))
    assert ids(axe(page)) == {"color-contrast", "button-name"}
    assert ids(axe(page, "#unnamed")) == {"button-name"}
    assert axe(page, "h1") == []
    with pytest.raises(Exception, match="No elements found"):
        axe(page, ".lddm-host")
    dark = "<style>@media (prefers-color-scheme: dark) { p { color: #222; background: #111 } }</style><p>fine</p>"
    assert axe(offline(PAGE.format(dark))) == []
    assert ids(axe(offline(PAGE.format(dark), color_scheme="dark"))) == {"color-contrast"}


def test_a_failure_leaves_a_picture_and_what_the_page_said(offline, monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "SHOTS", tmp_path / "shots")
    page = offline(PAGE.format("<script>console.error('said')</script>"))
    with pytest.raises(TimeoutError, match="never"):
        page.until(lambda: False, "never", 0.1)
    report = SimpleNamespace(failed=True, sections=[])
    hook = conftest.pytest_runtest_makereport(SimpleNamespace(name="a[b/c]", funcargs={}), None)
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    assert [p.suffix for p in (tmp_path / "shots").iterdir()] == [".png"] * len(pages.OPEN)
    assert "said" in "".join(text for _, text in report.sections)


def test_without_a_browser_it_is_said_clearly(monkeypatch):
    monkeypatch.setattr(conftest.shutil, "which", lambda name: None)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install chromium"):
        conftest.browser_path()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="install chromium"):
        conftest.browser_path()


def test_a_server_that_does_not_start_says_why():
    with pytest.raises(RuntimeError, match="did not start"):
        Lab(seconds=0)

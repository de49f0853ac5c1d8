"""The scrubber in JupyterLab: with a live kernel, several at once, after a restart, reopened,
exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .notebook import NBCONVERT
from .reading import calm

MAKE = """import numpy as np
from tests.browser import scrubber_runs as runs
a, traces = runs.bits()
b, _ = runs.words()
"""
IMPORTS = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})"
HOSTS = ".jp-NotebookPanel:visible .lddm-host[data-ready]"


ASK = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({code});
    let said = "";
    future.onIOPub = m => { said += m.content.text || (m.content.traceback || []).join("\\n"); };
    await future.done;
    return said;
}"""


PAINT = """() => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    document.querySelector('.jp-NotebookPanel .lddm-host').dataset.old = 1;
    window.came = window.ready = null;
    kernel.iopubMessage.connect((_, m) => {
        if (m.header.msg_type === "execute_result") window.came = performance.now();
    });
    new MutationObserver(() => {
        const host = document.querySelector('.jp-NotebookPanel .lddm-host[data-ready]:not([data-old])');
        if (host && window.ready === null && window.came !== null)
            requestAnimationFrame(() => { window.ready = performance.now(); });
    }).observe(document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready']});
}"""
WATCH = """frame => { window.steps = [];
    const look = () => window.steps.push([+frame.dataset.step, performance.now()]);
    new MutationObserver(look).observe(frame, {attributeFilter: ['data-step']}); }"""


@pytest.fixture(scope="module")
def cells():
    return [IMPORTS, MAKE, "a", "b", "a", "import ipywidgets\nipywidgets.VBox([b])"]


def ask(nb, code: str) -> str:
    """What a piece of code prints in the notebook's kernel."""
    return nb.page.evaluate(ASK, code)


def at(page, k: int) -> int:
    return int(page.locator(HOSTS).nth(k).locator(".frame").get_attribute("data-step"))


def slide(page, k: int, key: str, times: int = 1) -> None:
    slider = page.locator(HOSTS).nth(k).get_by_role("slider")
    for _ in range(times):
        slider.press(key)


def test_one_notebook_with_all_ways_to_show_it(notebook, cells):
    nb = notebook(cells, name="scrubbers")
    page = nb.page
    nb.until(lambda: page.locator(HOSTS).count() == 4, "four displays of two scrubbers")
    # two scrubbers do not disturb each other; one displayed twice moves in both places, also inside
    # a box
    assert [at(page, k) for k in range(4)] == [6, 7, 6, 7], "they open at their end"
    slide(page, 0, "ArrowLeft", 3)
    assert [at(page, k) for k in range(3)] == [3, 7, 3]
    slide(page, 1, "Home")
    nb.until(lambda: [at(page, k) for k in range(4)] == [3, 0, 3, 0], "the box follows through the kernel")
    nb.shot("lab-scrubbers")
    # the kernel knows, and may move it
    nb.until(lambda: ask(nb, "print(a.step, b.step)").strip() == "3 0", "the kernel knows")
    ask(nb, "a.step = 1; b.sample = 2")
    nb.until(lambda: at(page, 0) == at(page, 2) == 1, "moved by the kernel")
    sample = page.locator(HOSTS).nth(1).locator(".frame")
    nb.until(lambda: sample.get_attribute("data-sample") == "2", "and the other one, by a message of its own")
    # typing into the picker or moving by arrows does not reach JupyterLab's command mode
    before = page.locator(".jp-NotebookPanel:visible .jp-Cell").count()
    picker = page.locator(HOSTS).nth(0).get_by_role("spinbutton")
    picker.press("Control+a")
    picker.type("4")
    for key in ("a", "b", "x", "d", "d"):
        picker.press(key)
    assert page.locator(".jp-NotebookPanel:visible .jp-Cell").count() == before
    assert page.locator(HOSTS).nth(0).locator(".frame").get_attribute("data-sample") == "4"
    # after a restart of the kernel everything still moves
    nb.restart_kernel()
    slide(page, 0, "End")
    slide(page, 1, "Home")
    assert (at(page, 0), at(page, 2), at(page, 1)) == (6, 6, 0)
    nb.run_all()  # and a new run replaces them
    nb.until(lambda: page.locator(HOSTS).count() == 4 and at(page, 1) == 7, "shown anew")
    nb.save()
    assert "widgets" not in json.loads(nb.file.read_text())["metadata"]
    # reopened without a kernel, as a person who trusts it, and as one who has not run it
    nb.reopen(without_kernel=True)
    nb.until(lambda: page.locator(HOSTS).count() == 3, "three outputs of their own come back")
    slide(page, 0, "ArrowLeft", 2)
    assert at(page, 0) == 4
    assert not page.locator(".lddm-still:visible").count()
    nb.shot("lab-reopened")
    nb.reopen(without_kernel=True, trusted=False)
    still = page.locator(".jp-NotebookPanel:visible .lddm-still:visible")
    nb.until(lambda: still.count() >= 1, "a still picture instead")
    assert page.locator(HOSTS).count() == 0
    nb.shot("lab-untrusted")
    assert nb.errors == [] and nb.off_machine == []


def test_export_works_offline(notebook, offline, cells, tmp_path):
    nb = notebook([*cells[:3]], name="export")
    nb.until(lambda: nb.page.locator(HOSTS).count() == 1, "shown")
    nb.save()
    out = offline(nb.export_html(tmp_path / "export.html"), allowed=NBCONVERT)
    out.page.wait_for_selector(".lddm-host[data-ready]")
    slider = out.page.get_by_role("slider")
    slider.press("End")
    assert out.page.locator(".frame").get_attribute("data-step") == "6"
    out.shot("export")
    assert out.errors == [] and out.off_machine == []


def test_play_leaves_the_kernel_alone(notebook, cells):
    """30 steps a second for 10 s: each frame in its order, at most one message a second; quick to
    appear; small."""
    nb = notebook([cells[0], "from tests.browser import scrubber_runs as runs\ns = runs.large()", "s"], name="play")
    page = nb.page
    nb.until(lambda: page.locator(HOSTS).count() == 1, "shown")

    def painted():
        """Run again; milliseconds from the arrival of the cell's result to the frame after the scrubber is there."""
        page.evaluate(PAINT)
        nb.run_all()
        nb.until(lambda: page.evaluate("() => window.ready !== null"), "painted again")
        return page.evaluate("() => window.ready - window.came")

    paint = calm(painted, lambda ms: ms <= 500, 4)
    host = page.locator(HOSTS).last
    host.get_by_role("combobox", name="speed").select_option("30")
    host.get_by_role("button", name="Loop").click()
    host.locator(".frame").evaluate(WATCH)

    def played():
        """Steps seen in 10 s, as [step, milliseconds], in their order, and the kernel told once a second at most."""
        page.evaluate("() => { window.steps.length = 0; }")
        nb.mark()
        host.get_by_role("button", name="Play").click()
        page.wait_for_timeout(10_000)
        host.get_by_role("button", name="Pause").click()
        messages, steps = nb.kernel_messages("comm_msg"), page.evaluate("() => window.steps")
        order, times = [s for s, _ in steps], [m.seconds for m in messages]
        assert all(b == (a + 1) % 33 for a, b in zip(order, order[1:], strict=False)), "one left out, or out of order"
        seconds = (steps[-1][1] - steps[0][1]) / 1000
        assert len(messages) <= seconds + 1.5 and all(b - a > 0.95 for a, b in zip(times, times[1:], strict=False))
        print(f"first paint {paint:.0f} ms; {len(steps)} frames in {seconds:.1f} s; {len(messages)} messages")
        return order

    order = calm(played, lambda order: len(order) >= 200, 3)
    assert len(order) >= 200 and paint <= 500
    assert int(ask(nb, "print(len(s.data) + len(s._esm))")) <= 1_000_000
    nb.until(lambda: int(ask(nb, "print(s.step)")) == order[-1], "the kernel learns where it stopped")
    assert nb.errors == []

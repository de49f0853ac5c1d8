"""Texts that would like to be scripts, in every place of a page that a file or a person fills: they are
shown, and none runs (Chromium, no network)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite.diffusion import RateGrid

RUN = "window.owned=1"
TAGS = [
    "<script>§</script>", "<img src=x onerror=§>", "<svg onload=§>", "<svg><script>§</script></svg>",
    "<iframe srcdoc=\"<script>parent.owned=1</script>\">", "<iframe src='javascript:parent.owned=1'>",
    "<body onload=§>", "<input autofocus onfocus=§>", "<details open ontoggle=§>", "<video><source onerror=§>",
    "<audio src=x onerror=§>", "<object data='javascript:§'>", "<embed src='javascript:§'>",
    "<a href='javascript:§' autofocus>x</a>", "<math><mtext></table><img src=x onerror=§>", "<style onload=§>",
    "<link rel=stylesheet href=x onerror=§>", "<marquee onstart=§>", "<select autofocus onfocus=§>",
    "<textarea autofocus onfocus=§>", "<keygen autofocus onfocus=§>", "<form><button formaction='javascript:§'>",
    "<template><script>§</script></template>", "<noscript><img src=x onerror=§></noscript>",
]  # fmt: skip
ENDS = [
    "</script><script>§</script>", "</title><script>§</script>", "</style><script>§</script>",
    "--><script>§</script>", "]]><script>§</script>", "'><script>§</script>", '"><script>§</script>',
    '" onmouseover="§', "' onfocus='§' autofocus='", "`${§}`", "\\u003cscript\\u003e§\\u003c/script\\u003e",
    "\u2028;§;//", "\u2029;§;//", "\\';§;//", '\\";§;//', "*/§/*", "</textarea><script>§</script>",
    "&lt;script&gt;§&lt;/script&gt;", "<!--<script>§</script>", "{{constructor.constructor('§')()}}",
    "<scr<script>ipt>§</scr</script>ipt>", "<ScRiPt>§</sCrIpT>", "javascript:§",
    "data:text/html,<script>§</script>",
]  # fmt: skip
PAYLOADS = [p.replace("§", RUN) for p in TAGS + ENDS]
OWNED = """() => { for (let k = 0; k < frames.length; k++) try { if (frames[k].owned) return false } catch {}
    return window.owned === undefined }"""


def trace(words, name):
    n = len(words)
    return ld.Trace([list(range(n))], [[1] * n], [[0.5] * n], [(1, 0), (0, 0)], words, n, model=name, order=name,
                    meta={"filler": name})  # fmt: skip


def grid(title):
    flat = np.full((4, 4), 3.0)
    return RateGrid(title, flat, flat, data={"task": title})


class Words:
    """Data whose labels are payloads."""

    length, vocab, labels = 4, len(PAYLOADS), PAYLOADS

    def spec(self):
        return {"task": PAYLOADS[0]}

    def sample(self, n, seed=0):
        return torch.arange(n * 4).reshape(n, 4) % self.vocab


@pytest.fixture(scope="module")
def model():
    return ld.LatentDiffusion.preset("co-seq", Words(), width=16, blocks=1, heads=2, dim=2).eval()


def watch(offline, source, keys=True):
    watched = offline(source)
    page = watched.page
    page.wait_for_selector(".lddm-host[data-ready]")
    if keys:
        page.keyboard.press("Tab")
        for key in ("End", "ArrowLeft", "Home", "ArrowRight"):
            page.keyboard.press(key)
    page.mouse.move(200, 200)
    page.wait_for_timeout(150)
    assert page.evaluate(OWNED), "a payload ran"
    assert watched.off_machine == []
    return page


def test_there_are_enough_of_them():
    assert len(set(PAYLOADS)) >= 40 and all("owned" in p for p in PAYLOADS)


def test_scrubbers(offline, tmp_path):
    run = trace(PAYLOADS, "".join(PAYLOADS[:3]))
    for k, text in enumerate(PAYLOADS):
        if k % 6 == 0:  # in a title each stands alone
            ld.widgets.Scrubber([run, run], names=[text, PAYLOADS[-k - 1]], title=text).to_html(tmp_path / f"{k}.html")
            page = watch(offline, tmp_path / f"{k}.html")
            assert page.title() == text.strip() or page.title()
    every = "".join(PAYLOADS)[:1000]
    ld.widgets.Scrubber(run, names=[every], title=every).to_html(tmp_path / "all.html")
    watch(offline, tmp_path / "all.html")


@pytest.mark.filterwarnings("ignore:constrained_layout")  # such long titles leave no room in the still picture
def test_explorers(offline, tmp_path, model):
    x = Words().sample(12)
    for k in range(0, len(PAYLOADS), 12):
        here = ld.widgets.LatentExplorer(model, x, hue=np.roll(np.array(PAYLOADS), k)[:12], title=PAYLOADS[k])
        here.to_html(tmp_path / f"l{k}.html")
        watch(offline, tmp_path / f"l{k}.html")
        ld.widgets.PathExplorer([grid(t) for t in PAYLOADS[k : k + 12]]).to_html(tmp_path / f"p{k}.html")
        watch(offline, tmp_path / f"p{k}.html")


SAMPLED = """() => { const r = document.querySelector('.lddm-host[data-ready]')?.shadowRoot;
    return r && !r.querySelector('.pg-go').disabled && r.querySelector('.pg-stage .run') }"""


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_the_engine_and_its_playground(offline, tmp_path, system):
    """Models whose words and names are payloads sample in the page: each word is drawn, and shown."""
    made = ld.LatentDiffusion.preset(system, Words(), encoder_blocks=1, width=16, blocks=1, heads=2, dim=2).eval()
    for k in range(0, len(PAYLOADS), 16):
        names = PAYLOADS[k : k + 3]
        play = ld.widgets.Playground(dict.fromkeys(names, made), title="".join(names), samples=64, seed=k)
        play.plan = {**play.plan, "schedule": names[0], "temperature": 5.0}
        play.to_html(tmp_path / f"{k}.html")
        watch(offline, tmp_path / f"{k}.html", keys=False)  # the schedule is none, and said to be
        play.plan = {**play.plan, "schedule": ""}
        play.to_html(tmp_path / f"{k}.html")
        page = watch(offline, tmp_path / f"{k}.html", keys=False)
        page.wait_for_function(SAMPLED)
        page.get_by_label("model", exact=True).select_option(index=len(names) - 1)
        page.locator(".pg-go").click()
        page.wait_for_timeout(400)
        page.wait_for_function(SAMPLED)
        for key in ("Tab", "End", "ArrowLeft", "Home"):
            page.keyboard.press(key)
        page.wait_for_timeout(200)
        assert page.evaluate(OWNED), "a payload ran"
        shown = page.evaluate("document.querySelector('.lddm-host').shadowRoot.textContent")
        assert any(p[:12] in shown for p in PAYLOADS), "the payloads are shown, as text"


def test_pictures_classes_and_branches(offline, tmp_path):
    """Words of data of one's own: labels, names of classes, what a branch remembers."""
    rows = [[k % len(PAYLOADS), (k + 1) % len(PAYLOADS)] for k in range(len(PAYLOADS))]
    classes = [k % 4 for k in range(len(rows))]
    data = ld.from_arrays(rows, labels=PAYLOADS, shape=(1, 2), classes=classes, names=PAYLOADS[:4])
    model = ld.LatentDiffusion.preset("mdlm", data, width=16, blocks=1, heads=2).eval()
    run = model.sample(4, 2, label=PAYLOADS[1])
    run = run.branch(model.sample(4, 2, seed=1), 1, [(0, 1, 3)])
    run.parent["model"] = run.meta["note"] = PAYLOADS[5]
    run.save(tmp_path / "t.json")
    ld.widgets.Scrubber(ld.Trace.load(tmp_path / "t.json"), title=PAYLOADS[2]).to_html(tmp_path / "s.html")
    watch(offline, tmp_path / "s.html")


def test_outputs_of_a_cell(offline):
    """The fragment that a saved notebook holds, with its still picture."""
    run = trace(PAYLOADS, PAYLOADS[0])
    for text in PAYLOADS[::6]:
        shown = ld.widgets.Scrubber(run, title=text)._repr_mimebundle_()["text/html"]
        watch(offline, f"<!doctype html><meta charset=utf-8>{shown}")


def test_what_infill_says(offline, model):
    """Its hints are HTML that a widget shows: names of models, words that are unknown, complaints. Its
    status is text."""
    said = []
    for text in PAYLOADS:
        infill = ld.widgets.Infill({text: model}, text)
        infill.run_button.click()
        said.append(infill.hint.value)
    page = offline("<!doctype html><meta charset=utf-8>" + "\n".join(f"<div>{v}</div>" for v in said)).page
    page.wait_for_timeout(300)
    assert page.evaluate(OWNED)

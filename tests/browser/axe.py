"""axe-core, which finds what keeps people from using a page: contrast, names, roles, keyboard."""

from __future__ import annotations

from importlib import resources

GRAVE = ("serious", "critical")

# axe takes for hidden what lies outside an ancestor with `overflow: hidden`, and passes over its
# contrast without a word. In JupyterLab that is every text: the body has no height, and what is not
# scrolled into view lies outside the shell. `clip` looks the same and is not mistaken so. Cells out
# of sight are moreover not laid out until they are wanted, and till then lie one over the other.
RUN = """async ({selector, kinds}) => {
    const style = document.createElement("style");
    style.textContent = "body, .jp-LabShell { overflow: clip !important }"
        + ".jp-Cell { content-visibility: visible !important }";
    document.head.append(style);
    const found = await axe.run(selector ?? document, {iframes: false, resultTypes: kinds})
        .finally(() => style.remove());
    return kinds.flatMap(kind => found[kind]).map(({id, impact, help, nodes}) => ({id, impact, help, nodes: nodes.map(
        node => ({target: node.target.flat().join(" "), html: node.html, why: node.failureSummary}))}));
}"""


def violations(page, selector: str | None = None, unsure: bool = False) -> list[dict]:
    """The serious and critical violations on a Playwright page, or inside the elements that a
    selector names.

    Open shadow roots are looked into. A selector that names nothing is an error, lest nothing be
    checked. `unsure` adds what axe could not decide, such as the contrast of text on a picture, or
    of a single character.
    """
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    kinds = ["violations", "incomplete"] if unsure else ["violations"]
    return [v for v in page.evaluate(RUN, {"selector": selector, "kinds": kinds}) if v["impact"] in GRAVE]

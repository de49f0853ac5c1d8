// Widgets follow the theme that a reader chooses: they look again when a class of the page changes.
new MutationObserver(() => document.body.classList.toggle("theme-chosen")).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
// What scrolls sideways can be reached, and so scrolled, by keys.
function reachable() {
  for (const part of document.querySelectorAll("pre, .table-wrapper, .math-wrapper, div.math")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);

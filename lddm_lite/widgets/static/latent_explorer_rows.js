// The steps of a walk, a row each.
import { el } from "./elements.js";

// The steps of a walk. `go(step)` when one is clicked.
// -> {element, fill(steps), mark(step), draw(width, palette)}
export function walkRows(shown, go) {
  const element = el("ol", { class: "rows", tabindex: "0", "aria-label": "Decoded steps from A to B" });
  let parts = [], rows = [], now = 0;
  const style = () => rows.forEach((row, k) => (k === now ? row.setAttribute("aria-current", "step") : row.removeAttribute("aria-current")));
  return {
    element,
    fill(steps) {
      parts = steps.map((ids, k) => shown.show(ids, { before: k ? steps[k - 1] : null }));
      rows = steps.map((ids, k) => {
        const changes = k ? ids.reduce((sum, id, i) => sum + (id !== steps[k - 1][i]), 0) : 0;
        const note = k === 0 ? "" : changes ? `${changes} new` : "same";
        return el("li", { onclick: () => go(k) },
          el("span", { class: "step number", text: String(k + 1) }), el("div", {}, parts[k].element),
          el("span", { class: "count number", text: note }));
      });
      element.replaceChildren(...rows);
      style();
    },
    mark(step) {
      now = step;
      style();
      const row = rows[step];
      if (!row) return;
      const top = row.offsetTop, low = top + row.offsetHeight;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (low > element.scrollTop + element.clientHeight) element.scrollTop = low - element.clientHeight;
    },
    draw: (width, palette) => parts.forEach((part) => part.draw(width, palette)),
  };
}

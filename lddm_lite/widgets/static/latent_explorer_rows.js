// Sequences as words or as strips of bits, and the list of a walk's steps.
import { el, fit } from "./elements.js";

const LONG = 80; // characters of a word that are shown
const FILLER = "·";

// How the sequences of one app are shown.
// -> {key, text(ids), show(ids, before) -> {element, draw(width, palette)}}
export function sequences({ labels, pad }) {
  const bits = labels.length === 2 && labels.every((w) => w.length === 1);
  const symbols = labels.every((w) => [...w].length <= 1);
  const cut = (w) => (w.length > LONG ? w.slice(0, LONG) + "…" : w);
  const word = (id) => (id < labels.length ? labels[id] : "[MASK]");

  function text(ids, most = 400) {
    const words = [...ids].filter((id) => id !== pad).map((id) => cut(word(id)));
    const all = symbols ? words.join("") : words.join(" ").replaceAll(" ##", "");
    return all.length > most ? all.slice(0, most) + "…" : all;
  }

  function strip(ids, before) {
    const canvas = el("canvas", { class: "strip", role: "img", "aria-label": `bits ${text(ids, 64)}` });
    return { element: canvas, draw(width, palette) {
      const rows = Math.ceil((ids.length * 1.8) / width), perRow = Math.ceil(ids.length / rows);
      const cell = Math.min(14, width / perRow), high = 15, mark = before ? 5 : 0;
      const g = fit(canvas, Math.round(cell * perRow), rows * (high + mark) + (rows - 1) * 2);
      g.clearRect(0, 0, canvas.width, canvas.height);
      const dense = window.devicePixelRatio || 1, edge = (c) => Math.round(c * cell * dense) / dense, gap = cell >= 6 ? 1 : 0;
      const colour = (k) => (ids[k] ? palette.bit1 : palette.bit0), changed = (k) => (before && before[k] !== ids[k] ? palette.accent : null);
      for (let r = 0; r < rows; r++) {
        const y = r * (high + mark + 2), end = Math.min(ids.length, (r + 1) * perRow);
        const bars = (of, top, height) => { // neighbours alike in one bar, so that no seams show
          for (let k = r * perRow, from = k; k < end; k++) {
            if (k + 1 < end && !gap && of(k + 1) === of(from)) continue;
            const x = edge(from - r * perRow);
            if (of(from)) (g.fillStyle = of(from)), g.fillRect(x, top, edge(k + 1 - r * perRow) - x - gap, height);
            from = k + 1;
          }
        };
        bars(colour, y, high);
        if (before) bars(changed, y + high + 1, 4);
      }
    } };
  }

  function words(ids, before) {
    const p = el("div", { class: "words", dir: "auto" });
    let last = ids.length; // what fills a sentence up is left out
    while (last > 1 && labels[ids[last - 1]] === FILLER) last--;
    ids.slice(0, last).forEach((id, k) => {
      if (id === pad) return;
      const raw = word(id);
      if (!raw) return;
      const glued = symbols || raw.startsWith("##");
      const changed = before && before[k] !== id;
      const look = [changed && "new", symbols && "symbol"].filter(Boolean).join(" ");
      if (p.firstChild && !glued) p.append(" ");
      p.append(el("span", { class: look || null, text: cut(symbols ? raw : raw.replace(/^##/, "")) }));
    });
    return { element: p, draw() {} };
  }
  return { key: bits ? `light ${labels[0]}, dark ${labels[1]}` : "", text, show: (ids, before = null) => (bits ? strip([...ids], before) : words([...ids], before)) };
}

// The steps of a walk. `go(step)` when one is clicked.
// -> {element, fill(steps), mark(step), draw(width, palette)}
export function walkRows(shown, go) {
  const element = el("ol", { class: "rows", tabindex: "0", "aria-label": "Decoded steps from A to B" });
  let parts = [], rows = [], now = 0;
  const style = () => rows.forEach((row, k) => (k === now ? row.setAttribute("aria-current", "step") : row.removeAttribute("aria-current")));
  return {
    element,
    fill(steps) {
      parts = steps.map((ids, k) => shown.show(ids, k ? steps[k - 1] : null));
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

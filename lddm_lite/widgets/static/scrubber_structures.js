// Samples that are molecules: all of them, in place of the rows of all samples; a string until its last
// symbol is there, then its structure, if the library drew it.
import { el } from "./elements.js";
import { sequenceView } from "./sequence_views.js";

export class Structures {
  constructor(run, own, about, head, pick) {
    Object.assign(this, { run, about, view: sequenceView(about), seen: [], shown: -1 });
    this.tiles = Array.from({ length: head.samples }, (_, i) => el("button", { class: "tile", "aria-pressed": "false", onclick: () => pick(i) }));
    this.element = el("figure", { class: "raster structures" }, el("figcaption", { text: "all samples as molecules" }), el("div", { class: "tiles" }, ...this.tiles));
  }
  resize(width) { this.element.style.width = `${width}px`; }
  draw(step, sample) {
    const { run, view } = this;
    this.tiles.forEach((tile, i) => {
      const from = i * run.length, there = Array.from({ length: run.length }, (_, j) => run.when[from + j] <= step), count = there.filter(Boolean).length;
      tile.setAttribute("aria-pressed", String(i === sample));
      if (this.seen[i] === count) return; // more and more is there, or less and less
      this.seen[i] = count;
      const ids = there.map((seen, j) => (seen ? run.tokens[from + j] : -1));
      tile.setAttribute("aria-label", `sample ${i}: ${view.text(ids)}`);
      tile.replaceChildren(view.show(ids, { given: there.map((seen, j) => seen && run.when[from + j] === 0) }).element);
    });
  }
}

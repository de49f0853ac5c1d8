// Samples that are pictures, such as digits of 8 x 8 tokens: all of them, in place of the rows of
// all samples. Light is the lowest id, dark the highest.
import { PALETTES, ramp } from "./colours.js";
import { el, fit, pointOn } from "./elements.js";
import { tiles } from "./scrubber_steps.js";

const GAP = 8;

export class Pictures {
  constructor(run, own, about, head, pick) {
    Object.assign(this, { run, about, n: head.samples, rows: own("order").data, palette: PALETTES.light });
    this.canvas = el("canvas", { role: "img", "aria-label": `all ${head.samples} samples of ${about.name}, a picture each`,
      onclick: (e) => {
        const [x, y] = pointOn(this.canvas, e), { columns, wide, high } = this.plan;
        const column = Math.floor(x / wide), at = Math.floor(y / high) * columns + column;
        if (column < columns && at >= 0 && at < this.n) pick(this.rows[at]);
      } });
    this.element = el("figure", { class: "raster pictures" }, el("figcaption", { text: "all samples as pictures" }), this.canvas);
  }
  theme(palette) { this.palette = palette; }
  resize(width) { this.plan = tiles(this.about.view.shape, this.n, Math.max(60, width), GAP); }
  draw(step, sample) {
    const { about: { view: { shape: [rows, columns], first, shades } }, run, palette, plan } = this, s = plan.scale;
    const g = fit(this.canvas, plan.columns * plan.wide, Math.ceil(this.n / plan.columns) * plan.high);
    g.fillStyle = palette.paper; g.fillRect(0, 0, plan.columns * plan.wide, Math.ceil(this.n / plan.columns) * plan.high);
    const given = (j) => run.when[j] === 0;
    this.rows.forEach((row, k) => {
      const x = (k % plan.columns) * plan.wide + GAP / 2, y = Math.floor(k / plan.columns) * plan.high + GAP / 2, from = row * run.length + first;
      g.lineWidth = row === sample ? 2 : 1; g.strokeStyle = row === sample ? palette.accent : palette.line;
      const out = row === sample ? 2 : 0.5;
      g.strokeRect(x - out, y - out, columns * s + 2 * out, rows * s + 2 * out);
      for (let i = 0; i < rows * columns; i++) {
        const j = from + i, left = x + (i % columns) * s, top = y + Math.floor(i / columns) * s;
        g.fillStyle = run.when[j] > step ? palette.mask : ramp([palette.bit0, palette.bit1], shades[run.tokens[j]]);
        g.fillRect(left, top, s, s);
      }
      g.strokeStyle = palette.accent; g.lineWidth = 1.5; g.beginPath(); // where what was given ends
      for (let i = 0; i < rows * columns; i++) {
        const j = from + i, left = x + (i % columns) * s, top = y + Math.floor(i / columns) * s;
        if ((i + 1) % columns && given(j) !== given(j + 1)) { g.moveTo(left + s, top); g.lineTo(left + s, top + s); }
        if (i + columns < rows * columns && given(j) !== given(j + columns)) { g.moveTo(left, top + s); g.lineTo(left + s, top + s); }
      }
      g.stroke();
    });
  }
}

// The pictures of a run: all samples, the latent plane or the code slots, and the path of noise
// times.
import { CYCLE, GROUPS, PALETTES, ramp } from "./colours.js";
import { el, fit, pointOn } from "./elements.js";
import { clamp, projector } from "./numbers.js";
import { paintSamples } from "./scrubber_steps.js";
import { sequenceView } from "./sequence_views.js";

// All samples, a row each, in the order given: bits by value, words by the step that revealed them.
// Click picks a row.
export class Raster {
  constructor(run, own, about, head, pick) {
    Object.assign(this, { run, about, n: head.samples, rows: own("order").data, palette: PALETTES.light });
    this.canvas = el("canvas", { role: "img", "aria-label": `all ${head.samples} samples of ${about.name}, a row each`,
      onclick: (e) => { const box = this.canvas.getBoundingClientRect(); pick(this.rows[clamp(Math.floor(((e.clientY - box.top) / box.height) * this.n), 0, this.n - 1)]); } });
    this.image = el("canvas", { width: run.length, height: this.n });
    this.pixels = this.image.getContext("2d").createImageData(run.length, this.n);
    this.element = el("figure", { class: "raster" }, el("figcaption", { text: about.bits ? "all samples: light 0, dark 1" : "all samples: reveal step (blank: given)" }), this.canvas);
  }
  theme(palette) { this.palette = palette; }
  resize(width) { this.width = Math.max(120, width - 28); this.height = clamp(Math.round(this.width * 0.42), 130, 190); }
  draw(step, sample) {
    const out = new Uint32Array(this.pixels.data.buffer);
    paintSamples(out, this.run, this.about, this.rows, step, this.palette);
    this.image.getContext("2d").putImageData(this.pixels, 0, 0);
    const g = fit(this.canvas, this.width + 28, this.height), h = this.height / this.n;
    g.imageSmoothingEnabled = false;
    g.fillStyle = this.palette.paper; g.fillRect(0, 0, this.width + 28, this.height);
    g.drawImage(this.image, 14, 0, this.width, this.height);
    const y = (this.rows.indexOf(sample) + 0.5) * h, right = this.width + 28; // wedges on both sides: the chosen row
    g.fillStyle = this.palette.accent;
    for (const [from, to] of [[2, 12], [right - 2, right - 12]]) { g.beginPath(); g.moveTo(from, y - 5); g.lineTo(to, y); g.lineTo(from, y + 5); g.fill(); }
  }
}

// The chosen sample as a picture, or as the string of a molecule, as it stands at a step.
export class Whole {
  constructor(run, about) {
    Object.assign(this, { run, view: sequenceView(about), fixed: about.view.kind === "molecule" ? 190 : 140, palette: PALETTES.light });
    this.place = el("div");
    this.element = el("figure", { class: "whole" }, el("figcaption", { text: this.view.kind === "picture" ? "the sample, a picture" : "the sample, a molecule" }), this.place);
  }
  theme(palette) { this.palette = palette; }
  resize(width) { this.element.style.width = `${width}px`; }
  draw(step, sample) {
    const { run } = this, from = sample * run.length, at = [...Array(run.length).keys()].map((j) => from + j);
    const part = this.view.show(at.map((j) => (run.when[j] <= step ? run.tokens[j] : -1)), { given: at.map((j) => run.when[j] === 0) });
    this.place.replaceChildren(part.element);
    part.draw(this.fixed - 12, this.palette);
  }
}

// The latent plane: encoded data behind, all samples now, the trail of the chosen one, and where
// the encoder would put its finished sequence (a ring).
export class Plane {
  constructor(run, own, about, head) {
    Object.assign(this, { run, about, head, n: head.samples, path: own("plane").data, cloud: own("cloud") && own("cloud").data,
      hue: own("hue"), goal: own("goal") && own("goal").data, narrow: 176, broad: 232, fixed: 232, palette: PALETTES.light });
    this.canvas = el("canvas", { role: "img", onclick: (e) => { // elsewhere, before it goes on from here
      if (run.branch && run.branch.able()) run.branch.move({ to: this.from(...pointOn(this.canvas, e)) });
    } });
    const names = head.groups, key = el("span", { class: "key" });
    if (this.hue && names) names.slice(0, GROUPS.length).forEach((name, k) => key.append(el("span", { class: "dot", style: `background:${GROUPS[k]}` }), el("span", { text: name.slice(0, 24) })));
    this.element = el("figure", { class: "plane" }, el("figcaption", { text: this.goal ? "latents; ring: encoder's place" : "latent plane" }), this.canvas, key);
  }
  colour(i) {
    if (!this.hue) return "#4f83bd";
    const v = this.hue.data[i];
    return this.head.groups ? GROUPS[Math.min(v, GROUPS.length - 1)] : ramp(CYCLE, v, true);
  }
  theme(palette) { this.palette = palette; this.back = null; }
  resize(width) { if (width !== this.size) { this.size = width; this.back = null; this.element.style.width = `${width + 2}px`; } }
  background() {
    // the noise at the start reaches far out: data fill half the width, and what lies outside stays
    // at the edge
    const ends = this.path.subarray(this.path.length - 2 * this.n), to = projector([this.cloud || ends, ends], this.size, this.size * 0.24);
    this.at = (x, y) => to(x, y).map((v) => clamp(v, 4, this.size - 4));
    const [ox, oy] = to(0, 0), scale = to(1, 0)[0] - ox;
    this.from = (px, py) => [(px - ox) / scale, (oy - py) / scale];
    this.back = el("canvas");
    const g = fit(this.back, this.size, this.size);
    g.fillStyle = this.palette.paper; g.fillRect(0, 0, this.size, this.size);
    for (let i = 0; this.cloud && i < this.cloud.length / 2; i++) {
      const [x, y] = this.at(this.cloud[2 * i], this.cloud[2 * i + 1]);
      g.globalAlpha = 0.75; g.fillStyle = this.colour(i);
      g.beginPath(); g.arc(x, y, 2, 0, 7); g.fill();
    }
  }
  draw(step, sample) {
    if (!this.back) this.background();
    const g = fit(this.canvas, this.size, this.size), { at, n, path, palette } = this, now = 2 * step * n;
    g.drawImage(this.back, 0, 0, this.size, this.size);
    g.fillStyle = palette.ink; g.strokeStyle = palette.paper; g.lineWidth = 0.6;
    for (let i = 0; i < n; i++) {
      const [x, y] = at(path[now + 2 * i], path[now + 2 * i + 1]);
      g.beginPath(); g.arc(x, y, 2.3, 0, 7); g.fill(); g.stroke();
    }
    const trail = () => { g.beginPath(); for (let s = 0; s <= step; s++) g.lineTo(...at(path[2 * (s * n + sample)], path[2 * (s * n + sample) + 1])); g.stroke(); };
    g.lineJoin = "round"; g.strokeStyle = palette.paper; g.lineWidth = 4.5; trail();
    g.strokeStyle = palette.accent; g.lineWidth = 2; trail();
    if (this.goal) { const [x, y] = at(this.goal[2 * sample], this.goal[2 * sample + 1]); g.lineWidth = 2; g.strokeStyle = palette.accent; g.beginPath(); g.arc(x, y, 8.5, 0, 7); g.stroke(); }
    const moved = this.run.branch && this.run.branch.moved, [x, y] = at(...(moved ? moved.to : [path[now + 2 * sample], path[now + 2 * sample + 1]]));
    g.fillStyle = palette.accent; g.strokeStyle = palette.paper; g.lineWidth = 1.5;
    g.beginPath(); g.arc(x, y, 5, 0, 7); g.fill(); g.stroke();
    this.canvas.setAttribute("aria-label", `latent plane at step ${step}: sample ${sample} at ${path[now + 2 * sample].toFixed(2)}, ${path[now + 2 * sample + 1].toFixed(2)}`);
  }
}

// Discrete latents of the chosen sample: a slot each, filled as its code is revealed.
export class Codes {
  constructor(run, own, about) {
    const [, n, m] = own("codes").shape;
    Object.assign(this, { about, n, m, codes: own("codes").data, goal: own("goal") && own("goal").data, fixed: m > 4 ? 250 : 120 });
    this.cells = Array.from({ length: m }, () => el("span", { class: "code" }));
    this.note = el("div", { class: "small soft" });
    if (run.branch) this.put = this.cells.map((_, j) => el("input", { type: "number", min: 0, max: about.codeMask - 1, placeholder: "other", "aria-label": `code of slot ${j} to go on with`, title: "another code, before it goes on from here",
      onchange: (e) => { const v = clamp(Math.round(+e.target.value), 0, about.codeMask - 1); run.branch.move({ codes: { ...(run.branch.moved && run.branch.moved.codes), [j]: v } }); } }));
    this.element = el("figure", { class: "codes" }, el("figcaption", { text: m > 1 ? "latent codes" : "latent code" }),
      el("div", { class: "slots" }, ...this.cells), this.note, this.row = this.put && el("div", { class: "slots", hidden: true }, ...this.put));
    this.run = run;
  }
  resize(width) { this.element.style.width = `${width}px`; }
  draw(step, sample) {
    let same = 0, filled = 0;
    if (this.row) this.row.hidden = !this.run.branch.able();
    for (let j = 0; j < this.m; j++) {
      const code = this.codes[(step * this.n + sample) * this.m + j], masked = code === this.about.codeMask, before = step > 0 ? this.codes[((step - 1) * this.n + sample) * this.m + j] : code;
      const cell = this.cells[j], text = masked ? "···" : String(code);
      if (cell.textContent !== text) cell.textContent = text;
      cell.className = "code" + (masked ? " masked" : "") + (code !== before ? " fresh" : "");
      filled += !masked; same += !masked && this.goal && code === this.goal[sample * this.m + j];
    }
    this.note.textContent = `${filled} of ${this.m} filled` + (this.goal && filled ? `; ${same} as the encoder would` : "");
  }
}

// The square of noise times: the staircase of knots, walked from pure noise (top right) to clean
// (bottom left).
export class PathSquare {
  constructor(about) {
    Object.assign(this, { about, fixed: 132 });
    const at = ([tx, tz]) => `${26 + tx * 96},${106 - tz * 96}`;
    this.points = about.knots.map(at);
    this.done = el("polyline", { class: "walked" });
    this.dot = el("circle", { r: 5, class: "now" });
    const name = (index, what, transform) => el("text", { "text-anchor": "middle", transform }, "t",
      el("tspan", { dy: 3, "font-size": 9, text: index }), el("tspan", { dy: -3, text: what }));
    this.svg = el("svg", { viewBox: "0 0 132 132", width: 132, height: 132, role: "img" },
      el("rect", { x: 26, y: 10, width: 96, height: 96, class: "square" }),
      el("polyline", { points: this.points.join(" "), class: "path" }), this.done,
      ...about.knots.map((k) => el("circle", { r: 1.7, class: "knot", cx: 26 + k[0] * 96, cy: 106 - k[1] * 96 })), this.dot,
      ...[["0", 26, 119], ["1", 122, 119], ["0", 20, 110], ["1", 20, 14]].map(([t, x, y], i) => el("text", { x, y, text: t, "text-anchor": i < 2 ? "middle" : "end" })),
      name("x", " tokens", "translate(74 123)"), name("z", " latents", "translate(13 58) rotate(-90)"));
    this.element = el("figure", { class: "square-view" }, el("figcaption", { text: "noise times" }), this.svg);
  }
  draw(step) {
    const [x, y] = this.points[step].split(",");
    this.done.setAttribute("points", this.points.slice(0, step + 1).join(" "));
    this.dot.setAttribute("cx", x); this.dot.setAttribute("cy", y);
    const [tx, tz] = this.about.knots[step];
    this.svg.setAttribute("aria-label", `noise times at step ${step}: tokens ${tx.toFixed(2)}, latents ${tz.toFixed(2)}`);
  }
}

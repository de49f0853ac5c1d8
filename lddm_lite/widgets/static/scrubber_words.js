// The chosen sample: bits as cells, pictures as cells in their rows, words as running text. A list
// box: arrow keys move through the positions.
import { inkOn } from "./colours.js";
import { el } from "./elements.js";
import { clamp } from "./numbers.js";
import { cellAt, labelOf } from "./scrubber_steps.js";
import { viewKind } from "./sequence_views.js";

export class Words {
  constructor(run, own, about, k) {
    Object.assign(this, { run, about, prob: own("prob").data, parent: own("parent") && own("parent").data, alts: own("alts"), altProb: own("altp").data, sample: -1, step: -1, at: -1 });
    this.cells = Array.from({ length: run.length }, (_, i) => el("span", { role: "option", id: `p${k}-${i}`, "aria-selected": "false" }));
    this.picture = viewKind(about) === "picture" ? about.view : null;
    this.inCells = about.bits || Boolean(this.picture);
    if (this.picture) this.cells.slice(0, this.picture.first).forEach((cell) => (cell.style.gridColumn = "1 / -1")); // such as its class
    this.element = el("div", { class: this.inCells ? "tokens bits" : "tokens text", role: "listbox", tabindex: 0, dir: "auto" }, ...this.cells);
    this.detail = el("div", { class: "detail small", "aria-live": "polite" });
    this.element.addEventListener("pointerover", (e) => this.cells.includes(e.target) && this.focus(this.cells.indexOf(e.target)));
    this.element.addEventListener("focus", () => this.focus(Math.max(0, this.at)));
    this.element.addEventListener("keydown", (e) => this.key(e));
    this.element.addEventListener("click", (e) => run.branch && run.branch.able() && this.cells.includes(e.target) && run.branch.touch(this.cells.indexOf(e.target)));
  }
  // as many bits in a row as fit, but a power of two, so that periods show
  resize(width) {
    if (!this.inCells) return;
    this.columns = this.picture ? this.picture.shape[1] : [128, 64, 32, 16].find((c) => c / 2 < this.run.length && (width - 14) / c >= 15.5) || 8;
    const cell = Math.max(4, Math.min(this.picture ? 26 : 19, Math.floor((width - 14) / this.columns)) - 2);
    this.element.style.setProperty("--cell", `${cell}px`);
    this.element.classList.toggle("tiny", cell < 10);
    this.element.style.gridTemplateColumns = `repeat(${this.columns}, var(--cell))`;
  }
  key(e) {
    if (e.key === "Enter" && this.run.branch && this.run.branch.able() && this.at >= 0) return this.run.branch.touch(this.at);
    const row = this.inCells ? this.columns : 1;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -1e9, End: 1e9 }[e.key];
    if (by === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault(); e.stopPropagation();
    let to = clamp(this.at + by, 0, this.run.length - 1);
    while (to > 0 && this.cells[to].hidden) to--; // padding
    this.focus(to);
  }
  focus(i) {
    if (this.at >= 0) this.cells[this.at].setAttribute("aria-selected", "false");
    this.at = i;
    this.cells[i].setAttribute("aria-selected", "true");
    this.element.setAttribute("aria-activedescendant", this.cells[i].id);
    this.tell();
  }
  tell() {
    const i = this.at, j = this.sample * this.run.length + i, when = this.run.when[j];
    if (i < 0) return this.detail.replaceChildren(el("span", { class: "soft", "data-screen": true, text: `Point at a position, or focus the tokens and use the arrow keys.${this.run.branch && this.run.branch.able() ? " Click one, or press Enter, to change it or make it a gap." : ""}` }));
    const name = `Position ${i}: `;
    if (when === 0) return this.detail.replaceChildren(name + "given.");
    if (when > this.step) return this.detail.replaceChildren(name + `masked until step ${when}.`);
    const word = labelOf(this.about, this.run.tokens[j]), p = this.prob[j] / 65535, top = this.alts.shape[2];
    const bars = Array.from({ length: top }, (_, a) => {
      const share = this.altProb[j * top + a] / 65535, text = labelOf(this.about, this.alts.data[j * top + a]);
      return el("span", { class: "alt", title: text }, el("span", { class: "fill", style: `width:${(100 * share).toFixed(1)}%` }),
        el("span", { class: "alt-word", text: text.slice(0, 40) }), el("span", { class: "number", text: share.toFixed(3) }));
    });
    this.detail.replaceChildren(el("span", {}, name, el("b", { text: word.slice(0, 60) }), ` revealed at step ${when} with probability ${p.toFixed(3)}. Best at that moment:`),
      el("span", { class: "alts" }, ...bars));
  }
  // the cell of position i as it stands at a step
  cell(i, step = this.step, sample = this.sample, numbers = this.numbers) {
    const { run, about } = this, j = sample * run.length + i, when = run.when[j], id = run.tokens[j], seen = when <= step, cell = this.cells[i];
    const { word, text, look } = cellAt(about, id, when, step, numbers), other = seen && this.parent && this.parent[j] !== id;
    cell.hidden = false;
    cell.textContent = text;
    cell.className = other ? `${look} other`.trim() : look;
    cell.style.background = seen && when > 0 ? run.colours[when] : "";
    cell.style.color = seen && when > 0 ? inkOn(run.colours[when]) : "";
    if (!this.inCells) cell.style.minWidth = `${Math.min(word.length, 24) + 0.6}ch`;
    if (numbers && !this.inCells && seen) cell.append(el("sup", { text: String(when) }));
    if (!seen) cell.setAttribute("aria-label", `position ${i}, masked`);
    else cell.removeAttribute("aria-label");
  }
  // only cells that changed are touched
  draw(step, sample, numbers, all) {
    const { run, about } = this, from = sample * run.length;
    all = all || sample !== this.sample || numbers !== this.numbers;
    for (let i = 0; i < run.length; i++) {
      const when = run.when[from + i], id = run.tokens[from + i], seen = when <= step, cell = this.cells[i];
      if (id === about.pad) { if (all) cell.hidden = true; continue; }
      const changed = all || seen !== when <= this.step;
      if (changed) this.cell(i, step, sample, numbers);
      if (changed || when === this.step || when === step) cell.classList.toggle("fresh", when === step && step > 0);
    }
    if (sample !== this.sample) this.element.setAttribute("aria-label", `tokens of sample ${sample}, ${about.name}`);
    const moved = all || step !== this.step;
    Object.assign(this, { step, sample, numbers });
    if (moved) this.tell();
  }
}

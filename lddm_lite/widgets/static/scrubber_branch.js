// Branches: what a reader changes at a step of a run, before it goes on from there. A token that is
// touched counts as given, one that is masked joins what is still to be revealed, latents move.
import { el } from "./elements.js";
import { labelOf } from "./scrubber_steps.js";

// Tokens out of what was typed at a position: symbols run together, or words between spaces; `_` or
// `?` is a gap. -> [[position, id]], id `mask` for a gap; throws an Error that says what is wrong.
export function typed(text, from, length, labels, mask) {
  const symbols = labels.slice(0, mask).every((w) => [...w].length <= 1), parts = symbols ? [...text.replace(/\s/g, "")] : text.trim().split(/\s+/);
  return parts.filter((p) => p).map((p, k) => {
    if (from + k >= length) throw new Error(`That is more than the ${length} positions.`);
    const id = p === "_" || p === "?" || p === "[MASK]" ? mask : labels.indexOf(p);
    if (id < 0 || id > mask) throw new Error(`“${p.slice(0, 30)}” is none of the model's ${mask} ${symbols ? "symbols" : "words"}.`);
    return [from + k, id];
  });
}

// run: a `Run` of the scrubber; own(name): its arrays; go({step, sample, edits, latents}): samples on;
// able(): is its model at hand, now?
export class Branch {
  constructor(run, own, about, go, able) {
    Object.assign(this, { run, own, about, go, able, edits: new Map(), moved: null, at: 0, mask: about.labels.length - 1 });
    this.choices = el("span", { class: "bar" });
    this.text = el("input", { type: "text", spellcheck: "false", autocomplete: "off", "aria-label": "type tokens from this position on; _ is a gap",
      placeholder: about.bits ? "or type: 01_1" : "or type words; _ is a gap",
      onkeydown: (e) => { if (e.key === "Enter") this.type(); }, onchange: () => this.type() });
    this.says = el("span", { class: "small", role: "status" });
    this.on = el("button", { class: "branch-go", onclick: () => go({ step: this.step, sample: this.sample, edits: [...this.edits], latents: this.moved }) });
    this.undo = el("button", { text: "Undo", onclick: () => { if (this.moved) this.moved = null; else this.edits.delete([...this.edits.keys()].pop()); this.show(); this.views(); } });
    this.element = el("div", { class: "branch", role: "group", "aria-label": `change ${about.name} and go on`, hidden: true, "data-screen": true },
      this.choices, this.text, el("span", { class: "bar" }, this.on, this.undo), this.says);
  }
  // another step or sample: nothing is changed yet
  draw(step, sample) {
    if (step === this.step && sample === this.sample) return this.show();
    Object.assign(this, { step, sample, moved: null });
    this.edits.clear();
    this.element.hidden = true;
    this.show();
  }
  touch(position) {
    this.at = position;
    const { about, own } = this, top = own("alts").shape[2], j = this.sample * this.run.length + position;
    const ids = about.labels.length <= 9 ? [...about.labels.keys()].slice(0, -1) : [...new Set([...own("alts").data.subarray(j * top, (j + 1) * top)].filter((id) => id !== this.mask))];
    const button = (id, text) => el("button", { text: text.slice(0, 24), onclick: () => { this.edits.set(position, id); this.show(); } });
    this.choices.replaceChildren(el("span", { class: "small", text: `Position ${position}:` }), ...ids.map((id) => button(id, labelOf(about, id))), button(this.mask, "mask"));
    this.element.hidden = false;
    this.says.textContent = "";
    this.show();
  }
  type() {
    try {
      for (const [position, id] of typed(this.text.value, this.at, this.run.length, this.about.labels, this.mask)) this.edits.set(position, id);
      this.says.textContent = "";
    } catch (e) { this.says.textContent = e.message; }
    this.text.value = "";
    this.show();
  }
  // latents [m d] or codes [m] that the chosen sample has from now on
  move(latents) {
    this.moved = latents;
    this.element.hidden = false;
    this.show();
    this.views();
  }
  views() { for (const view of this.run.views) view.draw(this.step, this.sample); }
  show() {
    const cells = this.run.words.cells, count = this.edits.size + (this.moved ? 1 : 0), end = this.step >= this.about.nfe;
    for (let i = 0; i < cells.length; i++) {
      if (cells[i].classList.contains("edited")) { cells[i].classList.remove("edited"); this.run.words.cell(i); }
    }
    for (const [i, id] of this.edits) {
      cells[i].className = id === this.mask ? "masked edited" : "given edited";
      cells[i].style.background = cells[i].style.color = "";
      cells[i].textContent = id === this.mask ? (this.run.words.inCells ? "" : "····") : labelOf(this.about, id).replace(/^##/, "");
    }
    this.on.textContent = end ? "▶ Fill the gaps" : `▶ Go on from step ${this.step}`;
    this.on.title = end ? "all other tokens are given; what is missing is drawn from pure noise on" : `${count} ${count === 1 ? "change" : "changes"}; what is untouched draws the same random numbers`;
    this.undo.disabled = !count;
    this.on.disabled = !(end ? [...this.edits.values()].includes(this.mask) : count);
    if (end && !this.element.hidden && !this.says.textContent) this.says.textContent = `At the end: “mask” makes a gap, and so does typing _; typed ${this.about.bits ? "bits" : "words"} are those that the model knows. An earlier step goes on from there.`;
  }
}

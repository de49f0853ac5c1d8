// One run of a sampler: its head line, tokens, what is known of the position in focus, and its
// pictures.
import { el } from "./elements.js";
import { Branch } from "./scrubber_branch.js";
import { Pictures } from "./scrubber_pictures.js";
import { maskedAt, revealColours } from "./scrubber_steps.js";
import { Structures } from "./scrubber_structures.js";
import { Codes, PathSquare, Plane, Raster, Whole } from "./scrubber_views.js";
import { Words } from "./scrubber_words.js";
import { viewKind } from "./sequence_views.js";

export class Run {
  constructor(run, k, head, arrays, last, pick, app) {
    const own = (name) => arrays[name + k];
    Object.assign(this, { run, last });
    this.length = own("tokens").shape[1];
    this.tokens = own("tokens").data; this.when = own("when").data;
    this.colours = revealColours(run.nfe, last);
    this.facts = { nfe: el("span", { title: "number of function evaluations: network calls so far, of all that the run makes" }), tx: el("span"), tz: el("span"), masked: el("span") };
    const noise = (name, value) => el("span", { title: `noise time of the ${name === "x" ? "tokens: 1 all masked" : "latents: 1 pure noise"}, 0 clean` }, " · t", el("sub", { text: name }), " ", value);
    this.line = el("p", { class: "line small soft number" }, this.facts.nfe, noise("x", this.facts.tx),
      run.latent === "none" ? null : noise("z", this.facts.tz), " · ", this.facts.masked);
    this.branch = app.branch && new Branch(this, own, run, (change) => app.branch(k, change), () => app.able(k));
    this.words = new Words(this, own, run, k);
    const kind = viewKind(run), views = [new ({ picture: Pictures, molecule: Structures }[kind] || Raster)(this, own, run, head, pick)];
    if (kind === "picture" || kind === "molecule") views.unshift(new Whole(this, run));
    if (own("plane")) views.push(new Plane(this, own, run, head));
    if (own("codes")) views.push(new Codes(this, own, run));
    if (run.latent !== "none") views.push(new PathSquare(run));
    this.views = views;
    this.element = el("article", { class: "run", "aria-label": run.name },
      el("div", { class: "run-head" }, el("h3", { text: run.name }), app.drop && run.branch && el("button", { text: "Drop", title: "remove this branch (Delete)", "aria-label": `drop ${run.name}`,
        "aria-keyshortcuts": "Delete", "data-screen": true, onclick: () => app.drop(k) })), this.line, this.words.element, this.words.detail, this.branch && this.branch.element,
      el("div", { class: "views" }, ...views.map((v) => v.element)));
  }
  draw(step, sample, numbers, all) {
    const s = Math.min(step, this.run.nfe), [tx, tz] = this.run.knots[s];
    const masked = maskedAt(this, this.run, s, sample);
    const facts = { nfe: `NFE ${s} of ${this.run.nfe}${step > s ? " (done)" : ""}`, tx: tx.toFixed(2), tz: tz.toFixed(2), masked: `${masked} masked` };
    for (const [name, text] of Object.entries(facts)) if (this.facts[name].textContent !== text) this.facts[name].textContent = text;
    this.spoken = `${this.run.name}: ${masked} masked`;
    this.words.draw(s, sample, numbers, all);
    if (this.branch) this.branch.draw(s, sample);
    for (const v of this.views) v.draw(s, sample, all);
  }
  theme(palette) { for (const v of this.views) v.theme && v.theme(palette); }
  // pixels of the views beside the picture of all samples
  get taken() { return this.views.reduce((sum, v) => sum + (v.fixed ? v.fixed + 18 : 0), 0); }
  // that picture takes what the others leave in the row, in every run the same: `taken`, of the run
  // that has most
  resize(width, taken) {
    this.words.resize(width);
    const rest = Math.min(width - taken >= 170 ? width - taken : width, 620);
    for (const v of this.views) if (v.resize) v.resize(Math.floor(Math.min(v.fixed || rest, width)));
  }
}

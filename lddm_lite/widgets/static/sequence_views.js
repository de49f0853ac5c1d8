// How a sequence is shown, in every widget alike: as a strip of bits, as words, as symbols run
// together, as a molecule's string, or as a picture.
import { ramp } from "./colours.js";
import { el, fit } from "./elements.js";
import { structure, whyNone } from "./molecules.js";
import { faults } from "./smiles.js";

const LONG = 80; // characters of a word that are shown
const FILLER = "·", MASKED = "[MASK]";
const GREYS = ["#f4f1ea", "#14181d"];

// The kind of a view: what the library says (scrubber_data.py `view`), else what the labels look like.
export function viewKind({ labels, view }) {
  if (view) return view.kind;
  const own = labels.filter((w) => w !== MASKED);
  return own.length === 2 && own.every((w) => w.length === 1) ? "bits" : own.every((w) => [...w].length <= 1) ? "symbols" : "words";
}

// about: {labels, pad, view}. Ids without a label, and -1, are masked.
// -> {kind, key, text(ids, most), show(ids, {before, given}) -> {element, draw(width, palette)}}
// `before`: ids, from which what differs is marked; `given`: for each position, was it given?
export function sequenceView(about) {
  const { labels, pad } = about, kind = viewKind(about), run = kind === "symbols" || kind === "molecule";
  const cut = (w) => (w.length > LONG ? w.slice(0, LONG) + "…" : w);
  const word = (id) => labels[id] ?? MASKED, masked = (id) => word(id) === MASKED;

  function text(ids, most = 400) {
    const words = [...ids].filter((id) => id !== pad).map((id) => cut(word(id)));
    const all = run || kind === "bits" ? words.map((w) => (w === MASKED ? "_" : w)).join("") : words.join(" ").replaceAll(" ##", "");
    return all.length > most ? all.slice(0, most) + "…" : all;
  }

  function bits(ids, { before, given }) {
    const canvas = el("canvas", { class: "strip", role: "img", "aria-label": `bits ${text(ids, 64)}` });
    return { element: canvas, draw(width, palette) {
      const rows = Math.ceil((ids.length * 1.8) / width), perRow = Math.ceil(ids.length / rows);
      const cell = Math.min(14, width / perRow), high = 15, mark = before || given ? 5 : 0;
      const g = fit(canvas, Math.round(cell * perRow), rows * (high + mark) + (rows - 1) * 2);
      g.clearRect(0, 0, canvas.width, canvas.height);
      const dense = window.devicePixelRatio || 1, edge = (c) => Math.round(c * cell * dense) / dense, gap = cell >= 6 ? 1 : 0;
      const colour = (k) => (masked(ids[k]) ? palette.mask : ids[k] ? palette.bit1 : palette.bit0);
      const marked = (k) => (before && before[k] !== ids[k] ? palette.accent : given && given[k] ? palette.soft : null);
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
        if (mark) bars(marked, y + high + 1, 4);
      }
    } };
  }

  function words(ids, { before, given }) {
    const p = el("div", { class: "words", dir: "auto" }), wrong = new Map(kind === "molecule" ? faults(ids.filter((id) => id !== pad).map(word)) : []);
    let last = ids.length, at = 0; // what fills a sentence up is left out
    while (last > 1 && labels[ids[last - 1]] === FILLER) last--;
    ids.slice(0, last).forEach((id, k) => {
      if (id === pad) return;
      const raw = word(id), fault = wrong.get(at++);
      if (!raw) return;
      const glued = run || raw.startsWith("##");
      const look = [before && before[k] !== id && "new", given && given[k] && "kept", masked(id) && "hidden-word", run && "symbol", fault && "fault"].filter(Boolean).join(" ");
      if (p.firstChild && !glued) p.append(" ");
      p.append(el("span", { class: look || null, title: fault, text: masked(id) ? "···" : cut(run ? raw : raw.replace(/^##/, "")) }));
    });
    return { element: p, draw() {}, wrong };
  }

  // the string, its structure if the library drew it, and what is wrong with it
  function molecule(ids, how) {
    const { element, draw, wrong } = words(ids, how), string = ids.filter((id) => id !== pad).map(word).join(""), drawn = structure(about.view, string);
    const why = [...wrong.values()].join("; ") || whyNone(about.view, string);
    return { element: el("div", { class: "molecule" }, drawn, element, why && el("p", { class: "soft small wrong", text: why })), draw };
  }

  function picture(ids, { before, given }) {
    const { shape: [rows, columns], first = 0 } = about.view, canvas = el("canvas", { class: "strip", role: "img", "aria-label": `a picture of ${rows} × ${columns}: ${text(ids, 64)}` });
    return { element: canvas, draw(width, palette) {
      const cell = Math.max(2, Math.min(14, Math.floor(width / columns))), g = fit(canvas, cell * columns, cell * rows);
      const own = labels.filter((w) => w !== MASKED).length - (pad >= 0 ? 1 : 0);
      for (let at = 0; at < rows * columns; at++) {
        const x = (at % columns) * cell, y = Math.floor(at / columns) * cell, k = first + at, id = ids[k]; // the first ones name a class
        g.fillStyle = masked(id) || id === pad ? palette.mask : own === 2 ? [palette.bit0, palette.bit1][id] : ramp(GREYS, about.view.shades[id]);
        g.fillRect(x, y, cell, cell);
        if (before && before[k] !== id) { g.strokeStyle = palette.accent; g.lineWidth = 1.5; g.strokeRect(x + 0.75, y + 0.75, cell - 1.5, cell - 1.5); }
        else if (given && given[k]) { g.fillStyle = palette.accent; g.fillRect(x, y, 2, 2); }
      }
    } };
  }

  const shown = { bits, words, symbols: words, molecule, picture }[kind];
  const key = kind === "bits" ? `light ${labels[0]}, dark ${labels[1]}` : kind === "picture" ? "light: low levels, dark: high ones" : "";
  return { kind, key, text, show: (ids, how = {}) => shown([...ids], how) };
}

// The latent explorer: the map, the sequence looked at, and the walk between two picked ones.
import { CYCLE, PALETTES } from "./colours.js";
import { el } from "./elements.js";
import { lookOf, pointMap } from "./latent_explorer_map.js";
import { walkRows } from "./latent_explorer_rows.js";
import { register } from "./mount.js";
import { clamp } from "./numbers.js";
import { sequenceView } from "./sequence_views.js";

const BEAT = 700; // ms a step is shown while playing
const NOBODY = "This walk is not stored: decoding it needs a running kernel. Between the ringed points, every walk is here.";

// Here the kernel decodes walks that are not stored.
register("latent-explorer", (frame, app, link) => drawExplorer(frame, app, link, {
  able: link.live, by: "the kernel",
  async ask(i, j) {
    const reply = await link.ask({ walk: [i, j] });
    if (!reply) throw new Error(NOBODY);
    if (reply.error) throw new Error(`The kernel could not decode this walk. ${reply.error}`);
    return { steps: reply.tokens, way: reply.coords };
  },
}));

// decoder: {ask(i, j) -> {steps: token ids, way: places on the map}, able(): can it now, by: who}
export function drawExplorer(frame, app, link, decoder) {
  const { head, arrays } = app, [n, length] = arrays.tokens.shape;
  const shown = sequenceView(head), row = (array, i) => Array.from(array.data.subarray(i * length, (i + 1) * length));
  const sequence = (i) => row(arrays.tokens, i);
  const groupOf = (i) => (head.hue === "groups" ? head.names[arrays.colour.data[i]] : "");
  const nameOf = (i) => `Sequence ${i}${groupOf(i) ? ` · ${groupOf(i)}` : head.hue === "circle" ? ` · hue ${arrays.colour.data[i].toFixed(2)}` : ""}`;

  // stored walks, both ways; later also those that the kernel sent
  const walks = new Map(), stored = [];
  for (let w = 0; w < arrays.walk_pairs.shape[0]; w++) {
    const [i, j] = arrays.walk_pairs.data.subarray(2 * w, 2 * w + 2);
    const from = arrays.walk_start.data[w], to = arrays.walk_start.data[w + 1], at = arrays.walk_coords.data;
    const steps = Array.from({ length: to - from }, (_, k) => row(arrays.walk_tokens, from + k));
    const way = steps.map((_, k) => [at[2 * (from + k)], at[2 * (from + k) + 1]]);
    stored.push([i, j]);
    walks.set(`${i}-${j}`, { steps, way });
    walks.set(`${j}-${i}`, { steps: [...steps].reverse(), way: [...way].reverse() });
  }

  let palette = PALETTES.light, picked = [], step = 0, timer = null, walk = null, width = 0, tour = 0;
  const live = el("div", { class: "live", "aria-live": "polite" });
  const message = el("p", { class: "message", role: "status", hidden: true });
  const say = (text) => ((message.textContent = text), (message.hidden = !text));

  // -- the map and its legend
  const map = pointMap(app, {
    focus(i, byKey) { readout(i); if (byKey && i !== null) live.textContent = `${nameOf(i)}: ${shown.text(sequence(i), 200)}`; },
    choose: (i) => pick(picked.length === 1 ? [...picked, i] : [i]),
    set: (end, i) => pick(end === 0 ? [i, ...picked.slice(1)] : [picked[0] ?? i, i]),
    clear: () => pick([]),
    live: decoder.able,
  });
  let lit = null;
  const legend = head.hue === "groups" ? el("div", { class: "legend", role: "group", "aria-label": "Categories: press one to see it alone" },
    ...head.names.map((name, k) => {
      const { colour, shape } = lookOf(k);
      const d = { circle: "M6 1.4a4.6 4.6 0 1 0 .01 0z", square: "M2 2h8v8H2z", triangle: "M6 1 11.3 10.2H.7z", diamond: "M6 .4 11.6 6 6 11.6.4 6z" }[shape];
      return el("button", { type: "button", "aria-pressed": "false", onclick: () => {
        lit = lit === k ? null : k;
        [...legend.children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === lit)));
        map.highlight(lit);
      } }, el("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, el("path", { d, fill: colour, stroke: "currentColor", "stroke-width": 0.7 })),
      el("span", { text: name }));
    })) : null;
  const scale = head.hue === "circle" ? el("div", { class: "ring-scale" }, el("span", { text: "hue 0" }),
    el("i", { style: `background:linear-gradient(90deg, ${[...CYCLE, CYCLE[0]].join(",")})` }), el("span", { text: "1 (0 again)" })) : null;
  const key = (text) => el("kbd", { text });
  const help = el("p", { class: "help", id: "map-help" }, "Click two points, or: ", key("arrows"), " next point, ", key("Shift"), "+", key("arrows"),
    " farther, ", key("Enter"), " picks A, then B, ", key("Esc"), " clears, ",
    key("R"), ` next ringed point. ${decoder.by === "the kernel" ? `Walks between the ${arrays.anchors.data.length} ringed points are stored; for others the kernel must be running.` : "Any two: the model decodes the walk here, in the page."}`);

  // -- the sequence looked at
  const readoutName = el("div", { class: "sub", style: "overflow-wrap:anywhere" }), readoutBody = el("div");
  const readoutBox = el("div", { class: "readout" }, readoutName, readoutBody);
  let readoutPart = null;
  function readout(i) {
    readoutName.textContent = i === null ? "No sequence under the pointer" : nameOf(i);
    readoutPart = i === null ? null : shown.show(sequence(i));
    readoutBody.replaceChildren(readoutPart ? readoutPart.element : el("span", { class: "soft", text: "Point at the map, or move over it with the arrow keys." }));
    if (readoutPart) readoutPart.draw(width - 20, palette);
  }

  // -- the walk
  const slider = el("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "Step of the walk", oninput: () => (stop(), go(+slider.value)) });
  const where = el("output");
  const play = el("button", { type: "button", class: "play", text: "Play", onclick: () => (timer ? stop() : start()) });
  const swap = el("button", { type: "button", text: "Swap A and B", onclick: () => pick([...picked].reverse()) });
  const next = el("button", { type: "button", text: "Next stored walk", onclick: () => pick(stored[(tour = (tour + 1) % stored.length)]) });
  const rows = walkRows(shown, (k) => (stop(), go(k)));
  const ends = [0, 1].map((k) => {
    const name = el("div", { class: "soft small" }), body = el("div");
    return { element: el("div", { class: "end" }, el("span", { class: `badge ${"ab"[k]}`, text: "AB"[k] }), name, body), name, body, part: null };
  });
  const bar = el("div", { class: "bar walk-bar" }, play, el("div", { class: "grow" }, slider, where), el("span", { class: "bar" }, swap, next));
  const walkBox = el("div", {}, ends[0].element, rows.element, ends[1].element, message);

  function start() {
    if (!walk) return;
    if (step >= walk.steps.length - 1) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => (step >= walk.steps.length - 1 ? stop() : go(step + 1)), BEAT);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function go(k) {
    step = k;
    slider.value = k;
    where.textContent = `${k + 1} of ${walk.steps.length}`;
    slider.setAttribute("aria-valuetext", `step ${k + 1} of ${walk.steps.length}: ${shown.text(walk.steps[k], 200)}`);
    rows.mark(k);
    map.draw({ step: k });
  }

  function pick(next, tell = true) {
    picked = [...next];
    if (tell) link.set("picked", picked);
    stop();
    ends.forEach((end, k) => {
      const i = picked[k];
      end.name.textContent = i === undefined ? `Pick ${k ? "where to walk to" : "a point to start from"}` : nameOf(i);
      end.part = i === undefined ? null : shown.show(sequence(i));
      end.body.replaceChildren(...(end.part ? [end.part.element] : []));
    });
    swap.disabled = picked.length < 2;
    say("");
    if (tell && picked.length === 1) live.textContent = `A is ${nameOf(picked[0])}. Now pick B.`;
    if (picked.length < 2) show(null);
    else if (walks.has(picked.join("-"))) show(walks.get(picked.join("-")));
    else ask(...picked);
    if (tell && picked.length === 2 && walk) live.textContent = `Walk from ${nameOf(picked[0])} to ${nameOf(picked[1])}, ${walk.steps.length} steps.`;
  }

  async function ask(i, j) {
    show(null);
    const here = () => picked[0] === i && picked[1] === j;
    if (!decoder.able()) return say(NOBODY);
    say(`This walk is decoded by ${decoder.by} …`);
    try {
      const found = await decoder.ask(i, j);
      walks.set(`${i}-${j}`, found);
      if (here()) (say(""), show(found), (live.textContent = `Decoded, ${found.steps.length} steps.`));
    } catch (e) {
      if (here()) say(e.message);
    }
  }

  function show(next) {
    walk = next;
    play.disabled = slider.disabled = !walk;
    rows.element.hidden = !walk;
    rows.fill(walk ? walk.steps : []);
    slider.max = walk ? walk.steps.length - 1 : 1;
    map.draw({ picked, way: walk ? walk.way : null, step: 0 });
    if (walk) go(0);
    else ((slider.value = 0), (where.textContent = ""), slider.setAttribute("aria-valuetext", "no walk"));
    paint();
  }

  function paint() {
    if (!width) return;
    if (readoutPart) readoutPart.draw(width - 20, palette);
    ends.forEach((end) => end.part && end.part.draw(width - 116, palette));
    rows.draw(width - 116, palette);
  }

  // -- together
  const grid = el("div", { class: "explorer" },
    el("div", { class: "map-column" }, el("figure", {}, el("figcaption", { text: head.note }), map.element), el("div", { class: "map-side" }, legend, scale, help)),
    el("div", {}, readoutBox, el("div", { class: "sub" }, "A walk, decoded step by step ", el("span", { class: "soft small", text: shown.key })), bar, walkBox));
  frame.classList.add("broad");
  frame.append(el("h3", { text: head.title }), grid, live);
  readout(null);
  pick(link.get("picked"), false);

  return {
    set(name, value) { if (name === "picked" && value.join("-") !== picked.join("-") && value.every((i) => i < n)) pick(value, false); },
    theme(next) { palette = next; map.theme(next); paint(); },
    resize(total) {
      const inner = total - 24, wide = inner >= 760;
      grid.classList.toggle("wide", wide);
      const size = Math.floor(wide ? clamp(inner * 0.45, 330, inner >= 1500 ? 590 : 520) : Math.min(inner, 520)) - 2;
      map.resize(size);
      grid.firstChild.style.maxWidth = wide ? `${size + 2}px` : "";
      width = wide ? inner - size - 28 : inner;
      paint();
    },
    close: stop,
  };
}

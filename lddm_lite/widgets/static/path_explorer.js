// The path explorer: lead and budgets above; the square of noise times, the numbers, and what the
// steps lose.
import { el } from "./elements.js";
import { register } from "./mount.js";
import { clamp } from "./numbers.js";
import { areaChart, leadChart } from "./path_charts.js";
import { RateGrid } from "./path_grid.js";
import { MARKS } from "./path_marks.js";
import { pathSquare } from "./path_square.js";

const BUDGETS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128];
// "t_x" -> t with an index, as nodes
const rich = (text) => text.split(/_(x|z)/).map((part, k) => (k % 2 ? el("sub", { text: part }) : part));
const LEADS = Array.from({ length: 51 }, (_, k) => k / 100);

register("path-explorer", (frame, app, link) => {
  const { head, arrays } = app;
  const grids = head.grids.map((about, k) => new RateGrid(about, arrays[`tokens${k}`], arrays[`latents${k}`]));
  const errors = head.grids.map((about, k) => ["tokens_se", "latents_se"].map((name) => arrays[name + k] &&
    new RateGrid({ ...about, log_snr: null }, arrays[name + k], arrays[name + k])));
  const limits = { lead: [0, 0.5], token_steps: [1, 128], latent_steps: [1, 128], which: [0, grids.length - 1] };
  const state = {};
  for (const [name, [low, high]] of Object.entries(limits)) state[name] = clamp(link.get(name), low, high);
  state.rate = link.get("rate");
  let timer = null, over = null, looking = null;

  // -- controls
  const live = el("div", { class: "live", "aria-live": "polite" });
  const put = (name, value) => change(name, clamp(value, ...limits[name]));
  const lead = el("input", { type: "range", min: 0, max: 0.5, step: 0.01, oninput: () => put("lead", +lead.value) });
  const leadOut = el("output", { class: "number", "aria-live": "off" });
  const presets = [["joint", 0], ["sequential", 0.5]].map(([text, value]) => el("button", { text, onclick: () => put("lead", value) }));
  const steps = (name, text) => {
    const number = el("input", { type: "number", min: 1, max: 128, "aria-label": `${text}, 1 to 128`,
      oninput: () => number.validity.valid && number.value !== "" && put(name, +number.value), onchange: () => put(name, Math.round(+number.value) || 1) });
    const slider = el("input", { type: "range", min: 0, max: BUDGETS.length - 1, step: 1, "aria-label": `${text}, slider`, oninput: () => put(name, BUDGETS[+slider.value]) });
    return { number, slider, show(value) {
      if (+number.value !== value) number.value = value;
      slider.value = BUDGETS.findLastIndex((b) => b <= value);
      slider.setAttribute("aria-valuetext", `${value} ${text}`);
    }, element: el("div", {}, el("div", { class: "bar" }, el("label", { text }, number)), slider) };
  };
  const budgets = { token_steps: steps("token_steps", "token steps"), latent_steps: steps("latent_steps", "latent steps") };
  const leadId = `lead-${Math.random().toString(36).slice(2, 8)}`;
  lead.id = leadId;
  const controls = el("div", { class: "px-controls" },
    el("div", {}, el("div", { class: "bar" }, el("label", { for: leadId, text: "lead" }, leadOut), el("span", {}, ...presets)), lead),
    budgets.token_steps.element, budgets.latent_steps.element);
  const task = el("select", { onchange: () => change("which", +task.value) }, ...grids.map((g, k) => el("option", { value: k, text: g.about.title })));
  const rates = [["tokens", "token rate ρ_x"], ["latents", "latent rate ρ_z"]].map(([value, text]) => el("button", { onclick: () => change("rate", value), "data-rate": value }, ...rich(text)));

  // -- the square
  const square = pathSquare({ lead: (v) => put("lead", v), point: look });
  const read = el("output", { class: "px-read small soft", "aria-live": "off" });
  const mark = (d, fill, text) => el("span", {}, el("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" },
    ...d.map((path, k) => el("path", { d: path, fill: fill[k], stroke: "#10151b", "stroke-width": 1.3 }))), text);
  const diamond = "M8 1.5 14.5 8 8 14.5 1.5 8z", disc = (r) => `M8 ${8 - r}a${r} ${r} 0 1 0 .01 0z`;
  const legend = el("div", { class: "px-legend small soft" }, mark([disc(5)], [MARKS.tokens], "tokens move"),
    mark([diamond], [MARKS.latents], "latents move"), mark([diamond, disc(3.2)], [MARKS.latents, MARKS.tokens], "both move"),
    el("span", { text: "A mark: a network call. Broad line: the path in infinitely many." }));

  // -- the numbers
  const cells = [0, 1, 2].map(() => [0, 1, 2].map(() => el("td")));
  const names = [el("span", { text: "in infinitely many steps" }), el("span"), el("span", { text: "excess: lost to the steps" })];
  const headed = (scope, ...children) => el("th", { scope }, ...children);
  const table = el("table", { class: "px-numbers" },
    el("thead", {}, el("tr", {}, headed("col", "Nats per sequence"), headed("col", "tokens"), headed("col", "latents"), headed("col", "bound"))),
    el("tbody", {}, ...cells.map((row, k) => el("tr", { class: ["px-stays", "", "px-lost"][k] }, headed("row", names[k]), ...row))));
  const truth = el("p", { class: "px-truth small soft" });

  // -- the charts
  const areas = [areaChart(0), areaChart(1)], leads = leadChart((v) => put("lead", v));
  const swatch = (k) => el("i", { class: `px-axis-${"xz"[k]}` }), leadText = el("span");
  const captions = [0, 1].map((k) => el("figcaption", {}, swatch(k), el("b", {}, ...rich(k ? "Latents: ρ_z along the walk" : "Tokens: ρ_x along the walk")),
    ...rich(`, nats per unit of t_${"xz"[k]}. Area: nats; hatched: excess`)));
  captions.push(el("figcaption", {}, el("b", { text: "Excess of this budget" }), ", ", swatch(0), "tokens on ", swatch(1), "latents", leadText));
  const figures = [...areas, leads].map((c, k) => el("figure", {}, captions[k], c.element));

  const main = el("div", { class: "px-main" },
    el("div", {}, el("div", { class: "bar", style: "margin-bottom:6px", role: "group", "aria-label": "rate shown in the square" }, ...rates),
      square.element, legend, read, figures[2]),
    el("div", { class: "px-right" }, table, truth, figures[0], figures[1]));
  const intro = el("p", { class: "px-intro small soft", text: "The bound is a line integral. In infinitely many steps every path costs the same (M11); in few, " +
    "each step loses what the things it draws at once have in common (M12)." });
  frame.classList.add("broad");
  frame.append(el("div", { class: "px-top" }, el("h3", { text: head.title }), grids.length > 1 ? el("label", { text: "task" }, task) : null), intro, controls, main, live);

  // -- what follows from the state
  function change(name, value, tell = true) {
    if (state[name] === value) return;
    state[name] = value;
    if (tell) link.set(name, value);
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => (live.textContent = spoken()), 500);
  }
  function excessOver(grid) { // does not depend on the lead: kept while that is dragged
    const key = `${state.which} ${state.token_steps} ${state.latent_steps}`;
    if (!over || over.key !== key) {
      const values = LEADS.map((v) => {
        const s = grid.walk(v, state.token_steps, state.latent_steps).sum;
        return [v, s.tokens - s.lineTokens, s.latents - s.lineLatents, s.nfe];
      });
      const total = (v) => v[1] + v[2];
      over = { key, values, total, least: values.reduce((best, v, k) => (total(v) < total(values[best]) - 1e-9 ? k : best), 0) };
    }
    return over;
  }
  let now = null;
  const spoken = () => `Lead ${state.lead.toFixed(2)}, ${state.token_steps} token and ${state.latent_steps} latent steps: ` +
    `${now.nfe} network calls. Bound ${now.total.toFixed(2)} nats in infinitely many steps, ${(now.total + now.excess).toFixed(2)} in these; excess ${now.excess.toFixed(2)}.`;

  function draw() {
    const grid = grids[state.which], { about } = grid, walk = grid.walk(state.lead, state.token_steps, state.latent_steps), s = walk.sum;
    const { values, total, least } = excessOver(grid), two = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2), give = (v, se) => (se ? `${two(v)} ± ${se.toFixed(2)}` : two(v));
    const rows = [[s.lineTokens, s.lineLatents + about.prior], [s.tokens, s.latents + about.prior], [s.tokens - s.lineTokens, s.latents - s.lineLatents]];
    now = { nfe: s.nfe, total: rows[0][0] + rows[0][1], excess: s.excess };
    rows.forEach(([x, z], k) => [x, z, x + z].forEach((v, c) => (cells[k][c].textContent = c === 2 ? give(v, [about.bound_se, about.bound_se, about.excess_se][k]) : two(v))));
    names[1].textContent = `in ${s.nfe} network call${s.nfe === 1 ? "" : "s"} (NFE)`;
    truth.textContent = (about.entropy ? `Every path must cost ${two(about.entropy[0] + about.encoder[0])}: the entropy H = ${two(about.entropy[0])}` +
      (about.encoder[0] ? ` and ${two(about.encoder[0])} for a latent that the tokens do not settle.` : ".") : "") +
      ` Tokens alone: ${[...new Set([state.token_steps, s.nfe])].map((n) => `${n} step${n === 1 ? "" : "s"} lose${n === 1 ? "s" : ""} ${two(grid.alone(n))}`).join(", ")}.`;
    lead.value = state.lead;
    leadOut.textContent = state.lead.toFixed(2);
    lead.setAttribute("aria-valuetext", `${state.lead.toFixed(2)}${state.lead === 0 ? ", joint" : state.lead === 0.5 ? ", sequential" : ""}`);
    presets.forEach((b, k) => b.setAttribute("aria-pressed", String(state.lead === k / 2)));
    rates.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.rate === state.rate)));
    for (const [name, control] of Object.entries(budgets)) control.show(state[name]);
    task.value = state.which;
    const best = values[least][0].toFixed(2), lowest = two(total(values[least]));
    const labels = [0, 1].map((k) => `${k ? "Latents" : "Tokens"} along the path: ${two(rows[0][k])} nats in infinitely many steps, ${two(rows[1][k])} in these.`);
    labels.push(`Excess against lead: ${two(total(values[0]))} nats joint, ${two(total(values[50]))} sequential, least at lead ${best} with ${lowest}.`);
    leadText.textContent = `: least ${lowest} at lead ${best}`;
    const shown = { grid, walk, labels, lead: state.lead, surface: state.rate, values, least, excess: s.excess, nfe: s.nfe, highest: grid.rhoX(1, 1),
      label: `${state.rate === "tokens" ? "token rate" : "latent rate"} of ${about.title}, path of lead ${state.lead.toFixed(2)} in ${s.nfe} steps` };
    square.draw(shown);
    for (const chart of [...areas, leads]) chart.draw(shown);
    Object.assign(frame.dataset, { lead: state.lead, nfe: s.nfe, bound: now.total, excess: s.excess });
    look(...(looking || [null, null]));
  }
  function look(x, z, byKey) {
    looking = x === null ? null : [x, z];
    if (x === null) { read.textContent = "Drag in the square to move the path; point, or use the arrow keys, to read rates."; return; }
    const grid = grids[state.which], [ex, ez] = errors[state.which], near = (v, e) => `${v.toPrecision(4)}${e ? ` ± ${(+e.toPrecision(1))}` : ""}`;
    const text = `t_x = ${x.toFixed(2)}, t_z = ${z.toFixed(2)}: ρ_x = ${near(grid.rhoX(x, z), ex && ex.rhoX(x, z))}, ` +
      `ρ_z = ${near(grid.rhoZ(x, z), ez && Math.abs(ez.rhoX(x, z)) * grid.slope(z))} nats per unit of time`;
    read.replaceChildren(...rich(text));
    if (byKey) live.textContent = text.replaceAll("_", " ");
  }

  return { // the first resize() follows at once
    set(name, value) { if (name in state) change(name, value, false); },
    theme(palette) { for (const part of [square, ...areas, leads]) part.theme(palette); },
    resize(total) {
      const inner = total - 24, wide = inner >= 700, side = wide ? Math.floor(clamp(inner * 0.345, 330, 356)) : Math.min(inner, 540);
      main.classList.toggle("wide", wide);
      main.firstChild.style.width = `${side}px`;
      square.resize(side);
      const rest = Math.floor(wide ? inner - side - 28 : inner);
      const two = rest >= 1000, each = two ? Math.floor((rest - 24) / 2) : rest, [x, z] = two ? [380, 380] : [196, 190];
      main.classList.toggle("two", two);
      areas[0].resize(each, x); areas[1].resize(each, z); leads.resize(side, 126);
      if (!now) draw();
    },
    close() { clearTimeout(timer); },
  };
});

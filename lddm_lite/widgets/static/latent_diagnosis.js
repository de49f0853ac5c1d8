// What does the latent know? Sequences drawn given each kind of latents, side by side, and what a
// diagnosis says in numbers.
import { chart, chartKey } from "./chart.js";
import { GROUPS, PALETTES } from "./colours.js";
import { el } from "./elements.js";
import { register } from "./mount.js";
import { clamp } from "./numbers.js";
import { sequenceView } from "./sequence_views.js";

const LATENTS = { true: ["true z", "the encoder's latents of this sequence, at the noise floor"], wrong: ["someone else's z", "the latents of the sequence before it"],
  none: ["no z", "pure noise, or all codes masked: what is known without latents"], sampled: ["sampled z", "latents that the model draws itself, beside the visible tokens"] };
const percent = (rate) => `${Math.round(100 * rate)} %`, signed = (v, digits = 2) => v.toFixed(digits).replace("-", "−");
const told = ([v, se], digits = 2) => (se ? `${signed(v, digits)} ± ${se.toFixed(digits)}` : signed(v, digits));

register("latent-diagnosis", (root, app) => {
  const { head: { title, labels, pad, view, kinds, rates, found }, arrays: { tokens } } = app, [, n, length] = tokens.shape;
  const shown = sequenceView({ labels, pad, view }), row = (block, i) => tokens.data.subarray((block * n + i) * length, (block * n + i + 1) * length);
  const colour = (kind) => GROUPS[Object.keys(LATENTS).indexOf(kind)], mark = (kind) => Object.keys(LATENTS).indexOf(kind);
  let palette = PALETTES.light, width = 640, rate = rates.length > 1 ? Math.min(2, rates.length - 1) : 0, sample = 0, parts = [];

  const choices = rates.map((r, k) => el("button", { type: "button", text: percent(r), "aria-pressed": "false", onclick: () => { rate = k; draw(); } }));
  const picker = el("input", { type: "number", min: 0, max: n - 1, value: 0, oninput: () => { if (picker.value !== "") { sample = clamp(Math.round(+picker.value), 0, n - 1); draw(); } } });
  const next = el("button", { type: "button", text: "Next", "aria-label": "next sequence", onclick: () => { sample = (sample + 1) % n; picker.value = sample; draw(); } });
  const cards = el("div", { class: "ld-cards" }), charts = el("div", { class: "ld-charts" }), live = el("div", { class: "live", "aria-live": "polite" });
  root.classList.add("broad");
  root.append(el("h3", { text: title }),
    el("div", { class: "bar ld-bar" }, el("span", { id: "masked-share", text: "tokens masked" }), el("span", { class: "bar", role: "group", "aria-labelledby": "masked-share" }, ...choices),
      el("label", { text: "sequence" }, picker, el("span", { class: "soft", text: `of ${n}` })), next),
    cards, charts, el("ul", { class: "ld-facts" }, ...facts().map((text) => el("li", { text }))), live);

  function card(name, why, edge, ids, how, note) {
    const part = shown.show(ids, how);
    parts.push(part);
    return el("div", { class: "ld-card", style: edge ? `border-left-color:${edge}` : null },
      el("h4", {}, el("span", { class: why ? "why" : null, title: why || null, text: name }), el("span", { class: "soft small number", text: note })), part.element);
  }
  function draw() {
    parts = [];
    choices.forEach((b, k) => b.setAttribute("aria-pressed", String(k === rate)));
    const real = row(0, sample), visible = row(1 + rate, sample), given = Array.from(visible, (id, j) => labels[id] !== "[MASK]" && id !== pad);
    const hidden = Array.from(visible).filter((id) => labels[id] === "[MASK]").length;
    cards.replaceChildren(card("The sequence", "", "", real, { given }, `${hidden} tokens masked${rates[rate] < 1 ? "; what is visible is marked" : ""}`),
      ...kinds.map((kind, k) => {
        const ids = row(1 + rates.length + rate * kinds.length + k, sample), same = ids.reduce((sum, id, j) => sum + (!given[j] && id !== pad && id === real[j]), 0);
        const cost = found.costs[keyOf(rates[rate])][kind];
        return card(...LATENTS[kind], colour(kind), ids, { before: real, given }, `${same} of ${hidden} as in the sequence; ${told(cost, 3)} nats a token`);
      }));
    live.textContent = `${percent(rates[rate])} masked, sequence ${sample}`;
    paint();
  }
  function keyOf(r) { return Object.keys(found.costs).find((k) => +k === r); }

  function line(of, what) {
    return kinds.map((kind) => ({ name: LATENTS[kind][0], why: LATENTS[kind][1], colour: colour(kind), mark: mark(kind), line: true,
      points: rates.filter((r) => of[Object.keys(of).find((k) => +k === r)]?.[kind]).map((r) => { const [y, se] = of[keyOf(r)][kind]; return { x: r, y, se, title: `${told([y, se], 3)} ${what} at ${percent(r)} masked` }; }) }));
  }
  function plot(name, why, series, label, size, rules = []) {
    const all = [...series.flatMap((s) => s.points.flatMap((p) => [p.y - 2 * (p.se || 0), p.y + 2 * (p.se || 0)])), ...rules.map((r) => r.y)], low = Math.min(0, ...all), high = Math.max(...all), room = 0.06 * (high - low || 1);
    return el("figure", { style: `width:${size}px` }, el("figcaption", {}, el("span", { class: "why", title: why, text: name })), chart({ width: size, height: 240, label: `${name}, by the share of masked tokens`, series, rules,
      x: { low: 0.15, high: 1.05, at: rates.map((r) => [r, percent(r)]), label: "share of tokens masked" }, y: { low, high: high + room, label } }), chartKey(series));
  }
  function left(size) {
    const bars = [["true z", found.left, colour("true"), "what one step for all tokens still loses, given the true latents"], ["no z", found.left_none, colour("none"), "the same without latents"],
      ["exact", found.shared === undefined ? null : [found.shared, 0], "var(--soft)", "what the tokens share under the task's own law"]].filter(([, v]) => v);
    const top = Math.max(...bars.map(([, [v, se]]) => v + 2 * se), 0.1), low = Math.min(0, ...bars.map(([, [v]]) => v)), long = size - 150, X = (v) => 74 + ((v - low) / (top - low)) * long;
    return el("figure", { style: `width:${size}px` }, el("figcaption", {}, el("span", { class: "why", title: "how much the tokens depend on each other once z is known, in nats a sequence: 0 means that one step can draw them all", text: "total correlation left, nats a sequence" })),
      el("svg", { class: "chart", width: size, height: 20 + 34 * bars.length, role: "img", "aria-label": bars.map(([name, v]) => `${name}: ${told(v)} nats`).join("; ") },
        ...bars.flatMap(([name, [v, se], fill, why], k) => [el("text", { class: "chart-text", x: 66, y: 25 + 34 * k, "text-anchor": "end", text: name }),
          el("rect", { x: Math.min(X(0), X(v)), y: 10 + 34 * k, width: Math.max(1, Math.abs(X(v) - X(0))), height: 22, style: `fill:${fill}` }, el("title", { text: why })),
          el("text", { class: "chart-text", x: X(Math.max(v, 0)) + 6, y: 25 + 34 * k, text: told([v, se]) })])));
  }
  function paint() {
    const inner = width - 24, columns = inner >= 1500 ? 3 : inner >= 860 ? 2 : 1;
    cards.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    for (const part of parts) part.draw((inner - (columns - 1) * 14) / columns - 24, palette);
    const each = Math.min(inner, inner >= 1110 ? Math.min(480, Math.floor(inner / 3) - 16) : 460);
    charts.replaceChildren(plot("what a masked token costs", "−log probability of the true token, in nats, given each kind of latents; bars are two standard errors", line(found.costs, "nats a token"), "nats a masked token", each),
      ...(found.excess && Object.keys(found.excess).length ? [plot("excess when all are drawn at once", "how much less likely the filled sequence is than true data, under the task's exact law, in nats", line(found.excess, "nats"), "excess, nats a sequence", each)] : []),
      ...(found.left_none ? [left(each)] : []));
  }
  // what follows from the numbers, where it does
  function facts() {
    const out = [], whole = found.costs[keyOf(rates[0])], part = found.costs[keyOf(rates[Math.min(2, rates.length - 1)])];
    if (!whole.true) return ["This model has no latents: what its tokens share is what a single step loses."];
    const gain = whole.none[0] - whole.true[0], noise = Math.hypot(whole.none[1], whole.true[1]);
    out.push(gain > 3 * noise ? `The tokens read z: the true one saves ${signed(gain, 3)} nats a token at ${percent(rates[0])} masked.` : "The true z saves the tokens nothing that can be told from noise: z says nothing to them, or they do not read it.");
    if (found.left && found.left_none && found.left_none[0] > 3 * found.left_none[1]) out.push(`Given the true z, ${told(found.left)} of ${told(found.left_none)} nats that the tokens share are left: the rest a single step no longer loses.`);
    const far = part.sampled[0] - part.true[0], most = part.wrong[0] - part.true[0], se = Math.hypot(part.sampled[1], part.true[1]);
    if (rates.length > 1 && most > 3 * se) out.push(far > 0.5 * most ? `With tokens visible, z that the model draws is nearly as misleading as someone else's (${signed(100 * far / most, 0)} % of the way): its latents do not follow what is given.` : `With tokens visible, z that the model draws lies ${signed(100 * Math.max(0, far) / most, 0)} % of the way from the true one to someone else's: its latents follow what is given.`);
    if (found.told) out.push(`z tells ${told(found.told)} nats of a sequence; the law that the model has of z loses ${told(found.law_loses)} nats.`);
    if (found.perplexity !== undefined) out.push(`${signed(found.perplexity, 1)} of ${found.codes} codes are in effect used.`);
    return out;
  }

  draw();
  return { set() {}, theme(next) { palette = next; paint(); }, resize(next) { width = next; paint(); }, close() {} };
});

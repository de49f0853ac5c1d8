// A chart of points and lines with its axes, as SVG; what a mark means stands in its title.
import { el } from "./elements.js";
import { ticks } from "./numbers.js";

const MARKS_OF = [(r) => `M0 ${-r}A${r} ${r} 0 1 1 -.01 ${-r}z`, (r) => `M${-r} ${-r}H${r}V${r}H${-r}z`, (r) => `M0 ${-1.3 * r}L${1.2 * r} ${0.9 * r}H${-1.2 * r}z`,
  (r) => `M0 ${-1.4 * r}L${1.3 * r} 0 0 ${1.4 * r} ${-1.3 * r} 0z`, (r) => `M0 ${1.3 * r}L${1.2 * r} ${-0.9 * r}H${-1.2 * r}z`];
export const markPath = (mark, r) => MARKS_OF[mark % MARKS_OF.length](r);

// x, y: {low, high, label, at: [[value, text]]}, `at` being made where it is left out.
// series: [{name, colour, mark, line, dash, points: [{x, y, r, se, title, faint, chosen, go}]}];
// `rules`: [{y, text}] across. go() where a mark is clicked.
export function chart({ width, height, x, y, series, rules = [], label }) {
  const left = 52, right = 14, top = 10, bottom = 38, wide = width - left - right, tall = height - top - bottom;
  const X = (v) => left + ((v - x.low) / (x.high - x.low)) * wide, Y = (v) => top + tall - ((v - y.low) / (y.high - y.low)) * tall;
  const inside = (v) => Math.min(top + tall, Math.max(top, v)), parts = [], front = [];
  const text = (v, at) => el("text", { class: "chart-text", ...at, text: String(v).replace("-", "−") });
  for (const [v, says] of y.at || ticks(y.low, y.high, 5).map((t) => [t, t])) parts.push(el("line", { class: "chart-grid", x1: left, x2: left + wide, y1: Y(v), y2: Y(v) }), text(says, { x: left - 7, y: Y(v) + 4, "text-anchor": "end" }));
  for (const [v, says] of x.at || ticks(x.low, x.high, 5).map((t) => [t, t])) parts.push(text(says, { x: X(v), y: top + tall + 16, "text-anchor": "middle" }));
  parts.push(el("path", { class: "chart-axes", d: `M${left} ${top}V${top + tall}H${left + wide}` }),
    text(x.label, { x: left + wide / 2, y: height - 4, "text-anchor": "middle" }), text(y.label, { transform: `translate(12 ${top + tall / 2}) rotate(-90)`, "text-anchor": "middle" }));
  for (const { y: v, text: says } of rules) parts.push(el("line", { class: "chart-rule", x1: left, x2: left + wide, y1: Y(v), y2: Y(v) }), text(says, { x: left + wide, y: Y(v) - 4, "text-anchor": "end" }));
  for (const { name, colour, mark, line, dash, points } of series) {
    if (line) parts.push(el("polyline", { class: "chart-line", points: points.map((p) => `${X(p.x)},${inside(Y(p.y))}`).join(" "), style: `stroke:${colour}`, "stroke-dasharray": dash || null }));
    for (const p of points) {
      const cx = X(p.x), cy = inside(Y(p.y)), big = (p.r || 4.5) + (p.chosen ? 3 : 0);
      if (p.se) parts.push(el("line", { class: "chart-bar", x1: cx, x2: cx, y1: inside(Y(p.y - 2 * p.se)), y2: inside(Y(p.y + 2 * p.se)), style: `stroke:${colour}`, opacity: p.faint ? 0.2 : 1 }));
      const shape = el("path", { class: `chart-mark${p.chosen ? " chosen" : ""}${p.go ? " can" : ""}`, d: markPath(mark, big), transform: `translate(${cx} ${cy})`, style: `fill:${colour}`, opacity: p.faint ? 0.22 : 1, onclick: p.go || (() => {}) }, el("title", { text: `${name}: ${p.title}` }));
      (p.chosen ? front : parts).push(shape);
    }
  }
  return el("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts, ...front);
}

// The marks of a chart and what they stand for.
export const chartKey = (series) => el("div", { class: "chart-key small" }, ...series.map(({ name, colour, mark, dash, why }) => el("span", { title: why || null, class: why ? "why" : null },
  el("svg", { width: 22, height: 14, viewBox: "-11 -7 22 14", "aria-hidden": "true" }, el("line", { x1: -11, x2: 11, y1: 0, y2: 0, style: `stroke:${colour}`, "stroke-width": 1.6, "stroke-dasharray": dash || null }), el("path", { d: markPath(mark, 4.5), style: `fill:${colour}` })), name)));

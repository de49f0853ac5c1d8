// The map: points on a canvas, another canvas above it for what moves, and the ways of reaching a
// point.
import { CYCLE, GROUPS, PALETTES, ramp } from "./colours.js";
import { el, fit, pointOn } from "./elements.js";
import { nearest, spacing, spread, toward, turn } from "./latent_explorer_places.js";
import { clamp, projector } from "./numbers.js";

const SHAPES = ["circle", "square", "triangle", "diamond"], KEPT = 27, JUMP = 60;

function tracePath(g, kind, x, y, r) {
  g.beginPath();
  if (kind === "circle") g.arc(x, y, r, 0, 2 * Math.PI);
  else if (kind === "square") g.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (kind === "triangle") (g.moveTo(x, y - r * 1.15), g.lineTo(x + r * 1.1, y + r * 0.8), g.lineTo(x - r * 1.1, y + r * 0.8), g.closePath());
  else (g.moveTo(x, y - r * 1.25), g.lineTo(x + r * 1.25, y), g.lineTo(x, y + r * 1.25), g.lineTo(x - r * 1.25, y), g.closePath());
}

// colour and shape of category k
export const lookOf = (k) => (k < KEPT ? { colour: GROUPS[k % 8], shape: SHAPES[k % 4] } : { colour: GROUPS[8], shape: "circle" });

// app: the payload. on: {focus(i, byKey), choose(i), set(end, i), clear(), live()}.
// -> {element, focus, draw(state), resize(size), theme(palette), highlight(group)}
export function pointMap(app, on) {
  const { head, arrays } = app, coords = arrays.coords.data, n = coords.length / 2, colour = arrays.colour.data;
  const base = el("canvas"), top = el("canvas");
  const element = el("div", { class: "map", tabindex: "0", role: "application", "aria-roledescription": "map",
    "aria-label": `Map of ${n.toLocaleString("en")} sequences`, "aria-describedby": "map-help" }, base, top);
  const anchors = new Set(arrays.anchors.data);
  let size = 0, palette = PALETTES.light, px = new Float32Array(0), project = null, lit = null;
  let state = { picked: [], way: null, step: 0 };
  const map = { element, focus: null };

  const among = (i) => lit === null || colour[i] === lit;

  function place() {
    const ring = head.circle ? [[-head.circle, -head.circle, head.circle, head.circle]] : [];
    project = projector([coords, arrays.walk_coords.data, ...ring], size, 22);
    px = spread(coords, project, spacing(size, n));
  }

  function drawBase() {
    if (!size) return;
    const g = fit(base, size, size), r = head.circle ? 4.2 : clamp(spacing(size, n) * 0.92, 2.2, 4.5);
    g.fillStyle = palette.paper;
    g.fillRect(0, 0, size, size);
    if (head.circle) {
      const [cx, cy] = project(0, 0), [x] = project(head.circle, 0);
      g.strokeStyle = palette.line;
      g.beginPath(); g.arc(cx, cy, x - cx, 0, 2 * Math.PI); g.stroke();
      g.beginPath(); g.moveTo(cx - 5, cy); g.lineTo(cx + 5, cy); g.moveTo(cx, cy - 5); g.lineTo(cx, cy + 5); g.stroke();
    }
    g.lineWidth = 0.6;
    for (let i = 0; i < n; i++) {
      const look = head.hue === "groups" ? lookOf(colour[i]) : { shape: "circle", colour: head.hue === "circle" ? ramp(CYCLE, colour[i], true) : "#4f83bd" };
      const dim = !among(i);
      g.globalAlpha = dim ? 0.12 : 0.92;
      g.fillStyle = look.colour;
      g.strokeStyle = palette.paper === "#ffffff" ? "rgba(28,33,39,0.45)" : "rgba(238,241,244,0.45)";
      tracePath(g, look.shape, px[2 * i], px[2 * i + 1], r);
      g.fill();
      if (!dim) g.stroke();
    }
    g.globalAlpha = 1;
  }

  function drawTop() {
    if (!size) return;
    const g = fit(top, size, size);
    g.clearRect(0, 0, size, size);
    g.lineWidth = 1.4;
    g.strokeStyle = palette.ink;
    for (const i of anchors) (tracePath(g, "circle", px[2 * i], px[2 * i + 1], 7.5), g.stroke());
    const [a, b] = state.picked;
    if (state.way) {
      const points = state.way.map(([x, y]) => project(x, y));
      if (a !== undefined) points[0] = [px[2 * a], px[2 * a + 1]];
      if (b !== undefined) points[points.length - 1] = [px[2 * b], px[2 * b + 1]];
      const line = () => (g.beginPath(), trace(g, points), g.stroke());
      g.lineJoin = "round";
      (g.strokeStyle = palette.paper), (g.lineWidth = head.circle ? 3.6 : 5), line();
      (g.strokeStyle = palette.accent), (g.lineWidth = 2), line();
      for (const [x, y] of points) {
        (g.fillStyle = palette.accent), (g.strokeStyle = palette.paper), (g.lineWidth = 1.2);
        tracePath(g, "circle", x, y, 4), g.fill(), g.stroke();
      }
      ends(g);
      const [x, y] = points[clamp(state.step, 0, points.length - 1)];
      (g.strokeStyle = palette.paper), (g.lineWidth = 6), tracePath(g, "circle", x, y, 13), g.stroke();
      (g.strokeStyle = palette.accent), (g.lineWidth = 3), tracePath(g, "circle", x, y, 13), g.stroke();
    } else ends(g);
    if (map.focus !== null) {
      const x = px[2 * map.focus], y = px[2 * map.focus + 1], r = state.picked.includes(map.focus) ? 16 : 8;
      (g.strokeStyle = palette.paper), (g.lineWidth = 5), tracePath(g, "circle", x, y, r), g.stroke();
      (g.strokeStyle = palette.ink), (g.lineWidth = 2), tracePath(g, "circle", x, y, r), g.stroke();
    }
  }

  // the way between points: along the circle where the latents lie on one
  function trace(g, points) {
    const [cx, cy] = project(0, 0);
    points.forEach(([x, y], k) => {
      if (!k || !head.circle) return g.lineTo(x, y);
      const [x0, y0] = points[k - 1], from = Math.atan2(y0 - cy, x0 - cx), to = Math.atan2(y - cy, x - cx);
      const by = turn(from, to);
      g.arc(cx, cy, Math.hypot(x - cx, y - cy), from, from + by, by < 0);
    });
  }

  // A round, B square, so that they differ in more than a letter
  function ends(g) {
    state.picked.forEach((i, k) => {
      const x = px[2 * i], y = px[2 * i + 1];
      (g.fillStyle = palette.paper), (g.strokeStyle = palette.ink), (g.lineWidth = 2);
      tracePath(g, k ? "square" : "circle", x, y, 9), g.fill(), g.stroke();
      g.fillStyle = palette.ink;
      g.font = "700 11px system-ui, sans-serif";
      (g.textAlign = "center"), (g.textBaseline = "middle");
      g.fillText("AB"[k], x, y + 0.5);
    });
  }

  function under(event) {
    const [x, y] = pointOn(base, event), free = !on.live();
    const first = (i) => free && anchors.has(i); // without a kernel only ringed points lead anywhere
    return nearest(px, x, y, among, first);
  }

  function look(i, byKey) {
    if (i === map.focus) return;
    map.focus = i;
    drawTop();
    on.focus(i, byKey);
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  element.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key, [a = 0, b = a] = state.picked;
    if (key in ARROWS) {
      const from = map.focus === null;
      if (from) look(a, true);
      const next = from ? null : toward(px, map.focus, ARROWS[key], e.shiftKey ? JUMP : 0, among);
      if (next !== null) look(next, true);
    } else if (key === "r") {
      const ring = [...anchors];
      look(ring[(ring.indexOf(map.focus) + 1) % ring.length], true);
    } else if (key === "Home") look(a, true);
    else if (key === "End") look(b, true);
    else if (key === "Escape") on.clear();
    else if ((key === "Enter" || key === " ") && map.focus !== null) on.choose(map.focus);
    else if ((key === "a" || key === "b") && map.focus !== null) on.set(key === "a" ? 0 : 1, map.focus);
    else return;
    e.preventDefault();
    e.stopPropagation();
  });
  base.addEventListener("pointermove", (e) => e.pointerType !== "touch" && look(under(e), false));
  base.addEventListener("pointerleave", () => !element.matches(":focus-visible") && look(null, false));
  base.addEventListener("click", (e) => {
    const i = under(e);
    if (i !== null) (look(i, false), on.choose(i));
  });

  return Object.assign(map, {
    draw(next) { state = { ...state, ...next }; drawTop(); },
    resize(next) { if (next !== size && next > 60) ((size = next), place(), drawBase(), drawTop()); },
    theme(next) { palette = next; drawBase(); drawTop(); },
    highlight(group) { lit = group; drawBase(); },
  });
}

// The integrands along the walk as areas, and the excess against the lead.
import { PALETTES } from "./colours.js";
import { el, fit, pointOn } from "./elements.js";
import { clamp, ticks } from "./numbers.js";
import { FONT, stepMark, write } from "./path_marks.js";

const channelColour = (palette, axis) => (palette === PALETTES.dark ? ["#6cb6ff", "#ff9d4d"] : ["#004f8c", "#b34700"])[axis];

const tiles = new Map();
function hatch(g, colour) {
  if (!tiles.has(colour)) {
    const tile = el("canvas", { width: 12, height: 12 }), h = tile.getContext("2d");
    h.strokeStyle = colour; h.lineWidth = 2.4;
    h.beginPath(); h.moveTo(-3, 9); h.lineTo(9, -3); h.moveTo(-3, 15); h.lineTo(15, -3); h.moveTo(3, 15); h.lineTo(15, 3); h.stroke();
    tiles.set(colour, tile);
  }
  const pattern = g.createPattern(tiles.get(colour), "repeat");
  pattern.setTransform(new DOMMatrix().scale(0.5 + 0.5 / (window.devicePixelRatio || 1)));
  return pattern;
}

// axis 0: tokens over t_x, 1: latents over t_z; time runs from 1 on the left to 0, as in sampling.
// The area under the curve is what the channel costs in infinitely many steps; hatched is what
// stale predictions add.
export function areaChart(axis) {
  const canvas = el("canvas", { class: "px-area", role: "img" });
  const left = 46, right = 10, top = 8, bottom = 34;
  let width = 0, height = 0, palette = PALETTES.light, state = null;

  function pieces({ grid, walk }, plot) {
    return walk.steps.filter(({ a, b }) => a[axis] > b[axis]).map(({ a, b }) => {
      const n = Math.max(2, Math.ceil((a[axis] - b[axis]) * plot / 4)), other = 1 - axis;
      const stale = axis ? grid.latent(a[0], a[1]) : grid.rhoX(a[0], a[1]);
      return Array.from({ length: n + 1 }, (_, k) => {
        const t = a[axis] + (b[axis] - a[axis]) * k / n, o = a[other] + (b[other] - a[other]) * k / n;
        return axis ? [t, grid.rhoZ(o, t), stale * grid.slope(t)] : [t, grid.rhoX(t, o), stale];
      });
    });
  }

  function draw() {
    if (!state || !width) return;
    const g = fit(canvas, width, height), plot = width - left - right, tall = height - top - bottom;
    const steps = pieces(state, plot), all = steps.flat();
    const curve = Math.max(...all.map((p) => p[1])), stale = Math.max(...all.map((p) => p[2]));
    const high = axis ? clamp(stale * 1.08, curve * 1.3, curve * 4.6) : state.highest * 1.08;
    const X = (t) => left + (1 - t) * plot, Y = (v) => top + tall * (1 - v / high), colour = channelColour(palette, axis);
    g.clearRect(0, 0, width, height);
    g.save();
    g.beginPath(); g.rect(left, top, plot, tall); g.clip();
    const along = (piece, k, back) => (back ? [...piece].reverse() : piece).forEach((p) => g.lineTo(X(p[0]), Y(p[k])));
    g.beginPath();
    for (const piece of steps) along(piece, 2);
    for (const piece of [...steps].reverse()) along(piece, 1, true);
    g.fillStyle = hatch(g, colour); g.fill();
    g.beginPath(); g.moveTo(X(1), Y(0));
    for (const piece of steps) along(piece, 1);
    g.lineTo(X(0), Y(0));
    g.globalAlpha = 0.28; g.fillStyle = colour; g.fill(); g.globalAlpha = 1;
    g.lineJoin = "round"; g.strokeStyle = colour; g.lineWidth = 1.6;
    g.beginPath();
    steps.forEach((piece, k) => { if (!k) g.moveTo(X(1), Y(0)); along(piece, 2); });
    g.lineTo(X(0), Y(0)); g.stroke();
    g.strokeStyle = palette.ink; g.lineWidth = 1.8;
    g.beginPath();
    for (const piece of steps) along(piece, 1);
    g.stroke();
    g.restore();
    axes(g, X, Y, high, plot, tall, steps);
    const upTo = (from, to) => {
      let most = 0;
      for (const p of all) { const x = X(p[0]); if (x >= from && x <= to) most = Math.max(most, p[1], p[2]); }
      return Y(most);
    };
    nat(g, plot * tall / high, plot, tall, upTo);
    if (stale > high) {
      const cut = steps.filter((p) => p.some((q) => q[2] > high)), at = X(cut[cut.length - 1][cut[0].length - 1][0]);
      label(g, `↑ up to ${stale > 100 ? Math.round(stale) : stale.toFixed(0)}, cut off`, Math.min(at - 6, left + plot - 6), top + 10, "right");
    }
  }
  // a patch of one nat, since areas are nats; above the curves where there is room, `upTo`(x, x)
  // telling how high they reach, else low on the right, for latents high on the left
  function nat(g, area, plot, tall, upTo) {
    const h = clamp(Math.sqrt(area), 14, (axis ? 44 : 32) * Math.max(1, tall / 160)), w = area / h;
    if (w > plot - 20) return;
    const room = [left + plot - w - 8, left + plot / 2, left + 12].find((at) => upTo(at - 48, at + w + 48) > top + h + 12);
    const x = room ?? (axis ? left + 12 : left + plot - w - 8), y = room !== undefined || axis ? top + 6 : top + tall - h - 7;
    g.strokeStyle = palette.ink; g.lineWidth = 1; g.setLineDash([3, 2]);
    g.fillStyle = palette.paper; g.globalAlpha = 0.75; g.fillRect(x, y, w, h); g.globalAlpha = 1;
    g.strokeRect(x, y, w, h); g.setLineDash([]);
    g.font = FONT; g.textBaseline = "middle"; g.fillStyle = palette.ink;
    if (w > 38) { g.textAlign = "center"; g.fillText("1 nat", x + w / 2, y + h / 2 + 0.5); }
    else label(g, "1 nat", x < left + plot / 3 ? x + w + 45 : x - 5, y + h / 2, "right");
  }
  function label(g, text, x, y, align) {
    g.font = FONT; g.textAlign = "left"; g.textBaseline = "middle";
    const w = g.measureText(text).width + 8, from = clamp(align === "right" ? x - w : x, left + 2, width - right - w - 2);
    g.fillStyle = palette.paper; g.globalAlpha = 0.9; g.beginPath(); g.roundRect(from, y - 9, w, 18, 3); g.fill(); g.globalAlpha = 1;
    g.fillStyle = palette.ink; g.fillText(text, from + 4, y + 0.5);
  }
  function axes(g, X, Y, high, plot, tall, steps) {
    g.strokeStyle = palette.soft; g.lineWidth = 1;
    g.beginPath(); g.moveTo(left - 0.5, top); g.lineTo(left - 0.5, top + tall + 0.5); g.lineTo(left + plot, top + tall + 0.5); g.stroke();
    g.font = FONT; g.fillStyle = palette.soft; g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of ticks(0, high, tall > 110 ? 4 : 3)) { g.fillText(v, left - 7, Y(v)); g.fillRect(left - 4, Y(v) - 0.5, 4, 1); }
    const gap = plot / Math.max(1, steps.length), radius = clamp(gap * 0.3, 0, 4.5);
    if (radius > 1.4) for (const p of steps) stepMark(g, X(p[0][0]), top + tall + 0.5, radius, !axis, axis);
    g.textBaseline = "top"; g.fillStyle = palette.soft;
    for (const t of [1, 0.5, 0]) {
      g.textAlign = t === 1 ? "left" : t ? "center" : "right";
      if (t === 0.5) write(g, axis ? "t_z = 0.5" : "t_x = 0.5", X(t), top + tall + 11);
      else g.fillText(t, X(t), top + tall + 11);
    }
  }
  return {
    element: canvas,
    draw(next) { state = next; canvas.setAttribute("aria-label", next.labels[axis]); draw(); },
    theme(next) { palette = next; draw(); },
    resize(w, h) { width = w; height = h; draw(); },
  };
}

// Excess nats of a budget over all leads, what tokens lose upon what latents lose. `values`: [lead,
// tokens, latents, nfe]; `least`: the index of the smallest sum
export function leadChart(onLead) {
  const canvas = el("canvas", { class: "px-lead", role: "img" });
  const left = 46, right = 16, top = 24, bottom = 26;
  let width = 0, height = 0, palette = PALETTES.light, state = null, drag = false;
  const pull = (e) => onLead(Math.round(50 * clamp((pointOn(canvas, e)[0] - left) / (width - left - right), 0, 1)) / 100);
  canvas.addEventListener("pointerdown", (e) => { if (!e.button) { drag = true; canvas.setPointerCapture(e.pointerId); pull(e); } });
  canvas.addEventListener("pointermove", (e) => drag && pull(e));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drag = false));

  function draw() {
    if (!state || !width) return;
    const { values, least, lead, excess, nfe } = state, g = fit(canvas, width, height), plot = width - left - right, tall = height - top - bottom;
    const stack = values.map(([v, x, z]) => [v, Math.max(0, z), Math.max(0, x + z)]);
    const high = Math.max(...stack.map((v) => v[2])) * 1.08 || 1, X = (v) => left + 2 * v * plot, Y = (v) => top + tall * (1 - Math.max(0, v) / high);
    g.clearRect(0, 0, width, height);
    const area = (upper, lower, colour) => {
      g.beginPath();
      stack.forEach((v) => g.lineTo(X(v[0]), Y(upper(v))));
      [...stack].reverse().forEach((v) => g.lineTo(X(v[0]), Y(lower(v))));
      g.globalAlpha = 0.28; g.fillStyle = colour; g.fill(); g.globalAlpha = 1;
    };
    area((v) => v[1], () => 0, channelColour(palette, 1));
    area((v) => v[2], (v) => v[1], channelColour(palette, 0));
    g.strokeStyle = palette.soft; g.lineWidth = 1;
    g.beginPath(); g.moveTo(left - 0.5, top); g.lineTo(left - 0.5, top + tall + 0.5); g.lineTo(left + plot, top + tall + 0.5); g.stroke();
    g.font = FONT; g.fillStyle = palette.soft; g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of ticks(0, high, 3)) { g.fillText(v, left - 7, Y(v)); g.fillRect(left - 4, Y(v) - 0.5, 4, 1); }
    g.textBaseline = "top";
    for (const [v, text, align] of [[0, "0 joint", "left"], [0.25, "0.25", "center"], [0.5, "sequential 0.5", "right"]]) {
      g.textAlign = align; g.fillText(text, X(v), top + tall + 7);
    }
    g.lineJoin = "round"; g.lineWidth = 1.8; g.strokeStyle = palette.ink;
    g.beginPath(); stack.forEach((v) => g.lineTo(X(v[0]), Y(v[2]))); g.stroke();
    g.beginPath(); g.arc(X(stack[least][0]), Y(stack[least][2]), 6, 0, 7); g.stroke();
    g.strokeStyle = palette.accent; g.lineWidth = 1.5; g.setLineDash([4, 3]);
    g.beginPath(); g.moveTo(X(lead), top); g.lineTo(X(lead), top + tall); g.stroke(); g.setLineDash([]);
    g.beginPath(); g.arc(X(lead), Y(excess), 5, 0, 7); g.fillStyle = palette.accent; g.fill(); g.strokeStyle = palette.paper; g.stroke();
    g.fillStyle = palette.accent; g.textBaseline = "bottom"; g.textAlign = "left"; g.font = "600 " + FONT;
    const text = `${excess.toFixed(2)} in ${nfe} calls`, w = g.measureText(text).width;
    g.fillText(text, clamp(X(lead) - w / 2, left, width - right - w), top - 5);
  }
  return {
    element: canvas,
    draw(next) { state = next; canvas.setAttribute("aria-label", next.labels[2]); draw(); },
    theme(next) { palette = next; draw(); },
    resize(w, h) { width = w; height = h; draw(); },
  };
}

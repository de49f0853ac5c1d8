// The square of noise times: a rate as a heat map, the path, and the walk of the sampler over its
// knots.
import { PALETTES, REVEAL, ramp, rgb } from "./colours.js";
import { el, fit, pointOn } from "./elements.js";
import { clamp, ticks } from "./numbers.js";
import { pathCorners } from "./path_knots.js";
import { FONT, stepMark, write } from "./path_marks.js";

const HEAT = 96; // cells of the heat map each way

function heatMap(grid, surface) {
  const value = surface === "latents" ? (x, z) => Math.log10(grid.rhoZ(x, z)) : (x, z) => grid.rhoX(x, z);
  const values = new Float64Array(HEAT * HEAT);
  for (let j = 0; j < HEAT; j++) for (let i = 0; i < HEAT; i++) values[j * HEAT + i] = value(i / (HEAT - 1), 1 - j / (HEAT - 1));
  const low = Math.min(...values), high = Math.max(...values), range = Math.max(high - low, 1e-9);
  const colours = Array.from({ length: 256 }, (_, k) => rgb(ramp(REVEAL, k / 255)));
  const canvas = el("canvas", { width: HEAT, height: HEAT }), g = canvas.getContext("2d"), image = g.createImageData(HEAT, HEAT);
  values.forEach((v, k) => image.data.set([...colours[Math.round(255 * (v - low) / range)], 255], 4 * k));
  g.putImageData(image, 0, 0);
  return { canvas, low, high };
}

// `on.lead(value)`: dragged to another lead. `on.point(t_x, t_z, byKey)`, or (null): where the
// reader looks.
export function pathSquare(on) {
  const canvas = el("canvas", { class: "px-square", tabindex: 0, role: "application", "aria-roledescription": "map of rates" });
  const left = 52, top = 8, bottom = 46, right = 62;
  let size = 0, width = 0, palette = PALETTES.light, state = null, heat = null, key = null, point = null, drag = false;
  const X = (t) => left + t * size, Y = (t) => top + (1 - t) * size;
  const timesAt = (e) => {
    const [x, y] = pointOn(canvas, e);
    return [clamp((x - left) / size, 0, 1), clamp(1 - (y - top) / size, 0, 1)];
  };
  const inside = (e) => {
    const [x, y] = pointOn(canvas, e).map((v, k) => v - [left, top][k]);
    return x >= -6 && x <= size + 6 && y >= -6 && y <= size + 6;
  };
  function look(next, byKey) {
    point = next;
    on.point(...(point || [null, null]), byKey);
    draw();
  }
  function pull(e) {
    const [x, z] = timesAt(e), gap = Math.max(0, x - z);
    on.lead(Math.round(100 * gap / (1 + gap)) / 100);
  }
  canvas.addEventListener("pointerdown", (e) => {
    if (!inside(e) || e.button) return;
    drag = true;
    canvas.setPointerCapture(e.pointerId);
    pull(e); look(timesAt(e));
  });
  canvas.addEventListener("pointermove", (e) => {
    if (drag) pull(e);
    if (drag || inside(e)) look(timesAt(e));
    else if (point) look(null);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drag = false));
  canvas.addEventListener("pointerleave", () => drag || look(null));
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && !point && look([0.5, 0.5], true));
  canvas.addEventListener("blur", () => look(null));
  canvas.addEventListener("keydown", (e) => {
    const by = e.shiftKey ? 0.1 : 0.02, move = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] }[e.key];
    if (e.key === "Escape" && point) return look(null, true);
    if (!move || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const from = point || [0.5, 0.5];
    look(point ? from.map((v, k) => clamp(Math.round((v + move[k]) * 50) / 50, 0, 1)) : from, true);
  });

  function draw() {
    if (!state || !size) return;
    const { grid, surface, walk, lead } = state, height = top + size + bottom, g = fit(canvas, width, height);
    if (key !== grid || heat.surface !== surface) { key = grid; heat = { ...heatMap(grid, surface), surface }; }
    g.clearRect(0, 0, width, height);
    g.imageSmoothingEnabled = true; g.imageSmoothingQuality = "high";
    g.drawImage(heat.canvas, left, top, size, size);
    axes(g);
    bar(g, surface);
    g.lineJoin = g.lineCap = "round";
    const trace = (points, w, colour, dash = []) => {
      g.beginPath();
      points.forEach(([x, z], k) => (k ? g.lineTo(X(x), Y(z)) : g.moveTo(X(x), Y(z))));
      g.lineWidth = w; g.strokeStyle = colour; g.setLineDash(dash); g.stroke(); g.setLineDash([]);
    };
    trace(pathCorners(lead), 11, "rgba(255,255,255,0.42)");
    trace(walk.knots, 4.5, "#10151b"); trace(walk.knots, 2.2, "#ffffff");
    const spacing = (2 * size) / walk.steps.length, radius = clamp(spacing * 0.4, 1.5, 6);
    arrows(g, pathCorners(lead));
    for (const { a, b } of walk.steps) stepMark(g, X(a[0]), Y(a[1]), radius, a[0] > b[0], a[1] > b[1]);
    g.beginPath(); g.arc(X(0), Y(0), 4, 0, 7); g.fillStyle = "#ffffff"; g.fill(); g.lineWidth = 1.5; g.strokeStyle = "#10151b"; g.stroke();
    tag(g, "pure noise ↗", X(1) - 16, Y(1) + 15, "right");
    tag(g, "↙ clean", X(0) + 7, Y(0.34), "left");
    if (point) {
      g.strokeStyle = "#10151b"; g.lineWidth = 3; cross(g); g.stroke();
      g.strokeStyle = "#ffffff"; g.lineWidth = 1.2; cross(g); g.stroke();
    }
  }
  function cross(g) {
    const [x, y] = [X(point[0]), Y(point[1])];
    g.beginPath(); g.moveTo(x - 9, y); g.lineTo(x + 9, y); g.moveTo(x, y - 9); g.lineTo(x, y + 9);
  }
  function tag(g, text, x, y, align) {
    g.font = FONT; g.textAlign = "left"; g.textBaseline = "middle";
    const w = g.measureText(text).width + 10, from = align === "right" ? x - w : x;
    g.fillStyle = "rgba(10,14,20,0.78)";
    g.beginPath(); g.roundRect(from, y - 9, w, 18, 4); g.fill();
    g.fillStyle = "#ffffff"; g.fillText(text, from + 5, y + 0.5);
  }
  // the direction of sampling, beside each leg of the path that is long enough
  function arrows(g, corners) {
    for (let k = 0; k < 3; k++) {
      const [a, b] = [corners[k], corners[k + 1]], dx = X(b[0]) - X(a[0]), dy = Y(b[1]) - Y(a[1]), long = Math.hypot(dx, dy);
      if (long < 96) continue;
      const ux = dx / long, uy = dy / long, off = 17, n = 15; // n: half the length of the arrow; off: to the upper left
      const mx = (X(a[0]) + X(b[0])) / 2 - uy * off, my = (Y(a[1]) + Y(b[1])) / 2 + ux * off;
      for (const [w, colour] of [[4.5, "#10151b"], [2, "#ffffff"]]) {
        g.beginPath(); g.lineWidth = w; g.strokeStyle = colour;
        g.moveTo(mx - ux * n, my - uy * n); g.lineTo(mx + ux * n, my + uy * n);
        g.lineTo(mx + ux * (n - 7) - uy * 5, my + uy * (n - 7) + ux * 5);
        g.moveTo(mx + ux * n, my + uy * n); g.lineTo(mx + ux * (n - 7) + uy * 5, my + uy * (n - 7) - ux * 5);
        g.stroke();
      }
    }
  }
  function axes(g) {
    g.strokeStyle = palette.soft; g.lineWidth = 1; g.strokeRect(left - 0.5, top - 0.5, size + 1, size + 1);
    g.font = FONT; g.fillStyle = palette.soft; g.textBaseline = "top"; g.textAlign = "center";
    for (const t of [0, 0.25, 0.5, 0.75, 1]) g.fillText(t, X(t), top + size + 10);
    g.textBaseline = "middle"; g.textAlign = "right";
    for (const t of [0, 0.25, 0.5, 0.75, 1]) g.fillText(t, left - 6, clamp(Y(t), top + 6, top + size - 4));
    g.fillStyle = palette.ink; g.textBaseline = "alphabetic";
    write(g, "token noise time t_x", X(0.5), top + size + 39);
    g.save(); g.translate(12, Y(0.5)); g.rotate(-Math.PI / 2); write(g, "latent noise time t_z", 0, 0); g.restore();
  }
  function bar(g, surface) {
    const x = left + size + 14, log = surface === "latents", { low, high } = heat;
    const gradient = g.createLinearGradient(0, top + size, 0, top);
    REVEAL.forEach((c, k) => gradient.addColorStop(k / (REVEAL.length - 1), c));
    g.fillStyle = gradient; g.fillRect(x, top, 12, size);
    g.strokeStyle = palette.soft; g.lineWidth = 1; g.strokeRect(x - 0.5, top - 0.5, 13, size + 1);
    g.font = FONT; g.fillStyle = palette.soft; g.textAlign = "left"; g.textBaseline = "middle";
    const round = log ? [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100].map(Math.log10).filter((v) => v >= low && v <= high) : ticks(low, high, 5);
    for (const v of round) {
      const y = clamp(top + size * (1 - (v - low) / (high - low)), top + 6, top + size - 5);
      g.fillRect(x + 13, y - 0.5, 4, 1);
      g.fillText(log ? +(10 ** v).toPrecision(2) : v, x + 20, y);
    }
  }
  return {
    element: canvas,
    draw(next) {
      state = next;
      canvas.setAttribute("aria-label", `Square of noise times, ${next.label}. Arrow keys read the rates at a point; the lead slider moves the path.`);
      draw();
    },
    theme(next) { palette = next; draw(); },
    resize(total) { width = total; size = total - left - right; draw(); },
  };
}

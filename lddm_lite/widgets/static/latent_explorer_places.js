// Places on the map, in pixels (px: x, y, x, y, ...): of all points, of the one under the pointer
// or in a direction, and the way round a circle.
import { clamp } from "./numbers.js";

const NEAR = 14, ON = 9; // pixels: so near a point is meant, so near a preferred one is

// pixels between neighbours in a spiral: all n of them cover about a sixth of the map
export const spacing = (size, n) => clamp(size * Math.sqrt(0.05 / n), 1.8, 6);

// Where the points of `coords` (x, y, x, y, ...) lie. Those at one place lie in a spiral around it.
export function spread(coords, project, gap) {
  const px = new Float32Array(coords.length), met = new Map();
  for (let i = 0; i < coords.length / 2; i++) {
    const [x, y] = project(coords[2 * i], coords[2 * i + 1]);
    const key = `${coords[2 * i]},${coords[2 * i + 1]}`, k = met.get(key) || 0;
    met.set(key, k + 1);
    px[2 * i] = x + gap * Math.sqrt(k) * Math.cos(k * 2.399963); // the golden angle: no two in line
    px[2 * i + 1] = y + gap * Math.sqrt(k) * Math.sin(k * 2.399963);
  }
  return px;
}

// The nearest point to (x, y) out of those that `among(i)` lets through; null where none is near.
// Points for which `first(i)` holds come before the others.
export function nearest(px, x, y, among, first) {
  let best = null, least = NEAR * NEAR;
  for (let i = 0; i < px.length / 2; i++) {
    let d = (px[2 * i] - x) ** 2 + (px[2 * i + 1] - y) ** 2;
    if (d < ON * ON && first(i)) d /= 1e4;
    if (d < least && among(i)) (least = d), (best = i);
  }
  return best;
}

// The nearest point within 45 degrees of a direction, from point `from` or from `jump` pixels
// beyond it, out of those that `among(i)` lets through; null where there is none.
export function toward(px, from, [dx, dy], jump, among) {
  let best = null, least = Infinity;
  for (let i = 0; i < px.length / 2; i++) {
    if (i === from || !among(i)) continue;
    const x = px[2 * i] - px[2 * from], y = px[2 * i + 1] - px[2 * from + 1];
    const along = x * dx + y * dy, aside = Math.abs(x * dy - y * dx);
    if (along <= 1e-6 || aside > along) continue;
    const d = (along - jump) ** 2 + aside ** 2;
    if (d < least) (least = d), (best = i);
  }
  return best;
}

// The shorter way round a circle from one angle to another, in radians: in [-pi, pi].
export const turn = (from, to) => Math.atan2(Math.sin(to - from), Math.cos(to - from));

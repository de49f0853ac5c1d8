// Walks between latents and where they lie on a map: diffusion/interpolation.py, and `place` of
// plots/latent_map.py.
const FINE = 64, NEIGHBOURS = 5, SAME = 1e-6;

const norm = (v) => Math.hypot(...v), dot = (a, b) => a.reduce((sum, v, k) => sum + v * b[k], 0), unit = (v) => { const by = norm(v); return v.map((x) => (by > 1e-12 ? x / by : 0)); };

// The point at share u of the shorter great circle from a to b, arrays [d].
export function slerp(a, b, u) {
  const ua = unit(a), ub = unit(b), angle = 2 * Math.atan2(norm(ua.map((v, k) => v - ub[k])), norm(ua.map((v, k) => v + ub[k])));
  let side = ub;
  if (Math.PI - angle < 1e-4) { // opposite: over the axis that is most nearly perpendicular
    const least = ua.reduce((best, v, k) => (Math.abs(v) < Math.abs(ua[best]) ? k : best), 0);
    side = ua.map((_, k) => (k === least ? 1 : 0));
  }
  const along = dot(side, ua), away = unit(side.map((v, k) => v - along * ua[k])), size = (1 - u) * norm(a) + u * norm(b);
  return ua.map((v, k) => (Math.cos(u * angle) * v + Math.sin(u * angle) * away[k]) * size);
}

// From latents za to zb, both ends included. Numbers [m d]: `steps` points. Codes [m]: through the
// codes of `used` that lie nearest to the arcs, whose vectors are `book` [U][d], slots in `order`.
export function walkBetween(za, zb, { steps, slots, dim, used = null, book = null, order = [] }) {
  const slot = (z, j) => z.slice(j * dim, (j + 1) * dim);
  if (!used) return Array.from({ length: steps }, (_, k) => Array.from({ length: slots }, (_, j) => slerp(slot(za, j), slot(zb, j), k / (steps - 1))).flat());
  const points = [[...za]], at = (code) => book[used.indexOf(code)];
  for (const j of order) {
    const codes = Array.from({ length: FINE }, (_, k) => {
      const p = slerp(at(za[j]), at(zb[j]), k / (FINE - 1)), near = book.map((v) => dot(v, p));
      return used[near.indexOf(Math.max(...near))];
    });
    for (const code of [...codes.slice(1, -1), zb[j]]) {
      const last = points[points.length - 1];
      if (code !== last[j]) points.push(last.map((v, k) => (k === j ? code : v)));
    }
  }
  if (points.length === 1) return [[...za], [...za]];
  const kept = Math.min(steps, points.length);
  return Array.from({ length: kept }, (_, k) => points[even((k * (points.length - 1)) / (kept - 1))]);
}

// rounded as torch does: halves to the even side
export function even(v) {
  const r = Math.round(v);
  return Math.abs(v - Math.floor(v) - 0.5) < 1e-9 && r % 2 ? r - 1 : r;
}

// How latents, as flat vectors, come onto a map: `map` {kind, mean, axes}; `points`, `coords`: the
// vectors that stand on it, and where.
export function placer(map, points, coords) {
  if (map.kind === "plane") return (v) => [v[0], v[1]];
  if (map.kind === "pca") return (v) => map.axes.map((axis) => axis.reduce((sum, a, k) => sum + a * (v[k] - map.mean[k]), 0));
  const found = new Map(points.map((p, i) => [p.join(), i])), own = [...found.values()].map((i) => [points[i], coords[i]]);
  const scale = Math.max(own.reduce((sum, [p]) => sum + dot(p, p), 0) / own.length, 1e-12);
  return (v) => {
    const near = own.map(([p, at]) => [p.reduce((sum, x, k) => sum + (x - v[k]) ** 2, 0), at]).sort((a, b) => a[0] - b[0]).slice(0, NEIGHBOURS);
    if (near[0][0] < SAME * scale) return near[0][1];
    const weight = near.map(([d]) => 1 / Math.max(d, 1e-30)), all = weight.reduce((a, b) => a + b);
    return [0, 1].map((k) => near.reduce((sum, [, at], i) => sum + weight[i] * at[k], 0) / all);
  };
}

// Arithmetic of pictures: ranges, round numbers on an axis, points into a square.

export const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

// round numbers from low to high, about `count` of them
export function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough), out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) out.push(+v.toPrecision(10));
  return out;
}

// How points come into a square of `size` pixels, alike in both directions: `arrays` of them (flat:
// x, y, x, y, ...) fill it up to `margin`. -> function (x, y) -> [px, py]
export function projector(arrays, size, margin = 10) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const a of arrays) for (let i = 0; i < a.length; i++) {
    low[i % 2] = Math.min(low[i % 2], a[i]); high[i % 2] = Math.max(high[i % 2], a[i]);
  }
  const half = Math.max(high[0] - low[0], high[1] - low[1], 1e-6) / 2, scale = (size / 2 - margin) / half;
  const cx = (low[0] + high[0]) / 2, cy = (low[1] + high[1]) / 2;
  return (x, y) => [size / 2 + (x - cx) * scale, size / 2 - (y - cy) * scale];
}

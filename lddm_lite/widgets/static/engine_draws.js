// How tokens and codes are drawn, and which masked positions a step reveals: diffusion/sampler.py
// (`Draws`, `nucleus`) and diffusion/unmasking_order.py.

// Rows of log-probabilities [count width] at a temperature, normalised; at 0 all on the most
// probable one, the first of equals.
export function tempered(logs, width, temperature) {
  if (temperature === 1) return logs;
  const out = new Float32Array(logs.length);
  for (let at = 0; at < logs.length; at += width) {
    const row = logs.subarray(at, at + width), to = out.subarray(at, at + width);
    if (temperature === 0) { to.fill(-Infinity); to[row.indexOf(row.reduce((a, b) => Math.max(a, b)))] = 0; }
    else normalised(to, row.map((v) => v / temperature));
  }
  return out;
}

// The same cut to the fewest most probable ones that have `share` together.
export function nucleus(logs, width, share) {
  const out = new Float32Array(logs.length).fill(-Infinity);
  for (let at = 0; at < logs.length; at += width) {
    const p = Float64Array.from(logs.subarray(at, at + width), Math.exp), order = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b);
    const total = p.reduce((a, b) => a + b), kept = new Float32Array(width).fill(-Infinity);
    let sum = 0;
    for (const k of order) { if (sum > 0 && sum >= share) break; kept[k] = logs[at + k]; sum += p[k] / total; }
    normalised(out.subarray(at, at + width), kept);
  }
  return out;
}

function normalised(to, row) {
  const most = row.reduce((a, b) => Math.max(a, b)), shift = most + Math.log(row.reduce((sum, v) => sum + Math.exp(v - most), 0));
  row.forEach((v, k) => (to[k] = v - shift));
}

// The place in a row of log-probabilities where their running sum passes u in [0, 1), in float64.
export function drawn(logs, at, width, u) {
  let most = -Infinity, total = 0, sum = 0, k = 0;
  for (let i = 0; i < width; i++) most = Math.max(most, logs[at + i]);
  for (let i = 0; i < width; i++) total += Math.exp(logs[at + i] - most);
  if (!(total > 0.5)) throw new Error("the model gave nan, or no possible token: there is nothing to draw from");
  for (; k < width - 1; k++) if (u * total < (sum += Math.exp(logs[at + k] - most))) break;
  return k;
}

// The `count` largest of a row, best first.
export function largest(logs, at, width, count) {
  const best = [];
  for (let k = 0; k < width; k++) {
    if (best.length === count && !(logs[at + k] > logs[at + best[count - 1]])) continue;
    let i = Math.min(best.length, count - 1);
    for (; i > 0 && logs[at + k] > logs[at + best[i - 1]]; i--) best[i] = best[i - 1];
    best[i] = k;
  }
  return best;
}

// How many of `free` positions the schedule leaves masked at time s.
export const stillMasked = (free, s) => Math.floor(free * s + 0.5 + 1e-9);

// Positions that a step t -> s asks about: those that it reveals or, for "confidence", all masked.
export function asked(x, mask, free, t, s, order, g) {
  const masked = [...x.keys()].filter((i) => x[i] === mask);
  if (order === "confidence") return masked;
  if (order === "even") return chosen(masked, x.length, stillMasked(free, s), g);
  const share = Math.fround((t - s) / t), out = masked.filter((i) => g.uniform(i) < share);
  g.skip(x.length);
  return out;
}

// All but `keep` of the `masked` positions: by chance, or those with the highest score.
export function chosen(masked, length, keep, g, score = null) {
  const u = masked.map((i) => g.uniform(i)), cost = score ? score.map((v) => -v) : masked.map(() => 0);
  g.skip(length);
  const order = [...masked.keys()].sort((a, b) => cost[a] - cost[b] || u[a] - u[b]);
  return order.slice(0, Math.max(0, masked.length - keep)).map((k) => masked[k]).sort((a, b) => a - b);
}

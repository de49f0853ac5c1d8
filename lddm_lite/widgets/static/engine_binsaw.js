// The exact law of Binsaw (tasks/binsaw.py), by which samples are judged without a kernel.
import { Stream } from "./engine_random.js";

const kept = new Map();

// Nodes and weights of Gauss-Legendre quadrature on [-1, 1].
function legendre(n) {
  return Array.from({ length: n }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5)), slope = 1;
    for (let round = 0; round < 50; round++) {
      let [before, now] = [1, x];
      for (let k = 2; k <= n; k++) [before, now] = [now, ((2 * k - 1) * x * now - (k - 1) * before) / k];
      if (n === 1) now = x;
      slope = (n * (x * now - before)) / (x * x - 1);
      const step = now / slope;
      x -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    return [x, 2 / ((1 - x * x) * slope * slope)];
  });
}

// data: its arguments. -> {logProb(x), draw(n, seed), score(rows)}
export function binsawLaw(data) {
  const key = JSON.stringify(data);
  if (!kept.has(key)) kept.set(key, made(data));
  return kept.get(key);
}

function made({ length: L, saws, eps, mode_bins: bins }) {
  const period = 1 / saws, found = [0, period];
  for (let i = 0; i < L; i++) for (const half of [0, 1 / (2 * saws)]) found.push((((half - i / L) % period) + period) % period);
  const sorted = found.map((v) => Math.round(v * 1e12) / 1e12).sort((a, b) => a - b);
  const kinks = sorted.filter((v, k) => (k === 0 || v - sorted[k - 1] > 1e-11) && (v < period - 1e-9 || v === sorted[sorted.length - 1]));
  const nodes = legendre(Math.max(4, Math.ceil(512 / (kinks.length - 1)))), shifts = [], weights = [];
  for (let k = 1; k < kinks.length; k++) for (const [u, w] of nodes) {
    shifts.push(kinks[k - 1] + ((kinks[k] - kinks[k - 1]) * (u + 1)) / 2);
    weights.push(((kinks[k] - kinks[k - 1]) * w) / 2 / period);
  }
  const G = shifts.length, logOne = new Float64Array(G * L), logNone = new Float64Array(G * L), joint = new Float64Array(G);
  for (let g = 0; g < G; g++) for (let i = 0; i < L; i++) {
    const at = (((i / L + shifts[g]) % 1) * saws) % 1, p = eps + (1 - 2 * eps) * (1 - Math.abs(2 * at - 1));
    logOne[g * L + i] = Math.log(p); logNone[g * L + i] = Math.log(1 - p);
  }
  const modes = shifts.map((s) => Math.min(bins - 1, Math.floor(s * saws * bins)));

  // log p(x), nats; leaves the posterior over the nodes in `joint`
  function logProb(x) {
    let most = -Infinity, sum = 0;
    for (let g = 0; g < G; g++) {
      let v = Math.log(weights[g]);
      for (let i = 0; i < L; i++) v += x[i] === 1 ? logOne[g * L + i] : x[i] === 0 ? logNone[g * L + i] : 0;
      joint[g] = v;
      most = Math.max(most, v);
    }
    for (let g = 0; g < G; g++) sum += joint[g] = Math.exp(joint[g] - most);
    for (let g = 0; g < G; g++) joint[g] /= sum;
    return most + Math.log(sum);
  }
  function shift() { // the circular mean of the hidden shift that `joint` says, a share of the period
    let sine = 0, cosine = 0;
    for (let g = 0; g < G; g++) { const a = 2 * Math.PI * shifts[g] * saws; sine += joint[g] * Math.sin(a); cosine += joint[g] * Math.cos(a); }
    return (Math.atan2(sine, cosine) / (2 * Math.PI) + 1) % 1;
  }
  // n true sequences, a stream each
  function draw(n, seed) {
    return Array.from({ length: n }, (_, row) => {
      const stream = new Stream(seed, row, "binsaw");
      let u = stream.uniform53(0), g = 0;
      while (g < G - 1 && (u -= weights[g]) >= 0) g++;
      return Int32Array.from({ length: L }, (_, i) => (Math.log(stream.uniform53(1 + i)) < logOne[g * L + i] ? 1 : 0));
    });
  }
  return {
    logProb,
    draw,
    // {nats, se: mean of -log p and its standard error; modeTv; shifts: of each row, in [0, 1)}
    score(rows) {
      const n = rows.length, mass = new Float64Array(bins), true_ = new Float64Array(bins), told = [], hidden = [];
      for (const x of rows) {
        told.push(-logProb(x));
        hidden.push(shift());
        for (let g = 0; g < G; g++) mass[modes[g]] += joint[g] / n;
      }
      for (let g = 0; g < G; g++) true_[modes[g]] += weights[g];
      const nats = told.reduce((a, b) => a + b) / n;
      const se = n > 1 ? Math.sqrt(told.reduce((sum, v) => sum + (v - nats) ** 2, 0) / (n - 1) / n) : NaN;
      return { nats, se, modeTv: mass.reduce((sum, v, k) => sum + Math.abs(v - true_[k]), 0) / 2, shifts: hidden };
    },
  };
}

// The arithmetic of rate_grid.py and paths.py in lddm_lite/diffusion/ again, so that no kernel is
// needed. Equation numbers: METHOD.
import { clamp } from "./numbers.js";
import { pathCorners, pathKnots } from "./path_knots.js";

const BEND_X = 2, PANEL = 1 / 16; // as in rate_grid.py; BEND_Z is 1
const GAUSS = [[-0.8611363115940526, 0.34785484513745385], [-0.33998104358485626, 0.6521451548625461],
  [0.33998104358485626, 0.6521451548625461], [0.8611363115940526, 0.34785484513745385]];
const GAUSS_SHORT = [[-0.5773502691896257, 1], [0.5773502691896257, 1]]; // for pieces below half a panel
const place = (t, bend) => 1 - (1 - t) ** (1 / bend);

// about: one entry of the head's `grids`; tokens, latents [nx, nz]: arrays of the payload
export class RateGrid {
  constructor(about, tokens, latents) {
    [this.nx, this.nz] = tokens.shape;
    Object.assign(this, { about, gaussian: Boolean(about.log_snr), tokens: Float64Array.from(tokens.data) });
    this.table = Float64Array.from(latents.data, this.gaussian ? Math.log : undefined);
    if (this.gaussian) [this.top, this.bottom] = about.log_snr;
    this.w = new Float64Array(8);
  }

  // a table at a point: a cubic through the four nearest nodes each way
  read(table, tx, tz) {
    const w = this.w, px = (1 - Math.sqrt(Math.max(0, 1 - tx))) * (this.nx - 1), pz = tz * (this.nz - 1); // bends 2 and 1
    const i = clamp(Math.floor(px) - 1, 0, this.nx - 4), j = clamp(Math.floor(pz) - 1, 0, this.nz - 4);
    lagrange(px - i, w, 0);
    lagrange(pz - j, w, 4);
    let sum = 0;
    for (let a = 0, at = i * this.nz + j; a < 4; a++, at += this.nz) {
      sum += w[a] * (w[4] * table[at] + w[5] * table[at + 1] + w[6] * table[at + 2] + w[7] * table[at + 3]);
    }
    return sum;
  }

  rhoX(tx, tz) { return this.read(this.tokens, tx, tz); } // (M3), nats per unit t_x
  latent(tx, tz) { const v = this.read(this.table, tx, tz); return this.gaussian ? Math.exp(v) : v; } // half the squared error, or rho_z
  snr(t) { return Math.exp(this.top + (this.bottom - this.top) * t); }
  slope(t) { return this.gaussian ? (this.top - this.bottom) * this.snr(t) : 1; } // -dSNR/dt
  gain(t, s) { return this.gaussian ? this.snr(s) - this.snr(t) : t - s; }
  rhoZ(tx, tz) { // (M7)
    const v = this.read(this.table, tx, tz);
    return this.gaussian ? (this.top - this.bottom) * Math.exp(v + this.top + (this.bottom - this.top) * tz) : v;
  }

  // (M9) on the straight piece from knot a to knot b: [tokens, latents], nats
  line(a, b) {
    const moves = a[0] > b[0], p = moves ? place(a[0], BEND_X) : a[1], q = moves ? place(b[0], BEND_X) : b[1];
    const count = Math.max(1, Math.ceil((p - q) / PANEL - 1e-9)), half = (p - q) / count / 2;
    const tilt = moves ? (a[1] - b[1]) / (a[0] - b[0]) : 0;
    let x = 0, z = 0;
    for (let k = 0; k < count; k++) for (const [u, weight] of half < PANEL / 4 ? GAUSS_SHORT : GAUSS) {
      const at = q + half * (2 * k + 1 + u), w = half * weight;
      if (!moves) { z += w * this.rhoZ(a[0], at); continue; }
      const tx = 1 - (1 - at) ** BEND_X, dx = w * BEND_X * (1 - at), tz = clamp(b[1] + tilt * (tx - b[0]), 0, 1);
      x += dx * this.rhoX(tx, tz);
      if (tilt > 0) z += tilt * dx * this.rhoZ(tx, tz);
    }
    return [x, z];
  }

  // The walk of a sampler: per step what it costs (M4, M7), and what the same piece costs in
  // infinitely many steps (M9). The difference is the total correlation that the step ignores
  // (M12).
  walk(lead, tokenSteps, latentSteps) {
    const knots = pathKnots(lead, tokenSteps, latentSteps), steps = [];
    const sum = { tokens: 0, latents: 0, lineTokens: 0, lineLatents: 0, nfe: knots.length - 1 };
    for (let k = 0; k < knots.length - 1; k++) {
      const a = knots[k], b = knots[k + 1], [lineTokens, lineLatents] = this.line(a, b);
      const tokens = a[0] > b[0] ? (a[0] - b[0]) * this.rhoX(a[0], a[1]) : 0;
      const latents = a[1] > b[1] ? this.gain(a[1], b[1]) * this.latent(a[0], a[1]) : 0;
      steps.push({ a, b, tokens, latents, lineTokens, lineLatents });
      sum.tokens += tokens; sum.latents += latents; sum.lineTokens += lineTokens; sum.lineLatents += lineLatents;
    }
    sum.excess = sum.tokens + sum.latents - sum.lineTokens - sum.lineLatents;
    return { knots, steps, sum };
  }

  // excess of tokens without latents (t_z = 1) in so many steps
  alone(steps) {
    let sum = 0;
    for (let k = steps; k > 0; k--) sum += this.rhoX(k / steps, 1) / steps;
    return sum - this.line([1, 1], [0, 1])[0];
  }

  // the bound in continuous time along the path itself: {tokens, latents, prior, total}
  bound(lead) {
    const corners = pathCorners(lead), prior = this.about.prior;
    let tokens = 0, latents = 0;
    for (let k = 0; k < 3; k++) {
      const [x, z] = this.line(corners[k], corners[k + 1]);
      tokens += x; latents += z;
    }
    return { tokens, latents, prior, total: tokens + latents + prior };
  }
}

function lagrange(f, w, at) {
  w[at] = -(f - 1) * (f - 2) * (f - 3) / 6; w[at + 1] = f * (f - 2) * (f - 3) / 2;
  w[at + 2] = -f * (f - 1) * (f - 3) / 2; w[at + 3] = f * (f - 1) * (f - 2) / 6;
}

// The networks of the library, `Denoiser` and its encoders, one sequence at a time (networks/*.py).
// What takes long is a generator that yields after each block, so that a page can breathe between.
import { arena } from "./engine_product.js";

const up8 = (n) => Math.ceil(n / 8) * 8;
const silu = (x) => x / (1 + Math.exp(-x));
// at most 1.5e-7 off: Abramowitz and Stegun 7.1.26
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const y = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x);
  return x < 0 ? -y : y;
}
const gelu = (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2));

// A float32 array of one tensor as it travels: int8 by rows of one scale each, float16, or float32.
export function numbers(arrays, name) {
  const { data, shape } = arrays[name];
  if (`${name}.scale` in arrays) {
    const out = new Float32Array(data.length), width = data.length / shape[0], scale = numbers(arrays, `${name}.scale`);
    for (let i = 0; i < out.length; i++) out[i] = data[i] * scale[Math.floor(i / width)];
    return out;
  }
  if (data instanceof Uint16Array) return Float32Array.from(data, half);
  return data;
}
function half(v) {
  const e = (v >> 10) & 31, f = v & 1023, sign = v & 0x8000 ? -1 : 1;
  return sign * (e === 0 ? f * 2 ** -24 : e === 31 ? (f ? NaN : Infinity) : (1 + f / 1024) * 2 ** (e - 15));
}

// The log of probabilities out of `n` logits at `at`, in place.
function logSoftmax(d, at, n) {
  let most = -Infinity, sum = 0;
  for (let k = 0; k < n; k++) most = Math.max(most, d[at + k]);
  for (let k = 0; k < n; k++) sum += Math.exp(d[at + k] - most);
  const shift = most + Math.log(sum);
  for (let k = 0; k < n; k++) d[at + k] -= shift;
}

// `head`: {config, encodes, ...} and `arrays` of `LatentDiffusion.to_web`; `plain`: no WebAssembly.
export class Networks {
  constructor({ config: c, encodes }, arrays, plain = false) {
    Object.assign(this, { c, arrays, encodes, wide: up8(c.width) });
    this.slots = c.latent === "none" ? 0 : c.slots;
    const rows = c.length + this.slots, W = this.wide, most = Math.max(3 * W, 4 * W, 6 * W, c.vocab, c.codes, 64) + 8;
    let size = 0;
    const taken = [];
    const take = (n) => { size += up8(n); return size - up8(n); };
    const hold = (values, n = values.length) => { const at = take(n); taken.push([at, values]); return at; };
    const vector = (name) => hold(numbers(arrays, name));
    // weights [out, in] as [in, out], so that what is loaded at once lies together
    const linear = (name, bias = true) => {
      const [out, inside] = arrays[`${name}.weight`].shape, w = numbers(arrays, `${name}.weight`), ld = up8(out), t = new Float32Array(inside * ld);
      for (let o = 0; o < out; o++) for (let i = 0; i < inside; i++) t[i * ld + o] = w[o * inside + i];
      return { w: hold(t), b: bias ? hold(numbers(arrays, `${name}.bias`), ld) : this.zeros, out, inside, ld };
    };
    const trunk = (name, blocks, streams, timed) => Array.from({ length: blocks }, (_, k) => streams.map((stream) => {
      const own = `${name}.${stream}.${k}`;
      return { qkv: linear(`${own}.qkv`, false), out: linear(`${own}.out`), up: linear(`${own}.up`), down: linear(`${own}.down`),
        modulation: timed ? linear(`${own}.modulation`) : vector(`${own}.modulation`) };
    }));
    this.zeros = take(most);
    const d = "denoiser", latent = c.latent !== "none", timed = c.latent === "continuous";
    this.denoiser = { timed, blocks: trunk(`${d}.trunk`, c.blocks, latent ? ["token", "latent"] : ["token"], timed),
      embed: numbers(arrays, `${d}.embed.weight`), head: linear(`${d}.head`) };
    if (latent) Object.assign(this.denoiser, { slot: numbers(arrays, `${d}.slot`), latentHead: linear(`${d}.latent_head`),
      into: [linear(`${d}.latent_in.0`), linear(`${d}.latent_in.2`)], lengthIn: c.pad_id === null ? null : linear(`${d}.length_in`, false) });
    if (timed) this.denoiser.time = [linear(`${d}.time.0`), linear(`${d}.time.2`)];
    if (c.latent === "discrete") {
      this.book = numbers(arrays, "encoder.codebook"); // [K, d]
      this.maskVector = numbers(arrays, `${d}.mask_vector`);
    }
    if (encodes) this.encoder = { timed: false, blocks: trunk("encoder.trunk", c.encoder_blocks, ["token", "latent"], false), embed: numbers(arrays, "encoder.embed.weight"),
      queries: numbers(arrays, "encoder.queries"), head: linear("encoder.head"), mean: numbers(arrays, "encoder.centre.running_mean"), variance: numbers(arrays, "encoder.centre.running_var") };

    const H = up8(c.width / c.heads), n = up8(rows);
    Object.assign(this, { X: take(rows * W), T: take(rows * W), U: take(rows * up8(4 * c.width)), QKV: take(rows * up8(3 * c.width)), ATT: take(rows * W), S: take(rows * n),
      Q: take(rows * H), K: take(H * n), V: take(rows * H), M: take(2 * up8(6 * c.width)), COND: take(2 * W), OUT: take(Math.max(c.length * up8(c.vocab), (this.slots || 1) * up8(Math.max(c.codes, c.dim)))) });
    const { data, product, fast } = arena(size, plain);
    for (const [at, values] of taken) data.set(values, at);
    Object.assign(this, { d: data, product, fast });
    if (c.pad_id !== null) data[this.denoiser.head.b + c.pad_id] = -1e9; // padding is never predicted
    this.places = Float32Array.from({ length: c.length * c.width }, (_, k) => this.wave(Math.floor(k / c.width), k % c.width) * (c.network === "text" ? 0.15 : 1));
    if (c.network === "text") {
      const f = arrays.turn.data, half = f.length, angle = (_, k) => Math.fround(Math.floor(k / half) * f[k % half]);
      const angles = Float64Array.from({ length: c.length * half }, angle);
      this.turns = { half, cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
    }
  }

  // coordinate k of the sinusoid of `at`, rounded where the library rounds
  wave(at, k) {
    const f = this.arrays.freq.data, angle = Math.fround(Math.fround(at) * f[k % f.length]);
    return Math.SQRT2 * (k < f.length ? Math.cos(angle) : Math.sin(angle));
  }
  linear(layer, from, to, rows, lda, ldc = layer.ld) {
    this.product(from, layer.w, to, layer.b, rows, layer.ld, layer.inside, lda, layer.ld, ldc);
  }
  // rows of X at `from`, normalised, into T; with numbers at `scale` and `shift`: modulated
  norm(from, to, rows, scale = -1, shift = -1) {
    const { d, wide, c: { width } } = this;
    for (let r = 0; r < rows; r++) {
      const a = from + r * wide, b = to + r * wide;
      let mean = 0, spread = 0;
      for (let k = 0; k < width; k++) mean += d[a + k];
      mean /= width;
      for (let k = 0; k < width; k++) spread += (d[a + k] - mean) ** 2;
      const by = 1 / Math.sqrt(spread / width + 1e-5);
      for (let k = 0; k < width; k++) { const v = (d[a + k] - mean) * by; d[b + k] = scale < 0 ? v : v * (1 + d[scale + k]) + d[shift + k]; }
    }
  }
  // places of the six modulations of a stream's block
  modulation(stream, timed, k) {
    let at = stream.modulation;
    if (timed) this.linear(stream.modulation, this.COND, (at = this.M + k * up8(6 * this.c.width)), 1, this.wide);
    return Array.from({ length: 6 }, (_, j) => at + j * this.c.width);
  }

  added(at, gate, rows) { // rows of T, times a gate, to those at `at`
    const { d, T, wide, c: { width } } = this;
    for (let r = 0; r < rows; r++) for (let j = 0; j < width; j++) d[at + r * wide + j] += d[gate + j] * d[T + r * wide + j];
  }
  bent(at, count) {
    for (let i = at; i < at + count; i++) this.d[i] = gelu(this.d[i]);
  }
  turn(m, n, ld) { // rotary positions of queries and keys
    const { d, QKV, turns: { cos, sin, half }, c: { heads, width } } = this;
    for (let i = 0; i < n; i++) for (let h = 0; h < 2 * heads; h++) for (let k = 0; k < half; k++) {
      const at = QKV + (m + i) * ld + (h >= heads ? width : 0) + (h % heads) * 2 * half + k, a = d[at], b = d[at + half], C = cos[i * half + k], S = sin[i * half + k];
      d[at] = a * C - b * S; d[at + half] = a * S + b * C;
    }
  }
  // head h: `rows` of the queries, or every one, attend to all, into rows of ATT
  attend(h, all, rows, every, ld) {
    const { d, c, QKV, ATT, S, Q, K, V, wide, zeros } = this, hd = c.width / c.heads, H = up8(hd), np = up8(all), by = 1 / Math.sqrt(hd), from = QKV + h * hd, count = rows.length;
    for (let i = 0; i < all; i++) for (let k = 0, at = from + i * ld + c.width; k < hd; k++) d[K + k * np + i] = d[at + k];
    if (!every) for (let r = 0; r < count; r++) for (let k = 0, at = from + rows[r] * ld; k < hd; k++) d[Q + r * H + k] = d[at + k];
    this.product(every ? from : Q, K, S, zeros, count, np, hd, every ? ld : H, np, np);
    for (let r = 0; r < count; r++) {
      const at = S + r * np, end = at + all;
      let most = -Infinity, sum = 0;
      for (let i = at; i < end; i++) if (d[i] > most) most = d[i];
      for (let i = at; i < end; i++) { const v = Math.exp((d[i] - most) * by); d[i] = v; sum += v; }
      const scale = 1 / sum;
      for (let i = at; i < end; i++) d[i] *= scale;
    }
    if (H === hd) return this.product(S, from + 2 * c.width, ATT + h * hd, zeros, count, hd, all, np, ld, wide);
    for (let i = 0; i < all; i++) for (let k = 0, at = from + i * ld + 2 * c.width; k < hd; k++) d[V + i * H + k] = d[at + k];
    this.product(S, V, Q, zeros, count, H, all, np, H, H);
    for (let r = 0; r < count; r++) for (let k = 0; k < hd; k++) d[ATT + r * wide + h * hd + k] = d[Q + r * H + k];
  }

  // The trunk over X: `m` latents, then `n` tokens. `ask`: rows that are wanted in the end. They
  // come to lie at the beginning of X, in their order.
  *trunk({ blocks, timed }, m, n, ask) {
    const { d, c, X, T, QKV, ATT, U, wide } = this, ld = up8(3 * c.width), ld4 = up8(4 * c.width);
    const all = m + n, every = Array.from({ length: all }, (_, i) => i);
    const parts = [[n, m, 0], [m, 0, 1]].filter(([rows]) => rows); // [rows, first, stream]
    for (let b = 0; b < blocks.length; b++) {
      const rows = b + 1 < blocks.length ? every : ask, mods = [];
      for (const [count, first, k] of parts) {
        const stream = blocks[b][k], mod = (mods[k] = this.modulation(stream, timed, k));
        this.norm(X + first * wide, T, count, mod[0], mod[1]);
        this.linear(stream.qkv, T, QKV + first * ld, count, wide, ld);
      }
      if (this.turns) this.turn(m, n, ld);
      for (let h = 0; h < c.heads; h++) this.attend(h, all, rows, rows === every, ld);
      if (rows !== every) rows.forEach((i, r) => d.copyWithin(X + r * wide, X + i * wide, X + (i + 1) * wide)); // they rise, so nothing is overtaken
      const latents = rows.filter((i) => i < m).length;
      for (const [count, first, k] of [[rows.length - latents, latents, 0], [latents, 0, 1]]) {
        if (!count) continue;
        const stream = blocks[b][k], mod = mods[k], at = X + first * wide;
        this.linear(stream.out, ATT + first * wide, T, count, wide, wide);
        this.added(at, mod[2], count);
        this.norm(at, T, count, mod[3], mod[4]);
        this.linear(stream.up, T, U, count, wide, ld4);
        this.bent(U, count * ld4);
        this.linear(stream.down, U, T, count, ld4, wide);
        this.added(at, mod[5], count);
      }
      yield;
    }
  }

  // One network call. x: ids [L], V where masked, or null: all masked and none asked; z: latents
  // [m d] or codes [m], K where masked; t: their time; `where`: positions asked, rising; `latents`:
  // are they asked; `length`: tokens before the padding.
  // -> {tokens: log-probabilities [N V], latents: the guess of z_0 [m d], or log-probabilities [m K]}
  *predict(x, z, t, where = [], latents = true, length = this.c.length) {
    const { d, c, X, T, wide, denoiser: net } = this, m = z === null ? 0 : c.slots, W = c.width, n = x === null ? 0 : c.length;
    const out = { tokens: null, latents: null };
    let vectors = null; // of the latents, [m d]
    d.fill(0, X, X + (m + n) * wide);
    if (m) {
      vectors = c.latent === "discrete" ? Float32Array.from({ length: m * c.dim }, (_, k) => {
        const code = z[Math.floor(k / c.dim)];
        return code === c.codes ? this.maskVector[k % c.dim] : this.book[code * c.dim + (k % c.dim)];
      }) : z;
      for (let i = 0; i < m; i++) d.set(vectors.subarray(i * c.dim, (i + 1) * c.dim), this.OUT + i * up8(c.dim));
      this.linear(net.into[0], this.OUT, T, m, up8(c.dim), wide);
      this.bent(T, m * wide);
      this.linear(net.into[1], T, X, m, wide, wide);
      if (net.lengthIn) {
        for (let k = 0; k < W; k++) d[T + k] = this.wave(length, k);
        this.linear(net.lengthIn, T, this.COND, 1, wide);
      }
      for (let i = 0; i < m; i++) for (let k = 0; k < W; k++) d[X + i * wide + k] += net.slot[i * W + k] + (net.lengthIn ? d[this.COND + k] : 0);
      if (net.timed) {
        for (let k = 0; k < W; k++) d[T + k] = this.wave(Math.fround(t) * 1000, k);
        for (const layer of net.time) {
          this.linear(layer, T, this.COND, 1, wide, wide);
          for (let k = 0; k < wide; k++) d[T + k] = d[this.COND + k] = silu(d[this.COND + k]);
        }
      }
    }
    for (let i = 0; i < n; i++) for (let k = 0; k < W; k++) d[X + (m + i) * wide + k] = net.embed[x[i] * W + k] + this.places[i * W + k];
    const ask = [...(m && latents ? Array(m).keys() : []), ...where.map((i) => m + i)], told = m && latents ? m : 0;
    yield* this.trunk(net, m, n, ask);
    if (where.length) {
      const { head } = net;
      this.norm(X + told * wide, T, where.length, -1);
      this.linear(head, T, this.OUT, where.length, wide);
      if (c.encoder === "mixture") where.forEach((j, r) => { // what the codes say of each place and token
        for (let v = 0; v < c.vocab; v++) d[this.OUT + r * head.ld + v] += vectors[j * c.vocab + v];
      });
      out.tokens = this.rows(this.OUT, where.length, c.vocab, head.ld, true);
    }
    if (told) {
      const { latentHead } = net;
      this.norm(X, T, m);
      this.linear(latentHead, T, this.OUT, m, wide);
      out.latents = this.rows(this.OUT, m, latentHead.out, latentHead.ld, !net.timed);
      if (net.timed) {
        const { a, sigma } = this.noise(t);
        for (let k = 0; k < out.latents.length; k++) out.latents[k] = a * z[k] + sigma * out.latents[k];
      }
    }
    return out;
  }
  rows(at, count, width, ld, logs) {
    const out = new Float32Array(count * width);
    for (let r = 0; r < count; r++) {
      if (logs) logSoftmax(this.d, at + r * ld, width);
      out.set(this.d.subarray(at + r * ld, at + r * ld + width), r * width);
    }
    return out;
  }

  // The latents of a sequence of ids [L]: numbers [m d], or codes [m].
  *encode(x) {
    if (!this.encoder) throw new Error("this model was exported without its encoder");
    const { d, c, X, T, wide, encoder: net } = this, m = c.slots, W = c.width;
    d.fill(0, X, X + (m + c.length) * wide);
    for (let i = 0; i < m; i++) d.set(net.queries.subarray(i * W, (i + 1) * W), X + i * wide);
    for (let i = 0; i < c.length; i++) for (let k = 0; k < W; k++) d[X + (m + i) * wide + k] = net.embed[x[i] * W + k] + this.places[i * W + k];
    yield* this.trunk(net, m, c.length, [...Array(m).keys()]);
    this.norm(X, T, m);
    this.linear(net.head, T, this.OUT, m, wide);
    const z = this.rows(this.OUT, m, c.dim, net.head.ld, false);
    for (let k = 0; k < z.length; k++) z[k] = (z[k] - net.mean[k]) / Math.sqrt(net.variance[k] + 1e-5);
    for (let i = 0; i < m; i++) {
      const own = z.subarray(i * c.dim, (i + 1) * c.dim), by = Math.sqrt(c.dim) / Math.hypot(...own);
      own.forEach((v, k) => (own[k] = v * by));
    }
    if (c.latent !== "discrete") return z;
    return Int32Array.from({ length: m }, (_, i) => {
      let best = 0, most = -Infinity;
      for (let code = 0; code < c.codes; code++) {
        let sum = 0;
        for (let k = 0; k < c.dim; k++) sum += z[i * c.dim + k] * this.book[code * c.dim + k];
        if (sum > most) (most = sum), (best = code);
      }
      return best;
    });
  }

  // {a, sigma, logSnr} of Gaussian noise at time t (M5)
  noise(t) {
    const c = this.c, at = Math.fround(t);
    let logSnr = c.log_snr_max + (c.log_snr_min - c.log_snr_max) * at;
    if (c.latent_schedule === "sqrt") {
      const [low, end] = [c.log_snr_max, c.log_snr_min].map((v) => 1 / (1 + Math.exp(v)));
      const power = low ** 2 + (end ** 2 - low ** 2) * at, rest = (1 - end) * (1 + end) + (end ** 2 - low ** 2) * (1 - at);
      logSnr = Math.log(rest / (1 + Math.sqrt(power))) - Math.log(Math.sqrt(power));
    }
    return { a: Math.sqrt(1 / (1 + Math.exp(-logSnr))), sigma: Math.sqrt(1 / (1 + Math.exp(logSnr))), logSnr };
  }
}

// The sampler of diffusion/sampler.py: knots walked from pure noise to clean, one network call a
// segment and sequence. It may begin anywhere on the way, which is how runs branch.
import { asked, chosen, drawn, largest, nucleus, stillMasked, tempered } from "./engine_draws.js";
import { Stream } from "./engine_random.js";

const TOP = 5; // alternatives remembered for each revealed position
const USUAL = { temperature: 1, topP: 1, order: "ancestral", eta: 1, latentTemperature: 1 };

// n sequences of masks; with padding, of lengths drawn as those of the training data were.
export function blank({ config: c, lengths }, n, seed) {
  return Array.from({ length: n }, (_, row) => {
    const x = new Int32Array(c.length).fill(c.vocab);
    if (c.pad_id === null) return x;
    const u = new Stream(seed, row, "lengths").uniform53(0) * lengths.reduce((a, b) => a + b);
    let k = 0;
    for (let sum = lengths[0]; k < c.length && u >= sum; sum += lengths[k]) k++;
    return x.fill(c.pad_id, k);
  });
}

// Fills the masks of `start`, n rows of ids, along `knots` [[t_x, t_z], ...]. Yields how many of its
// calls, one a sequence and step, are done: [done, total].
// - seed: of all draws, a stream a sequence; `rows`: the numbers of these streams.
// - draws: {temperature, topP, order, eta, latentTemperature}, what is left out being usual.
// - latents: z at the beginning, [m d] or codes [m] for each sequence; null: drawn from pure noise.
// - first: the knot to begin with; `start`, `latents` are then the state there.
// - free: how many positions of a sequence were masked at t = 1; null: those that are now.
// -> {tokens, when [n][L], prob, alts [n][L top], altp, latents [steps + 1][n], knots, nfe, calls}
export function* sampling(net, { start, knots, seed, rows = null, draws = {}, latents = null, first = 0, free = null }) {
  const { c } = net, mask = c.vocab, codes = c.latent === "discrete", n = start.length, L = c.length, top = Math.min(TOP, c.vocab);
  const how = { ...USUAL, ...draws };
  if (how.latentTemperature !== 1 && !codes) throw new Error("latentTemperature must be 1 without discrete latents");
  const streams = start.map((_, i) => new Stream(seed, rows ? rows[i] : i, "sample"));
  const x = start.map((row) => Int32Array.from(row)), size = net.slots * (codes ? 1 : c.dim);
  const lengths = x.map((row) => (c.pad_id === null ? L : row.filter((v) => v !== c.pad_id).length));
  const open = free || x.map((row) => row.filter((v) => v === mask).length);
  const empty = x.every((row, i) => row.filter((v) => v === mask).length === lengths[i]); // nothing given but padding
  const run = {
    tokens: x, when: x.map((row) => Int32Array.from(row, (v) => (v === mask ? -1 : 0))), prob: x.map(() => new Float32Array(L).fill(1)),
    alts: x.map((row) => Int32Array.from({ length: L * top }, (_, k) => row[Math.floor(k / top)])), altp: x.map(() => new Float32Array(L * top)),
    latents: null, knots, nfe: knots.length - 1, calls: 0, order: how.order, seed, first,
  };
  let z = null;
  if (net.slots) {
    z = latents ? latents.map((row) => (codes ? Int32Array : Float32Array).from(row)) : streams.map((own) => {
      if (codes) return new Int32Array(size).fill(c.codes);
      const g = own.at(0);
      return Float32Array.from({ length: size }, (_, k) => g.normal(k));
    });
    run.latents = Array(first + 1).fill(z.map((row) => row.slice()));
  }
  const total = n * (knots.length - 1 - first);
  for (let k = first + 1, done = 0; k < knots.length; k++) {
    const [t, s] = [knots[k - 1], knots[k]], movesX = s[0] < t[0], movesZ = net.slots > 0 && s[1] < t[1];
    const alone = empty && t[0] === 1 && !movesX; // only latents move, and no token is seen
    for (let i = 0; i < n; i++, done++) {
      const g = streams[i].at(k), row = x[i];
      const where = movesX ? asked(row, mask, open[i], t[0], s[0], how.order, g) : [];
      if (where.length || movesZ) {
        const said = yield* told(net.predict(alone ? null : row, z && z[i], t[1], where, movesZ, lengths[i]), done, total);
        run.calls++;
        if (where.length) reveal(run, i, k, where, said.tokens, g, open[i], s[0]);
        else if (movesX) g.skip(how.order === "confidence" ? 2 * L : L); // what others draw, who reveal something
        if (movesZ) z[i] = codes ? codesAfter(z[i], said.latents, t[1], s[1], g) : numbersAfter(z[i], said.latents, t[1], s[1], g);
      }
    }
    if (z) run.latents.push(z.map((row) => row.slice()));
    yield [done, total];
  }
  return run;

  // tokens at the positions asked, out of what the network said of them
  function reveal(run, i, k, where, said, g, open, s) {
    const V = c.vocab, row = x[i];
    let logs = tempered(said, V, how.temperature);
    if (how.topP < 1) logs = nucleus(logs, V, how.topP);
    const ids = where.map((j, r) => drawn(logs, r * V, V, g.uniform53(j)));
    g.skip(L);
    let taken = where.map((_, r) => r);
    if (how.order === "confidence") {
      const kept = new Set(chosen(where, L, stillMasked(open, s), g, ids.map((id, r) => said[r * V + id])));
      taken = taken.filter((r) => kept.has(where[r]));
    }
    for (const r of taken) {
      const j = where[r];
      row[j] = ids[r]; run.when[i][j] = k; run.prob[i][j] = Math.exp(logs[r * V + ids[r]]);
      largest(logs, r * V, V, top).forEach((id, a) => { run.alts[i][j * top + a] = id; run.altp[i][j * top + a] = Math.exp(logs[r * V + id]); });
    }
  }
  function codesAfter(now, said, t, s, g) {
    const next = now.slice(), K = c.codes, here = asked(now, K, c.slots, t, s, how.order === "ancestral" ? "ancestral" : "even", g);
    const logs = tempered(said, K, how.latentTemperature);
    for (const j of here) next[j] = drawn(logs, j * K, K, g.uniform53(j));
    g.skip(c.slots);
    return next;
  }
  // (M6), or between it and DDIM
  function numbersAfter(now, guess, t, s, g) {
    const from = net.noise(t), to = net.noise(s), r = Math.exp(from.logSnr - to.logSnr), variance = to.sigma ** 2 * (1 - r);
    return now.map((v, k) => {
      const noise = how.eta * Math.sqrt(variance) * g.normal(k);
      if (how.eta === 1) return to.a * ((r / from.a) * v + (1 - r) * guess[k]) + noise;
      return to.a * guess[k] + Math.sqrt(to.sigma ** 2 - how.eta ** 2 * variance) * ((v - from.a * guess[k]) / from.sigma) + noise;
    });
  }
}

// a call's blocks, each with the news of how far the run is
function* told(call, done, total) {
  for (;;) {
    const { value, done: over } = call.next();
    if (over) return value;
    yield [done, total];
  }
}

// A run of the engine as the scrubber takes it: what scrubber_data.py makes of a Trace.
import { PROB, projection } from "./scrubber_branches.js";

// model: {key, name, head, plane}; `cloud`: {cloud, hue} of encoded data, arrays as they travel, or
// nothing. -> {about, arrays}, see scrubber_branches.js
export function engineRun(run, model, { name, draws, cloud = null, view = null }) {
  const { config: c, labels } = model.head, n = run.tokens.length, L = c.length, top = run.alts[0].length / L, arrays = {};
  const about = { name, nfe: run.nfe, knots: run.knots, latent: c.latent, labels: [...labels, "[MASK]"], pad: c.pad_id ?? -1, seed: run.seed, codeMask: c.codes, view,
    bits: labels.length === 2 && labels.every((w) => w.length === 1), model: { key: model.key, name: model.name, mask: c.vocab, draws, plane: model.plane } };
  const put = (name, type, rows, ...shape) => {
    const data = new type(shape.reduce((a, b) => a * b));
    rows.forEach((row, i) => data.set(row, i * row.length));
    arrays[name] = { data, shape };
  };
  const shares = (rows) => rows.map((row) => row.map((p) => Math.round(Math.min(1, p) * PROB)));
  put("tokens", Uint32Array, run.tokens, n, L);
  put("when", Uint32Array, run.when, n, L);
  put("prob", Uint16Array, shares(run.prob), n, L);
  put("alts", Uint32Array, run.alts, n, L, top);
  put("altp", Uint16Array, shares(run.altp), n, L, top);
  const by = run.score ? run.score.shifts : run.tokens.map(() => 0);
  put("order", Uint32Array, [[...Array(n).keys()].sort((a, b) => by[a] - by[b])], n);
  if (!run.latents) return { about, arrays };
  const states = run.latents.flat(), times = run.latents.length;
  if (c.latent === "discrete") {
    put("codes", Uint32Array, states, times, n, c.slots);
    if (run.goals) put("goal", Uint32Array, run.goals, n, c.slots);
  } else {
    const place = projection(model.plane);
    put("plane", Float32Array, states.map(place), times, n, 2);
    if (model.plane) put("z", Float32Array, states, times, n, c.slots * c.dim);
    if (run.goals) put("goal", Float32Array, run.goals.map(place), n, 2);
    if (cloud) arrays.cloud = cloud.cloud;
    if (cloud && cloud.hue) arrays.hue = cloud.hue;
  }
  return { about, arrays };
}

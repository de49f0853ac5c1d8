// Runs of the engine as the scrubber takes them: what scrubber_data.py makes of a Trace.

const PROB = 65535;

// runs: {run, model: {head, name, plane, picture}, cloud}, `cloud`: {cloud, hue} of encoded data, arrays as
// they travel, or nothing. -> {head, arrays}
export function scrubberPayload(runs, title, groups = null) {
  const n = Math.min(...runs.map(({ run }) => run.tokens.length)), arrays = {};
  const head = { title, samples: n, groups, runs: runs.map(({ run, model: { head: { config: c, labels }, name, picture } }) => ({
    name, nfe: run.nfe, knots: run.knots, latent: c.latent, labels: [...labels, "[MASK]"], pad: c.pad_id ?? -1, seed: run.seed, codeMask: c.codes, place: true,
    bits: labels.length === 2 && labels.every((w) => w.length === 1),
    picture: picture ? { ...picture, shades: [...picture.shades, 0] } : null,
  })) };
  runs.forEach(({ run, model, cloud }, k) => {
    const { config: c } = model.head, L = c.length, top = run.alts[0].length / L;
    const put = (name, type, rows, ...shape) => {
      const data = new type(shape.reduce((a, b) => a * b));
      rows.forEach((row, i) => data.set(row, i * row.length));
      arrays[name + k] = { data, shape };
    };
    const first = (rows) => rows.slice(0, n), shares = (rows) => first(rows).map((row) => row.map((p) => Math.round(Math.min(1, p) * PROB)));
    put("tokens", Uint32Array, first(run.tokens), n, L);
    put("when", Uint32Array, first(run.when), n, L);
    put("prob", Uint16Array, shares(run.prob), n, L);
    put("alts", Uint32Array, first(run.alts), n, L, top);
    put("altp", Uint16Array, shares(run.altp), n, L, top);
    if (run.parent) put("parent", Uint32Array, first(run.parent), n, L);
    const by = run.score ? run.score.shifts : run.tokens.map(() => 0);
    put("order", Uint32Array, [[...Array(n).keys()].sort((a, b) => by[a] - by[b])], n);
    if (!run.latents) return;
    const states = run.latents.flatMap(first);
    if (c.latent === "discrete") {
      put("codes", Uint32Array, states, run.latents.length, n, c.slots);
      if (run.goals) put("goal", Uint32Array, first(run.goals), n, c.slots);
    } else {
      const place = projection(model.plane);
      put("plane", Float32Array, states.map(place), run.latents.length, n, 2);
      if (run.goals) put("goal", Float32Array, first(run.goals).map(place), n, 2);
      if (cloud) arrays[`cloud${k}`] = cloud.cloud;
      if (cloud && cloud.hue) arrays[`hue${k}`] = cloud.hue;
    }
  });
  return { head, arrays };
}

// plane: {mean [D], axes [2][D]}, or null for latents that are two numbers themselves
const projection = (plane) => (z) => (plane ? plane.axes.map((axis) => axis.reduce((sum, v, k) => sum + v * (z[k] - plane.mean[k]), 0)) : [z[0], z[1]]);

// Runs that go on from one of their steps: what is asked of the sampler then, and what the new run
// looks like. Runs are {about, arrays}: an entry of the head's `runs`, and its arrays by name.

export const PROB = 65535;

// The runs of a scrubber's payload, and back.
export const apart = ({ head, arrays }) => head.runs.map((about, k) => ({ about,
  arrays: Object.fromEntries(Object.entries(arrays).filter(([name]) => name.endsWith(k)).map(([name, array]) => [name.slice(0, -String(k).length), array])) }));
export function together(runs, title, groups) {
  const arrays = {};
  runs.forEach((run, k) => { for (const [name, array] of Object.entries(run.arrays)) arrays[name + k] = array; });
  return { head: { title, samples: runs[0].arrays.tokens.shape[0], groups, runs: runs.map((r) => r.about) }, arrays };
}

// Runs once `made` went on from `base`, one branch at a time beside what it left; and without the branch k.
export function beside(runs, base, made) {
  const kept = runs.filter((r) => r === base || !r.about.branch);
  kept.splice(kept.indexOf(base) + 1, 0, made);
  return kept;
}
export const dropped = (runs, k) => runs.filter((r, j) => j !== k || !r.about.branch);

// Latents as a point of the plane; `plane`: {mean [D], axes [2][D]}, or null where they are two
// numbers themselves.
export const projection = (plane) => (z) => (plane ? plane.axes.map((axis) => axis.reduce((sum, v, k) => sum + v * (z[k] - plane.mean[k]), 0)) : [z[0], z[1]]);

export const rowOf = ({ data, shape }, i) => { const size = data.length / shape[0]; return data.subarray(i * size, (i + 1) * size); };
const stateOf = ({ data, shape: [steps, n] }, step, i) => { const size = data.length / steps / n; return data.slice((step * n + i) * size, (step * n + i + 1) * size); };

// What the sampler is asked (engine_sampler.js). change: {step, sample, edits: [[position, id]],
// latents: {to: place in the plane} or {codes: {slot: code}} or null}. At the last step the tokens
// that are left count as given, and the gaps are filled from pure noise: infilling.
export function planOf({ about, arrays }, { step, sample: i, edits, latents }) {
  const { mask, draws, plane } = about.model, filling = step >= about.nfe, tokens = rowOf(arrays.tokens, i), when = rowOf(arrays.when, i);
  const start = Array.from(tokens, (v, j) => (when[j] > step ? mask : v)), given = start.map((v, j) => filling || when[j] === 0);
  for (const [j, id] of edits) { start[j] = id; given[j] = id !== mask; }
  let z = null;
  if (!filling && arrays.codes) {
    z = Array.from(stateOf(arrays.codes, step, i));
    if (latents) for (const [j, code] of Object.entries(latents.codes)) z[j] = code;
  } else if (!filling && arrays.plane) {
    z = Array.from(stateOf(arrays.z || arrays.plane, step, i));
    if (latents) {
      const now = projection(plane)(z);
      z = plane ? z.map((v, d) => v + plane.axes.reduce((sum, a, e) => sum + a[d] * (latents.to[e] - now[e]), 0)) : latents.to;
    }
  }
  const free = start.filter((v, j) => v !== about.pad && !given[j]).length;
  return { first: filling ? 0 : step, given, asked: { start: [start], knots: about.knots, seed: Math.max(0, about.seed), rows: [i], draws, latents: z && [z], first: filling ? 0 : step, free: [free], goals: true } };
}

// The run beside `run` in which that sample went `on`.
export function branched({ about, arrays }, { step, sample: i }, { first, given }, on) {
  const made = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, { ...array, data: array.data.slice() }]));
  const fresh = Array.from(given, (own, j) => own || on.when[0][j] > first), share = (p) => Math.round(Math.min(1, p) * PROB);
  const put = (name, row, value = (v) => v) => {
    const to = rowOf(made[name], i), each = to.length / given.length;
    row.forEach((v, k) => { if (fresh[Math.floor(k / each)]) to[k] = value(v); });
  };
  put("tokens", on.tokens[0]); put("when", on.when[0]);
  put("prob", on.prob[0], share); put("alts", on.alts[0]); put("altp", on.altp[0], share);
  const place = projection(about.model.plane);
  const states = (name, of) => { for (let s = first; s < on.latents.length; s++) { const [, n] = made[name].shape, z = of(on.latents[s][0]); made[name].data.set(z, (s * n + i) * z.length); } };
  if (made.codes) states("codes", (z) => z);
  if (made.z) states("z", (z) => z);
  if (made.plane) states("plane", place);
  if (made.goal && on.goals) rowOf(made.goal, i).set(made.codes ? on.goals[0] : place(on.goals[0]));
  else delete made.goal; // nobody encoded it
  made.parent = arrays.tokens;
  const name = `${about.name.replace(/, (from step \d+|gaps filled)$/, "")}, ${step >= about.nfe ? "gaps filled" : `from step ${step}`}`;
  const view = on.drawings ? { ...about.view, drawings: { ...about.view.drawings, ...on.drawings } } : about.view;
  return { about: { ...about, name, view, branch: true }, arrays: made };
}

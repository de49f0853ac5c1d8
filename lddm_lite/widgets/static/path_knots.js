// Paths of noise times and the knots that a sampler walks, as lddm_lite/diffusion/paths.py has them.

// Knots [t_x, t_z] of the walk from (1, 1) to (0, 0): Path.knots, (M10)
export function pathKnots(lead, tokenSteps, latentSteps) {
  const scale = 1 - lead, events = new Map();
  const add = (u, axis, t) => {
    const key = Math.round(u * 1e9), event = events.get(key) || [null, null];
    event[axis] = t;
    events.set(key, event);
  };
  for (let k = 1; k <= tokenSteps; k++) add(scale * (1 - k / tokenSteps), 0, 1 - k / tokenSteps);
  for (let k = 1; k <= latentSteps; k++) add(lead + scale * (1 - k / latentSteps), 1, 1 - k / latentSteps);
  const knots = [[1, 1]];
  for (const [, event] of [...events].sort((a, b) => b[0] - a[0])) {
    const last = knots[knots.length - 1];
    knots.push([event[0] === null ? last[0] : event[0], event[1] === null ? last[1] : event[1]]);
  }
  return knots;
}

// corners of the path itself, in infinitely many steps
export function pathCorners(lead) {
  const gap = lead / (1 - lead);
  return [[1, 1], [1, 1 - gap], [gap, 0], [0, 0]];
}

// Knots of tokens alone, the latents resting at t_z: without latents, or where these are given.
export const tokenKnots = (knots, tz = 0) => [...new Set(knots.map((k) => k[0]))].map((tx) => [tx, tz]);

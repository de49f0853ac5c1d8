// Steps and schedules of a plan as the knots that a sampler walks.
import { pathKnots, tokenKnots } from "./path_knots.js";

// c: the model's config
export function walk(plan, c) {
  if (c.latent === "none") return tokenKnots(pathKnots(0, plan.token_steps, plan.token_steps));
  return pathKnots(plan.lead, plan.token_steps, plan.latent_steps);
}

// Knots out of what a person wrote: pairs t_x t_z, or counts of tokens visible before each step
// (with latents: after they are done, in as many even steps). Throws an Error that says what is wrong.
export function readSchedule(text, c) {
  const parts = text.split(/[,;\n]/).map((p) => p.trim()).filter(Boolean).map((p) => p.split(/\s+/).map(Number)), latents = c.latent !== "none";
  if (!parts.length || parts.some((p) => p.some((v) => !Number.isFinite(v)) || p.length > 2)) throw new Error("A schedule is numbers, with commas between its steps.");
  if (parts.every((p) => p.length === 1)) {
    const counts = parts.flat();
    if (counts[0] !== 0 || counts.some((v, k) => !Number.isInteger(v) || v >= c.length || (k && v <= counts[k - 1]))) {
      throw new Error(`Counts of visible tokens begin with 0, rise, and stay below ${c.length}.`);
    }
    const times = latents ? Array.from({ length: counts.length + 1 }, (_, k) => 1 - k / counts.length) : [0];
    return [...times.slice(0, -1).map((t) => [1, t]), ...counts.map((v) => [1 - v / c.length, 0]), [0, 0]];
  }
  const knots = parts.map(([x, z]) => [x, z ?? 0]);
  if (knots[0][0] !== 1 || knots[0][1] !== (latents ? 1 : 0)) throw new Error(`The first step begins at ${latents ? "1 1" : "1 0"}, pure noise.`);
  const last = knots[knots.length - 1];
  if (last[0] !== 0 || last[1] !== 0) knots.push([0, 0]);
  for (let k = 0; k < knots.length; k++) {
    const [x, z] = knots[k], before = knots[k - 1];
    if (x < 0 || x > 1 || z < 0 || z > 1) throw new Error("Noise times lie between 0 and 1.");
    if (before && (x > before[0] || z > before[1] || (x === before[0] && z === before[1]))) throw new Error(`Noise times fall: ${before.join(" ")} cannot be followed by ${x} ${z}.`);
  }
  return knots;
}

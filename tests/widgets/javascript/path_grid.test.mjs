// The grid of rates and the bound over it, as RateGrid and Path of lddm_lite/diffusion/ have them.
import assert from "node:assert/strict";
import test from "node:test";
import { RateGrid } from "../../../lddm_lite/widgets/static/path_grid.js";
import { pathCorners, pathKnots } from "../../../lddm_lite/widgets/static/path_knots.js";
import { near, truth } from "./truth.mjs";

for (const { about, tables, points, paths, alone } of truth) {
  const [tokens, latents] = tables.map(({ data, shape }) => ({ data: Float32Array.from(data), shape }));
  const grid = new RateGrid(about, tokens, latents);

  test(`${about.title}: both rates at points`, () => {
    for (const [x, z, tokenRate, latentRate] of points) {
      near([grid.rhoX(x, z), grid.rhoZ(x, z)], [tokenRate, latentRate], 1e-6, `rates at ${x}, ${z}`);
      near(grid.latent(x, z) * grid.slope(z), latentRate, 1e-6, `latents and their price at ${x}, ${z}`);
    }
  });

  test(`${about.title}: tokens without latents`, () => {
    for (const [steps, excess] of alone) near(grid.alone(steps), excess, 1e-6, `${steps} steps`);
  });

  for (const { lead, corners, bound, walks } of paths) {
    test(`${about.title}: the path of lead ${lead}`, () => {
      near(pathCorners(lead), corners, 1e-12, "corners");
      const found = grid.bound(lead);
      for (const name of ["tokens", "latents", "prior", "total"]) near(found[name], bound[name], 1e-6, name);
    });

    test(`${about.title}: walks on it`, () => {
      for (const { steps, knots, costs, excess, nfe } of walks) {
        near(pathKnots(lead, ...steps), knots, 1e-12, `knots of ${steps}`);
        const walk = grid.walk(lead, ...steps);
        assert.equal(walk.sum.nfe, nfe);
        near(walk.knots, knots, 1e-12, `knots of the walk of ${steps}`);
        near(walk.sum.excess, excess, 1e-6, `excess of ${steps}`);
        for (const [name, theirs] of [["tokens", "tokens"], ["latents", "latents"],
          ["lineTokens", "line_tokens"], ["lineLatents", "line_latents"]]) {
          near(walk.steps.map((step) => step[name]), costs[theirs], 1e-6, `${name} of ${steps}`);
          near(walk.sum[name], costs[theirs].reduce((sum, v) => sum + v, 0), 1e-6, `all ${name} of ${steps}`);
        }
      }
    });
  }
}

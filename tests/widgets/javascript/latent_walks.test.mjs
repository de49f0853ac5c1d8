// Walks between latents and their places on a map, as in Python.
import assert from "node:assert/strict";
import test from "node:test";
import { even, placer, walkBetween } from "../../../lddm_lite/widgets/static/latent_walks.js";
import { near, truth } from "./truth.mjs";

test("numbers go along great circles, slot by slot", () => {
  for (const { a, b, steps, z } of truth.walks) near(walkBetween(a, b, { steps, slots: 2, dim: 3 }).flat(), z.flat(), 1e-5, JSON.stringify({ a, b }));
});

test("codes pass through those in use", () => {
  const { walks, used, book, order } = truth.codes;
  for (const { a, b, z } of walks) assert.deepEqual(walkBetween(a, b, { steps: 6, slots: 2, dim: 3, used, book, order }), z);
});

test("places on maps", () => {
  const { places, points, coords, asked } = truth.maps;
  for (const { map, at } of places) {
    const place = placer(map, points, coords);
    asked.forEach((v, k) => near(place(v), at[k], 1e-4, map.kind));
  }
});

test("halves go to the even side", () => {
  for (const [v, rounded] of truth.round) assert.equal(even(v), rounded);
});

// Where points lie on the map, which of them is meant, and the way round a circle.
import assert from "node:assert/strict";
import test from "node:test";
import { nearest, spacing, spread, toward, turn } from "../../../lddm_lite/widgets/static/latent_explorer_places.js";
import { near, truth } from "./truth.mjs";

const all = () => true, none = () => false;

test("the way round a circle is that of slerp", () => {
  for (const { from, to, points } of truth.walks) {
    const found = truth.shares.map((u) => from + u * turn(from, to)).map((v) => [Math.cos(v), Math.sin(v)]);
    near(found, points, 1e-6, `from ${from} to ${to}`);
  }
  near(turn(3, -3), 2 * Math.PI - 6, 1e-12);
});

test("points at one place lie around it, the others where they are", () => {
  const px = spread([0, 0, 1, 2, 0, 0, 0, 0], (x, y) => [10 * x, 10 * y], 4);
  near(Array.from(px.slice(0, 4)), [0, 0, 10, 20], 1e-6, "the first at each place");
  near([Math.hypot(px[4], px[5]), Math.hypot(px[6], px[7])], [4, 4 * Math.sqrt(2)], 1e-6, "those after it");
  assert.ok(Math.hypot(px[4] - px[6], px[5] - px[7]) > 4, "apart from each other, too");
  assert.ok(spacing(400, 10) === 6 && spacing(400, 1e6) === 1.8 && spacing(400, 500) === 4);
});

test("the point that is meant", () => {
  const px = [0, 0, 10, 0, 100, 100];
  assert.equal(nearest(px, 4, 0, all, none), 0);
  assert.equal(nearest(px, 6, 0, all, none), 1);
  assert.equal(nearest(px, 6, 0, (i) => i !== 1, none), 0, "out of those let through");
  assert.equal(nearest(px, 4, 0, all, (i) => i === 1), 1, "preferred, and near");
  assert.equal(nearest(px, 0.5, 0, all, (i) => i === 1), 0, "preferred, but farther than 9 pixels");
  assert.equal(nearest(px, 50, 50, all, none), null);
});

test("the next point in a direction", () => {
  const px = [0, 0, 10, 5, 30, 0, -10, 0, 5, 10, 0, 0];
  assert.equal(toward(px, 0, [1, 0], 0, all), 1);
  assert.equal(toward(px, 0, [1, 0], 60, all), 2, "from 60 pixels beyond");
  assert.equal(toward(px, 0, [0, 1], 0, all), 4);
  assert.equal(toward(px, 0, [-1, 0], 0, all), 3);
  assert.equal(toward(px, 0, [0, -1], 0, all), null, "none there");
  assert.equal(toward(px, 0, [1, 0], 0, (i) => i !== 1), 2, "out of those let through");
});

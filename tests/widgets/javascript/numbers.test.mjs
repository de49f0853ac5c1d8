// Ranges, numbers on an axis, points into a square.
import assert from "node:assert/strict";
import test from "node:test";
import { clamp, projector, ticks } from "../../../lddm_lite/widgets/static/numbers.js";
import { near } from "./truth.mjs";

test("clamp", () => assert.deepEqual([-1, 0.5, 3].map((v) => clamp(v, 0, 1)), [0, 0.5, 1]));

test("ticks are round, within the range, and about as many as asked for", () => {
  assert.deepEqual(ticks(0, 1, 4), [0, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual(ticks(0, 0.3, 3), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(-7, 12, 4), [-5, 0, 5, 10]);
  assert.deepEqual(ticks(16.3, 17.1, 5), [16.4, 16.6, 16.8, 17]);
  for (const high of [0.007, 0.3, 1, 4.4, 17, 260, 99_999]) for (const count of [3, 4, 5]) {
    const found = ticks(0, high, count);
    assert.ok(found[0] === 0 && found.at(-1) <= high && found.length >= count / 2.5 && found.length <= count + 1, found);
  }
});

test("points fill a square up to its margin, right way up and alike in both directions", () => {
  const to = projector([[0, 0, 4, 2], [1, 1]], 100, 10);
  near([to(0, 1), to(4, 1), to(2, 0), to(2, 2)], [[10, 50], [90, 50], [50, 70], [50, 30]], 1e-12);
  near(projector([[3, 3]], 100)(3, 3), [50, 50], 1e-12, "a single point");
});

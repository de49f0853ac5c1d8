// The same random numbers as the library's `Streams`.
import assert from "node:assert/strict";
import test from "node:test";
import { Stream, quantile } from "../../../lddm_lite/widgets/static/engine_random.js";
import { near, truth } from "./truth.mjs";

test("uniform and normal numbers, bit for bit", () => {
  for (const { stream, step, numbers: [single, double, normal] } of truth.rows) {
    const g = new Stream(...stream).at(step);
    assert.deepEqual(single.map((_, k) => g.uniform(k)), single);
    g.skip(3);
    assert.deepEqual(double.map((_, k) => g.uniform53(k)), double);
    g.skip(3);
    near(normal.map((_, k) => g.normal(k)), normal, 1e-7, "normal");
  }
});

test("normal quantiles, far out too", () => near(truth.quantiles[0].map(quantile), truth.quantiles[1], 1e-12));

test("steps do not depend on what was drawn before", () => {
  const g = new Stream(1, 2, "sample"), first = g.at(5).uniform(0);
  g.skip(99);
  assert.equal(g.at(5).uniform(0), first);
  assert.notEqual(g.at(6).uniform(0), first);
  assert.notEqual(new Stream(1, 3, "sample").at(5).uniform(0), first);
});

// The exact law of Binsaw, as tasks/binsaw.py has it.
import assert from "node:assert/strict";
import test from "node:test";
import { binsawLaw } from "../../../lddm_lite/widgets/static/engine_binsaw.js";
import { near, truth } from "./truth.mjs";

test("likelihood, its error and the modes", () => {
  for (const { data, x, nats, se, tv } of truth) {
    const score = binsawLaw(data).score(x);
    near([score.nats, score.se, score.modeTv], [nats, se, tv], 1e-9, JSON.stringify(data));
  }
});

test("the hidden shift of true sequences; of others nothing may favour one", () => {
  for (const { data, x, shifts } of truth) {
    const found = binsawLaw(data).score(x.slice(0, 20)).shifts;
    found.forEach((s, k) => { const gap = Math.abs(s - shifts[k]); assert.ok(Math.min(gap, 1 - gap) < 1e-6); });
  }
});

test("masked bits are summed out", () => {
  for (const { data, masked, marginals } of truth) near(masked.map(binsawLaw(data).logProb), marginals, 1e-9);
});

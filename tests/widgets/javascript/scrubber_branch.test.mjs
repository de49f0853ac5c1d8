// What a reader types at a position, as tokens.
import assert from "node:assert/strict";
import test from "node:test";
import { typed } from "../../../lddm_lite/widgets/static/scrubber_branch.js";

const bits = ["0", "1", "[MASK]"], words = ["the", "rain", "fell", "[MASK]"];

test("symbols run together, gaps among them", () => {
  assert.deepEqual(typed("01 _?", 3, 8, bits, 2), [[3, 0], [4, 1], [5, 2], [6, 2]]);
  assert.deepEqual(typed("", 0, 8, bits, 2), []);
});

test("words between spaces", () => {
  assert.deepEqual(typed(" rain  _ the", 0, 4, words, 3), [[0, 1], [1, 3], [2, 0]]);
  assert.deepEqual(typed("[MASK]", 2, 4, words, 3), [[2, 3]]);
});

test("what cannot be read is named, and how much fits", () => {
  assert.throws(() => typed("012", 0, 8, bits, 2), /“2” is none of the model's 2 symbols/);
  assert.throws(() => typed("snow", 0, 8, words, 3), /“snow” is none of the model's 3 words/);
  assert.throws(() => typed("0101", 6, 8, bits, 2), /more than the 8 positions/);
});

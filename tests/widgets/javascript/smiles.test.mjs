// What is wrong with a molecule's string, place by place, as Python says it.
import assert from "node:assert/strict";
import test from "node:test";
import { faults } from "../../../lddm_lite/widgets/static/smiles.js";
import { truth } from "./truth.mjs";

test("the same places and words as in Python", () => {
  for (const { symbols, faults: expected } of truth.cases) assert.deepEqual(faults(symbols), expected, symbols.join(""));
});

test("there are faults, and strings without any", () => {
  const counts = truth.cases.map((one) => one.faults.length);
  assert.ok(counts.filter((n) => n).length > 100 && counts.filter((n) => !n).length > 20, counts.join());
});

test("next to a mask nothing is said", () => assert.deepEqual(faults(["C", "[MASK]", ")", "C"]), []));

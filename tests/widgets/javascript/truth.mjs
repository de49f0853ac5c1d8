// What Python says, and how near to it a number must be.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const truth = JSON.parse(readFileSync(process.env.TRUTH, "utf-8"));

// Numbers, or lists of lists of numbers, alike to `most`, relative to 1 or to their size.
export function near(found, expected, most = 1e-6, where = "") {
  if (typeof expected === "number") {
    assert.ok(Math.abs(found - expected) <= most * Math.max(1, Math.abs(expected)), `${where}: ${found}, not ${expected}`);
    return;
  }
  assert.equal(found.length, expected.length, `length of ${where}`);
  expected.forEach((value, k) => near(found[k], value, most, `${where}[${k}]`));
}

// The palettes and colour scales, as lddm_lite/plots/style.py has them.
import assert from "node:assert/strict";
import test from "node:test";
import * as colours from "../../../lddm_lite/widgets/static/colours.js";
import { near, truth } from "./truth.mjs";

const { CYCLE, PALETTES, REVEAL, inkOn, ramp, rgb } = colours;

test("the same palettes", () => {
  for (const [name, list] of Object.entries(truth.palettes)) assert.deepEqual(colours[name], list, name);
  assert.deepEqual([PALETTES.light.bit0, PALETTES.light.bit1], truth.bits);
  assert.deepEqual(Object.keys(PALETTES.light), Object.keys(PALETTES.dark));
});

test("red, green and blue", () => assert.deepEqual(rgb("#0080ff"), [0, 128, 255]));

test("a scale has its colours at even steps, and its ends beyond them", () => {
  REVEAL.forEach((colour, k) => assert.equal(ramp(REVEAL, k / (REVEAL.length - 1)), colour));
  assert.equal(ramp(["#000000", "#ffffff"], 0.2), "#333333");
  assert.equal(ramp(REVEAL, -1), REVEAL[0]);
  assert.equal(ramp(REVEAL, 2), REVEAL.at(-1));
});

test("a scale that comes round again", () => {
  for (const [u, colour] of truth.round) near(rgb(ramp(CYCLE, u, true)).map((v) => v / 255), colour, 2 / 255, `at ${u}`);
});

test("black or white ink", () => {
  for (const [colour, ink] of truth.inks) assert.equal(inkOn(colour), ink, colour);
});

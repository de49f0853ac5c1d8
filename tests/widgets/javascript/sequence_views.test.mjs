// Which view a sequence has, and its text.
import assert from "node:assert/strict";
import test from "node:test";
import { sequenceView, viewKind } from "../../../lddm_lite/widgets/static/sequence_views.js";

const bits = { labels: ["0", "1", "[MASK]"] }, words = { labels: ["[PAD]", "un", "##real", "rain"], pad: 0 }, letters = { labels: ["a", "b", "c"] };

test("labels tell bits, symbols and words apart, and the library what is more", () => {
  assert.deepEqual([bits, words, letters].map(viewKind), ["bits", "words", "symbols"]);
  assert.equal(viewKind({ ...letters, view: { kind: "molecule" } }), "molecule");
  assert.equal(viewKind({ labels: ["0", "1"], view: { kind: "picture", shape: [2, 2] } }), "picture");
});

test("texts: bits and symbols run together, words are spaced, pieces joined, padding left out", () => {
  assert.equal(sequenceView(bits).text([0, 1, 2, 1]), "01_1");
  assert.equal(sequenceView(words).text([1, 2, 3, 0, 0]), "unreal rain");
  assert.equal(sequenceView(letters).text([0, 2, -1]), "ac_");
  assert.equal(sequenceView(words).text([3, -1]), "rain [MASK]");
  assert.equal(sequenceView({ labels: ["w".repeat(90)] }).text([0]).length, 81);
});

test("a key says what colours mean", () => {
  assert.equal(sequenceView(bits).key, "light 0, dark 1");
  assert.equal(sequenceView(words).key, "");
});

// What stands where at a step, as the Trace says it.
import assert from "node:assert/strict";
import test from "node:test";
import { rgb } from "../../../lddm_lite/widgets/static/colours.js";
import { unpack } from "../../../lddm_lite/widgets/static/payload.js";
import { cellAt, maskedAt, paintSamples, revealColours, tiles } from "../../../lddm_lite/widgets/static/scrubber_steps.js";
import { near, truth } from "./truth.mjs";

const { head, arrays } = await unpack(Uint8Array.from(truth.block));
const last = Math.max(...head.runs.map((run) => run.nfe));
const runs = head.runs.map((about, k) => {
  const { data: tokens, shape: [, length] } = arrays[`tokens${k}`];
  return { about, tokens, length, when: arrays[`when${k}`].data, colours: revealColours(about.nfe, last) };
});
const shares = (hex) => rgb(hex).map((v) => v / 255);
const shown = (label, { bits }) => (label === null ? (bits ? "" : "····") : label.replace(/^##/, "") || (label ? "" : "∅"));

// calls f(run, what is to be seen of it, step) at each step of each run
function everywhere(f) {
  runs.forEach((run, k) => truth.runs[k].forEach((seen, step) => f(run, seen, step)));
}

test("colours of the steps run over the whole scale", () => {
  for (const [last, colours] of truth.colours) {
    near(revealColours(last, last).slice(1).map(shares), colours, 2 / 255, `of ${last}`);
  }
});

test("cells show the word, the step, or that it is masked", () => {
  everywhere((run, { labels }, step) => labels.flat().forEach((label, j) => {
    const id = run.tokens[j], when = run.when[j], { bits } = run.about;
    const { word, text, look } = cellAt(run.about, id, when, step, false);
    assert.equal(text, shown(label, run.about));
    assert.equal(word, shown(run.about.labels[id], run.about));
    const classes = look.split(" ");
    assert.equal(classes.includes("masked"), label === null);
    assert.equal(classes.includes("given"), label !== null && when === 0);
    assert.equal(classes.includes("one"), bits && label === "1" && when > 0);
    assert.equal(classes.includes("glued"), run.about.labels[id].startsWith("##"));
    const numbered = cellAt(run.about, id, when, step, true).text;
    assert.equal(numbered, bits && label !== null ? String(when) : text);
  }));
});

test("how many are masked", () => {
  everywhere((run, { masked }, step) => assert.deepEqual(masked.map((_, k) => maskedAt(run, run.about, step, k)), masked));
});

test("the picture of all samples, pixel by pixel", () => {
  everywhere((run, { picture }, step) => {
    const out = new Uint32Array(picture.length), rows = arrays[`order${runs.indexOf(run)}`].data;
    paintSamples(out, run, run.about, rows, step, truth.palette);
    const bytes = new Uint8Array(out.buffer); // red, green, blue, and how opaque, as a canvas takes them
    const found = picture.map((_, k) => Array.from(bytes.subarray(4 * k, 4 * k + 3), (v) => v / 255));
    near(found, picture, 2 / 255, `step ${step} of ${run.about.name}`);
    assert.ok(picture.every((_, k) => bytes[4 * k + 3] === 255));
  });
});

test("pictures lie side by side, whole pixels a token, and fit", () => {
  for (const [rows, columns] of [[8, 8], [28, 28], [1, 64], [64, 1], [2, 3]]) {
    for (const n of [1, 5, 16, 64]) for (const width of [60, 330, 620]) {
      const { scale, columns: across, wide, high } = tiles([rows, columns], n, width, 8);
      assert.ok(Number.isInteger(scale) && scale >= 1 && across >= 1 && across <= n);
      assert.equal(wide, columns * scale + 8);
      assert.equal(high, rows * scale + 8);
      assert.ok(across === 1 || across * wide <= width);
      assert.ok(scale === 1 || Math.ceil(n / across) * high <= 420);
    }
  }
  assert.deepEqual(tiles([8, 8], 16, 600, 8), { scale: 8, columns: 8, wide: 72, high: 72 });
});

test("a token of a picture is a cell: its label, nothing while masked, its step in numbers", () => {
  const about = { labels: ["##0", "class 3", "[MASK]"], bits: false, view: { kind: "picture", shape: [2, 2], first: 1 } };
  assert.deepEqual(cellAt(about, 0, 2, 2, false), { word: "##0", text: "##0", look: "" });
  assert.equal(cellAt(about, 0, 2, 1, false).text, "");
  assert.deepEqual(cellAt(about, 1, 2, 2, true), { word: "class 3", text: "2", look: "counted" });
  assert.equal(cellAt(about, 1, 0, 2, true).look, "given");
});

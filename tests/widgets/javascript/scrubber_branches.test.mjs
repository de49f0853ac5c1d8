// Runs that go on from a step: what is asked of the sampler, and the run that comes of it.
import assert from "node:assert/strict";
import test from "node:test";
import { doJob, keepModel } from "../../../lddm_lite/widgets/static/engine.js";
import { apart, beside, branched, dropped, planOf, projection, rowOf, together } from "../../../lddm_lite/widgets/static/scrubber_branches.js";
import { engineRun } from "../../../lddm_lite/widgets/static/scrubber_payload.js";
import { opened } from "./engine_model.mjs";
import { truth } from "./truth.mjs";

const runs = [];
for (const { file, name, run } of truth.runs) {
  const { head, arrays } = await opened(file);
  keepModel(name, head, arrays);
  const made = await doJob(name, "sample", { n: 3, knots: run.knots, seed: 3, goals: true }, 50);
  runs.push({ name, shown: engineRun(made, { head, name, plane: null }, { name, draws: {} }), top: head.config.vocab });
}
const goOn = async ({ name, shown }, change) => {
  const plan = planOf(shown, change);
  return branched(shown, change, plan, await doJob(name, "sample", plan.asked, 50));
};

test("without a change a run goes on as it went", async () => {
  for (const run of runs) for (let step = 0; step < run.shown.about.nfe; step++) {
    const made = await goOn(run, { step, sample: 1, edits: [], latents: null });
    for (const part of ["tokens", "when", "alts", "codes"]) if (made.arrays[part]) assert.deepEqual(made.arrays[part].data, run.shown.arrays[part].data, `${run.name} ${part} from ${step}`);
    assert.equal(made.about.name, `${run.name}, from step ${step}`);
  }
});

test("what is touched is given, what is masked is drawn anew, and other samples stay", async () => {
  for (const run of runs) {
    const { arrays, about } = run.shown, step = about.nfe - 1, old = rowOf(arrays.tokens, 2), other = (old[0] + 1) % run.top;
    const last = rowOf(arrays.when, 2).findIndex((when) => when > 0 && when <= step);
    const made = await goOn(run, { step, sample: 2, edits: [[0, other], [last === 0 ? 1 : last, run.top]], latents: null });
    const when = rowOf(made.arrays.when, 2);
    assert.equal(rowOf(made.arrays.tokens, 2)[0], other);
    assert.equal(when[0], 0);
    assert.ok(when[last === 0 ? 1 : last] > step);
    assert.deepEqual(rowOf(made.arrays.tokens, 0), rowOf(arrays.tokens, 0));
    assert.deepEqual(made.arrays.parent, arrays.tokens);
  }
});

test("at the end gaps are filled, and all else is given", async () => {
  for (const run of runs) {
    const { arrays, about } = run.shown, old = rowOf(arrays.tokens, 0);
    const gap = old.findIndex((id) => id !== about.pad);
    const made = await goOn(run, { step: about.nfe, sample: 0, edits: [[gap, run.top]], latents: null });
    const when = rowOf(made.arrays.when, 0), now = rowOf(made.arrays.tokens, 0);
    old.forEach((id, j) => { if (j !== gap) { assert.equal(now[j], id); assert.equal(when[j], 0); } });
    assert.ok(when[gap] > 0 && now[gap] < run.top);
    assert.ok(made.about.name.endsWith("gaps filled"));
  }
});

test("latents move, codes as they are put", async () => {
  for (const run of runs) {
    const { arrays, about } = run.shown, step = about.nfe - 1;
    if (arrays.codes) {
      const { asked } = planOf(run.shown, { step, sample: 0, edits: [], latents: { codes: { 0: 1 } } });
      assert.equal(asked.latents[0][0], 1);
    } else if (arrays.plane) {
      const { asked } = planOf(run.shown, { step, sample: 0, edits: [], latents: { to: [0.25, -1] } });
      assert.deepEqual([...asked.latents[0]], [0.25, -1]);
    }
  }
});

test("in more dimensions a point moves within the plane alone", () => {
  const plane = { mean: [1, 2, 3], axes: [[1, 0, 0], [0, 0.6, 0.8]] }, place = projection(plane), z = [0, 1, 5];
  const array = (data, ...shape) => ({ data: Float32Array.from(data), shape });
  const about = { nfe: 2, knots: [], pad: -1, seed: 0, model: { mask: 2, draws: {}, plane } };
  const arrays = { tokens: array([0, 1], 1, 2), when: array([1, 2], 1, 2), plane: array([...place(z), 0, 0, 0, 0], 3, 1, 2), z: array([...z, 0, 0, 0, 0, 0, 0], 3, 1, 3) };
  const { asked: { latents: [moved] } } = planOf({ about, arrays }, { step: 0, sample: 0, edits: [], latents: { to: [2, 2] } });
  place(moved).forEach((v, k) => assert.ok(Math.abs(v - 2) < 1e-6, `${k}`));
  const off = [0, -0.8, 0.6]; // the direction that is not in the plane
  assert.ok(Math.abs(off.reduce((sum, v, k) => sum + v * (moved[k] - z[k]), 0)) < 1e-6);
});

test("runs taken apart and put together are the same", () => {
  const whole = together(runs.map((r) => r.shown).slice(0, 2), "title", ["a"]);
  assert.deepEqual(together(apart(whole), "title", ["a"]), whole);
});

test("a branch stands beside what it left, and can be dropped; a run cannot", () => {
  const [a, b] = ["a", "b"].map((name) => ({ about: { name } })), [c, d] = ["c", "d"].map((name) => ({ about: { name, branch: true } }));
  assert.deepEqual(beside([a, b], a, c), [a, c, b]);
  assert.deepEqual(beside([a, c, b], b, d), [a, b, d], "another branch takes its place");
  assert.deepEqual(beside([a, c, b], c, d), [a, c, d, b], "but not that of what it left");
  assert.deepEqual(dropped([a, c, d, b], 1), [a, d, b]);
  assert.deepEqual(dropped([a, c, b], 0), [a, c, b]);
});

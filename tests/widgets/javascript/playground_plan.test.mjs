// Steps and schedules of the playground as knots, and runs as the scrubber takes them.
import assert from "node:assert/strict";
import test from "node:test";
import { doJob, keepModel } from "../../../lddm_lite/widgets/static/engine.js";
import { pack, unpack } from "../../../lddm_lite/widgets/static/payload.js";
import { readSchedule, walk } from "../../../lddm_lite/widgets/static/playground_plan.js";
import { together } from "../../../lddm_lite/widgets/static/scrubber_branches.js";
import { engineRun } from "../../../lddm_lite/widgets/static/scrubber_payload.js";
import { opened } from "./engine_model.mjs";
import { near, truth } from "./truth.mjs";

const bare = { latent: "none", length: 8 }, latents = { latent: "continuous", length: 8 };

test("knots of steps", () => {
  for (const { plan, config, knots } of truth.walks) near(walk(plan, config), knots, 1e-9, JSON.stringify(plan));
});

test("a schedule as it is written", () => {
  assert.deepEqual(readSchedule("0, 2,4", bare), [[1, 0], [0.75, 0], [0.5, 0], [0, 0]]);
  assert.deepEqual(readSchedule("0, 4", latents), [[1, 1], [1, 0.5], [1, 0], [0.5, 0], [0, 0]]);
  assert.deepEqual(readSchedule("1 1; 1 0.4; 0.7 0", latents), [[1, 1], [1, 0.4], [0.7, 0], [0, 0]]);
  for (const [text, why] of [["1, 2", /begin with 0/], ["0, 9", /below 8/], ["0 1", /begins at 1 1/], ["1 1, 1 1", /cannot be followed/],
    ["1 1, 2 0", /between 0 and 1/], ["one", /numbers/], ["1 1 1", /numbers/]]) assert.throws(() => readSchedule(text, latents), why, text);
});

test("a run as the scrubber takes it, packed and unpacked, is the trace", async () => {
  for (const { file, run: want, name } of truth.runs) {
    const { head, arrays } = await opened(file), n = want.tokens.length;
    keepModel(name, head, arrays);
    const run = await doJob(name, "sample", { n, knots: want.knots, seed: 3, goals: true }, 5);
    const payload = together([engineRun(run, { head, name, plane: null }, { name, draws: {} })], "title", null);
    const sent = await unpack(await pack(payload.head, payload.arrays));
    assert.deepEqual(sent.head, JSON.parse(JSON.stringify(payload.head)));
    const { tokens0, when0, prob0, altp0, codes0, plane0, order0 } = sent.arrays;
    assert.deepEqual([...tokens0.data], want.tokens.flat());
    assert.deepEqual([...when0.data], want.when.flat());
    near([...prob0.data].map((v) => v / 65535), want.prob.flat(), 1e-4);
    assert.deepEqual(altp0.shape, [n, head.config.length, 2]);
    if (codes0) assert.deepEqual([...codes0.data], want.latents.flat());
    if (plane0) near([...plane0.data], want.latents.flat(), 1e-4);
    assert.deepEqual([...order0.data].sort((a, b) => a - b), [...Array(n).keys()]);
  }
});

test("a job that is stopped answers null", async () => {
  const [{ file, name, run }] = truth.runs, { head, arrays } = await opened(file);
  keepModel(name, head, arrays);
  const seen = [];
  assert.equal(await doJob(name, "sample", { n: 4, knots: run.knots, seed: 0 }, 0, (news) => seen.push(news), () => seen.length > 2), null);
  assert.ok(seen.length === 3 && seen[0][1] === 4 * (run.knots.length - 1));
});

// Runs of the sampler: of the same seed those of the library, and of others the same law.
import assert from "node:assert/strict";
import test from "node:test";
import { chosen, drawn, largest, nucleus, tempered } from "../../../lddm_lite/widgets/static/engine_draws.js";
import { Stream } from "../../../lddm_lite/widgets/static/engine_random.js";
import { blank, sampling } from "../../../lddm_lite/widgets/static/engine_sampler.js";
import { tokenKnots } from "../../../lddm_lite/widgets/static/path_knots.js";
import { drained, latentsOf, opened } from "./engine_model.mjs";
import { near, truth } from "./truth.mjs";

test("the run that the library makes of the same seed: systems, orders, options, schedules, gaps, lengths", async () => {
  for (const r of truth.runs) {
    const { head, net } = await opened(r.file), n = r.tokens.length;
    const run = drained(sampling(net, { start: r.start || blank(head, n, r.seed), knots: r.knots, seed: r.seed, draws: r.draws }));
    const what = `${r.name} ${JSON.stringify(r.draws)}`, lists = (rows) => rows.map((row) => [...row]);
    assert.deepEqual(lists(run.tokens), r.tokens, what);
    assert.deepEqual(lists(run.when), r.when, what);
    near(lists(run.prob), r.prob, 1e-4, `probabilities of ${what}`);
    near(lists(run.altp), r.altp, 1e-4, `alternatives of ${what}`);
    run.alts.forEach((row, i) => row.forEach((id, k) => r.altp[i][k] > 1e-6 && assert.equal(id, r.alts[i][k], what)));
    if (r.latents) near(run.latents.map(lists), r.latents, 1e-4, `latents of ${what}`);
    assert.ok(run.calls <= n * run.nfe && run.nfe === r.knots.length - 1);
  }
});

// Chi-square: 8 sequences, so 7 degrees of freedom; 29.9 is exceeded by chance in 1 of 10,000, so by
// one of the five in 1 of 2,000. The seed is fixed.
for (const { name, file, law, drawn: theirs, knots } of truth.laws) {
  test(`the law of ${name} on three bits`, async () => {
    const { head, net } = await opened(file), n = 5000, count = Array(8).fill(0);
    for (const x of drained(sampling(net, { start: blank(head, n, 7), knots, seed: 7 })).tokens) count[4 * x[0] + 2 * x[1] + x[2]]++;
    const spread = theirs ? 1 + n / theirs : 1; // a law known by draws has an error of its own
    const sum = count.reduce((total, seen, k) => total + (seen - n * law[k]) ** 2 / (n * law[k] * spread), 0);
    assert.ok(sum < 29.9, `chi-square ${sum.toFixed(1)}: ${count} of ${law.map((p) => Math.round(p * n))}`);
    const even = count.reduce((total, seen) => total + (seen - n / 8) ** 2 / (n / 8), 0);
    assert.ok(even > 60, "and it is no even law, which a broken network would give");
  });
}

test("given latents are decoded as the library does", async () => {
  const { file, z, tokens } = truth.decoded, { head, net } = await opened(file), a = net.noise(0).a;
  const latents = z.map((row) => latentsOf(net, row).map((v) => v * a)), knots = tokenKnots([[1, 1], [1, 0], [2 / 3, 0], [1 / 3, 0], [0, 0]]);
  const run = drained(sampling(net, { start: blank(head, 4, 0), knots, seed: 0, rows: [0, 0, 0, 0], draws: { temperature: 0 }, latents }));
  assert.deepEqual(run.tokens.map((x) => [...x]), tokens);
});

test("a run that goes on from a step is the run", async () => {
  for (const r of truth.runs.filter((r) => !r.start).slice(0, 12)) {
    const { net } = await opened(r.file), first = Math.floor(r.knots.length / 2), mask = net.c.vocab;
    const state = r.tokens.map((row, i) => row.map((v, j) => (r.when[i][j] > first ? mask : v)));
    const latents = r.latents && r.latents[first].map((row) => latentsOf(net, row));
    const free = r.when.map((row) => row.filter((k) => k > 0).length);
    const run = drained(sampling(net, { start: state, knots: r.knots, seed: r.seed, draws: r.draws, latents, first, free }));
    assert.deepEqual(run.tokens.map((x) => [...x]), r.tokens, r.name);
  }
});

test("temperature, nucleus and draws by hand", () => {
  const logs = Float32Array.from([0.5, 0.3, 0.2].map(Math.log));
  near([...tempered(logs, 3, 0.5)].map(Math.exp), [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38], 1e-6);
  assert.deepEqual([...tempered(Float32Array.from([-1, -1, -9]), 3, 0)], [0, -Infinity, -Infinity]);
  near([...nucleus(logs, 3, 0.6)].map(Math.exp), [0.625, 0.375, 0], 1e-6);
  near([...nucleus(logs, 3, 0.5)].map(Math.exp), [1, 0, 0], 1e-6);
  assert.deepEqual([0, 0.49, 0.51, 0.79, 0.81, 1 - 1e-16].map((u) => drawn(logs, 0, 3, u)), [0, 0, 1, 1, 2, 2]);
  assert.deepEqual(largest(Float32Array.from([1, 3, 2, 3]), 0, 4, 3), [1, 3, 2]);
  assert.throws(() => drawn(Float32Array.from([NaN, 0]), 0, 2, 0.5), /nothing to draw/);
  assert.deepEqual(chosen([1, 4, 6], 8, 1, new Stream(0, 0), [0.1, 0.9, 0.5]), [4, 6]);
  assert.deepEqual(chosen([1, 4], 8, 5, new Stream(0, 0)), []);
});

// Log-probabilities and latents of every kind of network and of each model that ships, as torch has
// them with the same weights: float32, float16, or int8 restored.
import assert from "node:assert/strict";
import test from "node:test";
import { Networks } from "../../../lddm_lite/widgets/static/engine_network.js";
import { drained, latentsOf, opened } from "./engine_model.mjs";
import { near, truth } from "./truth.mjs";

const MOST = 1e-4;
// Encoders divide by running variances as small as 0.003 and normalise: on random bits torch's own
// float32 is 1e-4 from its float64 (binsaw-co-joint, int8), so two float32 may differ by more.
const ENCODED = 5e-4;

for (const plain of [false, true]) {
  test(`the same as torch, ${plain ? "without" : "with"} WebAssembly`, async () => {
    for (const { name, file, calls } of truth.models) {
      const { net } = await opened(file, plain);
      assert.equal(net.fast, !plain);
      for (const call of calls) {
        const z = latentsOf(net, call.z), said = drained(net.predict(call.x, z, call.t, call.where, true, call.length));
        if (call.where.length) near([...said.tokens].filter((v) => v > -1e8), call.tokens.filter((v) => v > -1e8), MOST, `tokens of ${name}`);
        if (z) near([...said.latents], call.latents, MOST, `latents of ${name}`);
        if (z) near([...drained(net.predict(null, z, call.t, [], true, call.length)).latents], call.alone, MOST, `latents alone of ${name}`);
        if (call.code) near([...drained(net.encode(call.clean))], call.code, ENCODED, `the encoder of ${name}`);
      }
    }
  });
}

test("what is not asked is not told, and changes nothing else", async () => {
  const { file, calls: [call] } = truth.models.find((m) => m.name === "plain co-seq"), { net } = await opened(file), z = latentsOf(net, call.z);
  const all = drained(net.predict(call.x, z, call.t, call.where)), tokens = drained(net.predict(call.x, z, call.t, call.where, false));
  assert.equal(tokens.latents, null);
  assert.deepEqual(tokens.tokens, all.tokens);
  assert.equal(drained(net.predict(call.x, z, call.t, [])).tokens, null);
});

test("a model without its encoder says so", async () => {
  const { head, arrays } = await opened(truth.models.find((m) => m.name === "plain co-seq").file);
  const net = new Networks({ ...head, encodes: false }, arrays);
  assert.throws(() => drained(net.encode([])), /without its encoder/);
});

// What payload.pack packed, unpacked.
import assert from "node:assert/strict";
import test from "node:test";
import { unpack } from "../../../lddm_lite/widgets/static/payload.js";
import { truth } from "./truth.mjs";

test("head and arrays come out as they went in", async () => {
  const { head, arrays } = await unpack(Uint8Array.from(truth.block));
  for (const [name, { data, shape }] of Object.entries(truth.arrays)) {
    assert.deepEqual(arrays[name].shape, shape, name);
    assert.deepEqual(Array.from(arrays[name].data), data, name);
  }
  assert.deepEqual(Object.keys(arrays).sort(), Object.keys(truth.arrays).sort());
  assert.deepEqual(head, truth.head);
});

test("each array in its own type", async () => {
  const { arrays } = await unpack(Uint8Array.from(truth.block));
  const types = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };
  for (const [name, type] of Object.entries(types)) assert.ok(arrays[name].data instanceof type, name);
});

test("a block that was cut off is refused", async () => {
  await assert.rejects(unpack(Uint8Array.from(truth.block.slice(0, -20))));
});

// Models out of files, and generators run to their end.
import { readFileSync } from "node:fs";
import { Networks } from "../../../lddm_lite/widgets/static/engine_network.js";
import { unpack } from "../../../lddm_lite/widgets/static/payload.js";

export function drained(going) {
  for (;;) {
    const { value, done } = going.next();
    if (done) return value;
  }
}

export async function opened(file, plain = false) {
  const { head, arrays } = await unpack(readFileSync(file));
  return { head, arrays, net: new Networks(head, arrays, plain) };
}

// latents as the engine takes them
export const latentsOf = (net, z) => z && (net.c.latent === "discrete" ? Int32Array.from(z) : Float32Array.from(z));

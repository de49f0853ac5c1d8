// The data of a widget, out of the bytes that lddm_lite/widgets/payload.py packs: safetensors, compressed.

const TYPES = { U8: Uint8Array, I8: Int8Array, F16: Uint16Array, U16: Uint16Array, U32: Uint32Array, I32: Int32Array, F32: Float32Array };
const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();

// base64 -> bytes, by a plain loop: a call for each of a million letters would be felt
export function bytesOf(base64) {
  const text = atob(base64.trim()), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

// bytes of `payload.pack` -> {head, arrays}; arrays[name] = {data: typed array, shape}
export async function unpack(bytes) {
  const buffer = await through(bytes, new DecompressionStream("deflate"));
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: about, ...placed } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(placed)) {
    const type = TYPES[dtype];
    arrays[name] = { data: new type(buffer, 8 + length + from, (to - from) / type.BYTES_PER_ELEMENT), shape };
  }
  return { head: JSON.parse(about.head), arrays };
}

// The inverse: what a widget makes here is kept as the library would send it.
export async function pack(head, arrays) {
  const about = { __metadata__: { head: JSON.stringify(head) } }, names = Object.keys(arrays);
  names.sort((a, b) => arrays[b].data.BYTES_PER_ELEMENT - arrays[a].data.BYTES_PER_ELEMENT); // so that each lies where its type may
  let at = 0;
  for (const name of names) {
    const { data, shape } = arrays[name], dtype = Object.keys(TYPES).find((t) => t !== "F16" && data instanceof TYPES[t]);
    about[name] = { dtype, shape, data_offsets: [at, (at += data.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(about)), length = Math.ceil(text.length / 8) * 8;
  const whole = new Uint8Array(8 + length + at).fill(32);
  new DataView(whole.buffer).setBigUint64(0, BigInt(length), true);
  whole.set(text, 8);
  for (const name of names) { const { data } = arrays[name]; whole.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + length + about[name].data_offsets[0]); }
  return new Uint8Array(await through(whole, new CompressionStream("deflate")));
}

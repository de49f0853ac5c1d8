// The data of a widget, out of the bytes that lddm_lite/widgets/payload.py packs: safetensors, compressed.

// bytes of `payload.pack` -> {head, arrays}; arrays[name] = {data: typed array, shape}
export async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: about, ...placed } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const types = { U8: Uint8Array, I8: Int8Array, F16: Uint16Array,  U16: Uint16Array, U32: Uint32Array, I32: Int32Array, F32: Float32Array };
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(placed)) {
    const type = types[dtype];
    arrays[name] = { data: new type(buffer, 8 + length + from, (to - from) / type.BYTES_PER_ELEMENT), shape };
  }
  return { head: JSON.parse(about.head), arrays };
}

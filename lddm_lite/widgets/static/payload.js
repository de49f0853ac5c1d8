// The data of a widget, out of the bytes that lddm_lite/widgets/payload.py packs.

// bytes of `payload.pack` -> {head, arrays}; arrays[name] = {data: typed array, shape}
export async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const types = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };
  const arrays = {};
  for (const [name, a] of Object.entries(head.arrays)) {
    const count = a.shape.reduce((x, y) => x * y, 1);
    arrays[name] = { data: new types[a.dtype](buffer, a.at, count), shape: a.shape };
  }
  return { head, arrays };
}

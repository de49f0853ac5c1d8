// Products of matrices in one arena of float32 numbers: WebAssembly with 128-bit vectors, whose few
// hundred bytes are written here, or plain JavaScript where that is refused.
//
// c[i, j] = bias[j] + sum over k of a[i, k] b[k, j]. Matrices are given by where they begin and by
// the length of their rows, in numbers; `b`, `c` and `bias` have a multiple of 8 columns.

const PAGE = 65536; // bytes of memory that WebAssembly hands out at once

// -- the bytes of a WebAssembly module -----------------------------------------------------------
const signed = (v) => { // signed: fits unsigned places too, as long as no top bit is taken for a sign
  const out = [];
  for (;;) { const byte = v & 127; v >>= 7; if ((v === 0 && !(byte & 64)) || (v === -1 && byte & 64)) return [...out, byte]; out.push(byte | 128); }
};
const unsigned = (v) => { const out = []; do { out.push((v & 127) | (v > 127 ? 128 : 0)); v >>>= 7; } while (v); return out; };
const get = (x) => [0x20, ...unsigned(x)], put = (x) => [0x21, ...unsigned(x)];
const constant = (v) => [0x41, ...signed(v)], ADD = [0x6a], SUB = [0x6b];
const loadVector = (offset) => [0xfd, 0, 4, ...unsigned(offset)], splat = [0xfd, 9, 2, 0], store = (offset) => [0xfd, 11, 4, ...unsigned(offset)];
const VADD = [0xfd, 0xe4, 1], VMUL = [0xfd, 0xe6, 1];
const advance = (x, ...v) => [...get(x), ...v.flat(), ...ADD, ...put(x)];
const repeat = (body, until) => [0x03, 0x40, ...body, ...until, 0x0d, 0, 0x0b]; // until: leaves true to go on
const section = (id, ...body) => { const flat = body.flat(Infinity); return [id, ...unsigned(flat.length), ...flat]; };

function moduleBytes() {
  // parameters, in bytes but for the counts; then locals
  const [A, B, C, BIAS, ROWS, COLS, DEPTH, LDA, LDB, LDC, J, PB, END] = Array(13).keys();
  const pa = (r) => 13 + r, acc = (r, v) => 17 + 2 * r + v, vec = (v) => 25 + v, BEFORE = 17; // 17..26 are vectors
  const block = (rows) => { // the next `rows` rows, 8 columns at a time
    const each = [...Array(rows).keys()], two = [0, 1];
    const depth = [
      ...two.flatMap((v) => [...get(PB), ...loadVector(16 * v), ...put(vec(v))]),
      ...each.flatMap((r) => [
        ...two.flatMap((v) => [...get(pa(r)), ...splat, ...get(vec(v)), ...VMUL, ...get(acc(r, v)), ...VADD, ...put(acc(r, v))]),
        ...advance(pa(r), constant(4))]),
      ...advance(PB, get(LDB))];
    const columns = [
      ...each.flatMap((r) => [
        ...get(A), ...(r ? [...get(LDA), ...constant(r), 0x6c, ...ADD] : []), ...put(pa(r)),
        ...two.flatMap((v) => [...get(BIAS), ...get(J), ...ADD, ...loadVector(16 * v), ...put(acc(r, v))])]),
      ...get(B), ...get(J), ...ADD, ...put(PB),
      ...get(pa(0)), ...get(DEPTH), ...ADD, ...put(END),
      ...repeat(depth, [...get(pa(0)), ...get(END), 0x49]),
      ...each.flatMap((r) => two.flatMap((v) => [
        ...get(C), ...get(J), ...ADD, ...(r ? [...get(LDC), ...constant(r), 0x6c, ...ADD] : []), ...get(acc(r, v)), ...store(16 * v)])),
      ...advance(J, constant(32))];
    return [...constant(0), ...put(J), ...repeat(columns, [...get(J), ...get(COLS), 0x49]),
      ...advance(A, get(LDA), constant(rows), [0x6c]), ...advance(C, get(LDC), constant(rows), [0x6c]),
      ...get(ROWS), ...constant(rows), ...SUB, ...put(ROWS)];
  };
  const rowsLeft = (rows) => [...get(ROWS), ...constant(rows), 0x4e]; // >=
  const code = [4, 1].flatMap((rows) => [0x02, 0x40, ...rowsLeft(rows), 0x45, 0x0d, 0, ...repeat(block(rows), rowsLeft(rows)), 0x0b]);
  const body = [2, 7, 0x7f, ...[10, 0x7b], ...code, 0x0b]; // 7 numbers (J, PB, END, pa), 10 vectors
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 10, Array(10).fill(0x7f), 0]),
    ...section(2, [1, 1, 0x65, 1, 0x6d, 2, 0, 1]), // import "e" "m": memory
    ...section(3, [1, 0]),
    ...section(7, [1, 1, 0x66, 0, 0]), // export "f"
    ...section(10, [1, unsigned(body.length), body])]);
}

// An arena of `size` numbers. -> {data, product(a, b, c, bias, rows, columns, depth, lda, ldb, ldc), fast}
export function arena(size, plain = false) {
  try {
    if (plain) throw new Error("asked for");
    const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * size) / PAGE) + 1 });
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { e: { m: memory } }).exports;
    const data = new Float32Array(memory.buffer);
    return { data, fast: true, product: (a, b, c, bias, rows, columns, depth, lda, ldb, ldc) =>
      f(4 * a, 4 * b, 4 * c, 4 * bias, rows, 4 * columns, 4 * depth, 4 * lda, 4 * ldb, 4 * ldc) };
  } catch {
    const data = new Float32Array(size);
    return { data, fast: false, product: (...of) => plainProduct(data, ...of) };
  }
}

// two rows and four columns at a time, since what is loaded twice costs more than what is multiplied
function plainProduct(d, a, b, c, bias, rows, columns, depth, lda, ldb, ldc) {
  for (let i = 0; i < rows; i += 2, a += 2 * lda, c += 2 * ldc) {
    const two = i + 1 < rows, a2 = two ? a + lda : a, c2 = two ? c + ldc : c; // a last row alone is made twice
    for (let j = 0; j < columns; j += 4) {
      let s0 = d[bias + j], s1 = d[bias + j + 1], s2 = d[bias + j + 2], s3 = d[bias + j + 3], t0 = s0, t1 = s1, t2 = s2, t3 = s3;
      for (let k = 0, at = b + j; k < depth; k++, at += ldb) {
        const v = d[a + k], w = d[a2 + k], b0 = d[at], b1 = d[at + 1], b2 = d[at + 2], b3 = d[at + 3];
        s0 += v * b0; s1 += v * b1; s2 += v * b2; s3 += v * b3;
        t0 += w * b0; t1 += w * b1; t2 += w * b2; t3 += w * b3;
      }
      d[c2 + j] = t0; d[c2 + j + 1] = t1; d[c2 + j + 2] = t2; d[c2 + j + 3] = t3;
      d[c + j] = s0; d[c + j + 1] = s1; d[c + j + 2] = s2; d[c + j + 3] = s3;
    }
  }
}

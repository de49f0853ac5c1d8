// Random numbers of the library's `Streams`: SplitMix64, a stream for each sequence, so that a seed
// gives here the run that it gives in Python, up to what rounding decides.

// 64-bit numbers are pairs of unsigned 32-bit ones. The arithmetic is on this one, high and low:
let high = 0, low = 0;

const wide = (v) => [Math.floor(v / 4294967296) >>> 0, v >>> 0];
function add(h, l) {
  const sum = low + l;
  high = (high + h + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  low = sum >>> 0;
}
function multiply(h, l) {
  const a0 = low & 0xffff, a1 = low >>> 16, b0 = l & 0xffff, b1 = l >>> 16;
  const mid = a1 * b0 + ((a0 * b0) >>> 16), cross = a0 * b1 + (mid % 65536);
  const carry = a1 * b1 + Math.floor(mid / 65536) + Math.floor(cross / 65536);
  high = (carry + Math.imul(low, h) + Math.imul(high, l)) >>> 0;
  low = Math.imul(low, l) >>> 0;
}
function fold(by) { // x ^ (x >> by)
  low = (low ^ ((low >>> by) | (high << (32 - by)))) >>> 0;
  high = (high ^ (high >>> by)) >>> 0;
}
function mix() { fold(30); multiply(0xbf58476d, 0x1ce4e5b9); fold(27); multiply(0x94d049bb, 0x133111eb); fold(31); }
// mixed(key + count * golden ratio)
function number(key, count) {
  [high, low] = wide(count);
  multiply(0x9e3779b9, 0x7f4a7c15);
  add(key[0], key[1]);
  mix();
}

function crc32(text) {
  let sum = -1;
  for (const c of text) {
    sum ^= c.charCodeAt(0);
    for (let k = 0; k < 8; k++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

// The stream of one sequence, as `Streams(seed, [row], purpose)`. `k`: a number that lies ahead, 0
// for the next; `skip(n)` passes n by.
export class Stream {
  constructor(seed, row, purpose = "") {
    const [h, l] = wide(seed);
    high = (h ^ crc32(purpose)) >>> 0; low = l;
    mix();
    number([high, low], row);
    Object.assign(this, { key: [high, low], drawn: 0 });
  }
  at(step) { // the stream of one step, whatever was drawn from this one
    [high, low] = this.key;
    add(...wide(step + 1));
    mix();
    return Object.assign(Object.create(Stream.prototype), { key: [high, low], drawn: 0 });
  }
  skip(n) { this.drawn += n; }
  uniform(k) { number(this.key, this.drawn + 1 + k); return (high >>> 8) / 16777216; } // of 24 digits
  uniform53(k) { number(this.key, this.drawn + 1 + k); return (high * 2097152 + (low >>> 11)) / 9007199254740992; }
  normal(k) { number(this.key, this.drawn + 1 + k); return Math.fround(quantile((high * 1048576 + (low >>> 12)) / 4503599627370496 + 2 ** -53)); }
}

const polynomial = (x, c) => c.reduce((sum, v) => sum * x + v, 0);

// The normal quantile, by the rational functions of Cephes (ndtri), from 0 < p < 1.
export function quantile(p) {
  const upper = p > 1 - Math.exp(-2), y = upper ? 1 - p : p;
  if (y > Math.exp(-2)) {
    const d = y - 0.5, s = d * d;
    const top = polynomial(s, [-5.99633501014107895267e1, 9.80010754185999661536e1, -5.66762857469070293439e1, 1.39312609387279679503e1, -1.23916583867381258016]);
    const low = polynomial(s, [1, 1.95448858338141759834, 4.67627912898881538453, 8.63602421390890590575e1, -2.25462687854119370527e2, 2.00260212380060660359e2, -8.20372256168333339912e1, 1.59056225126211695515e1, -1.18331621121330003142]);
    return (d + d * (s * top / low)) * Math.sqrt(2 * Math.PI);
  }
  const x = Math.sqrt(-2 * Math.log(y)), z = 1 / x, near = x < 8;
  const top = near // the two ranges of Cephes
    ? [4.05544892305962419923, 3.15251094599893866154e1, 5.71628192246421288162e1, 4.408050738932008347e1, 1.46849561928858024014e1, 2.18663306850790267539, -1.40256079171354495875e-1, -3.50424626827848203418e-2, -8.57456785154685413611e-4]
    : [3.23774891776946035970, 6.91522889068984211695, 3.93881025292474443415, 1.33303460815807542389, 2.01485389549179081538e-1, 1.23716634817820021358e-2, 3.01581553508235416007e-4, 2.65806974686737550832e-6, 6.23974539184983293730e-9];
  const low = near
    ? [1, 1.57799883256466749731e1, 4.53907635128879210584e1, 4.13172038254672030440e1, 1.50425385692907503408e1, 2.50464946208309415979, -1.42182922854787788574e-1, -3.80806407691578277194e-2, -9.33259480895457427372e-4]
    : [1, 6.02427039364742014255, 3.67983563856160859403, 1.37702099489081330271, 2.16236993594496635890e-1, 1.34204006088543189037e-2, 3.28014464682127739104e-4, 2.89247864745380683936e-6, 6.79019408009981274425e-9];
  const out = x - Math.log(x) / x - z * polynomial(z, top) / polynomial(z, low);
  return upper ? out : -out;
}

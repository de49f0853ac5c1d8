// Which rings and brackets of a molecule's string (SMILES) do not match, and what cannot follow what: `faults` of
// lddm_lite/text/smiles.py, place by place and word by word.

const KINDS = [["ring", /^(\d|%\d\d)$/], ["bond", /^[-=#:/\\~]$/], ["open", /^\($/], ["close", /^\)$/], ["dot", /^\.$/]];
const ANY = ["atom", "bond", "ring", "open", "close", "dot", "end"];
const MAY_FOLLOW = {
  start: ["atom"], atom: ANY, ring: ANY, close: ANY, bond: ["atom", "ring"], open: ["atom", "bond"],
  "bond of a branch": ["atom"], dot: ["atom"],
};

function kindOf(symbol) {
  if (symbol === "") return "end";
  if (symbol === "[MASK]") return "mask";
  return (KINDS.find(([, pattern]) => pattern.test(symbol)) ?? ["atom"])[0];
}

/** Faults of an array of symbols: pairs [place, words] in the order of their places; [] where none can be seen. */
export function faults(symbols) {
  const found = new Map(), open = [], rings = new Map(), bonds = new Set(), masked = symbols.includes("[MASK]");
  const add = (at, words) => { if (!found.has(at)) found.set(at, words); };
  const bond = (a, b) => `${Math.min(a, b)} ${Math.max(a, b)}`;
  let before = "start", atom = -1; // the last one, to which bonds go
  [...symbols, ""].forEach((symbol, at) => {
    const kind = kindOf(symbol);
    if (before !== "mask" && kind !== "mask" && !MAY_FOLLOW[before].includes(kind)) {
      found.set(at, `${symbol || "the end"} cannot follow ${at ? symbols[at - 1] : "the beginning"}`);
    }
    if (kind === "open") open.push([at, atom]);
    else if (kind === "close" && open.length) [, atom] = open.pop();
    else if (kind === "close" && !masked) add(at, ") closes nothing");
    else if (kind === "ring" && !rings.has(symbol)) rings.set(symbol, [at, atom]);
    else if (kind === "ring") {
      const [, first] = rings.get(symbol), ends = bond(first, atom);
      rings.delete(symbol);
      if ((first === atom || bonds.has(ends)) && !masked) add(at, `ring ${symbol} is closed where ${first === atom ? "it begins" : "a bond is"}`);
      bonds.add(ends);
    } else if (kind === "atom") {
      if (before !== "start" && before !== "dot") bonds.add(bond(atom, at));
      atom = at;
    }
    before = before === "open" && kind === "bond" ? "bond of a branch" : kind;
  });
  if (!masked) {
    for (const [at] of open) add(at, "( is not closed");
    for (const [ring, [at]] of rings) add(at, `ring ${ring} is opened and not closed`);
  }
  return [...found].sort(([a], [b]) => a - b);
}

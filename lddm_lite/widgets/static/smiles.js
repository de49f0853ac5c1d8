// Which rings and brackets of a molecule's string (SMILES) do not match, and what cannot follow what: `faults` of
// lddm_lite/text/smiles.py, place by place and word by word.

const KINDS = [["ring", /^(\d|%\d\d)$/], ["bond", /^[-=#:/\\~]$/], ["open", /^\($/], ["close", /^\)$/], ["dot", /^\.$/]];
const ANY = ["atom", "bond", "ring", "open", "close", "dot", "end"];
const MAY_FOLLOW = {
  start: ["atom"], atom: ANY, ring: ANY, bond: ["atom", "ring"], open: ["atom", "bond"],
  close: ANY.filter((kind) => kind !== "ring"), dot: ["atom"],
};

function kindOf(symbol) {
  if (symbol === "") return "end";
  if (symbol === "[MASK]") return "mask";
  return (KINDS.find(([, pattern]) => pattern.test(symbol)) ?? ["atom"])[0];
}

/** Faults of an array of symbols: pairs [place, words] in the order of their places; [] where none can be seen. */
export function faults(symbols) {
  const found = new Map(), open = [], rings = new Map(), masked = symbols.includes("[MASK]");
  const add = (at, words) => { if (!found.has(at)) found.set(at, words); };
  let before = "start";
  [...symbols, ""].forEach((symbol, at) => {
    const kind = kindOf(symbol);
    if (before !== "mask" && kind !== "mask" && !MAY_FOLLOW[before].includes(kind)) {
      found.set(at, `${symbol || "the end"} cannot follow ${at ? symbols[at - 1] : "the beginning"}`);
    }
    if (kind === "open") open.push(at);
    else if (kind === "close" && open.length) open.pop();
    else if (kind === "close" && !masked) add(at, ") closes nothing");
    else if (kind === "ring" && !rings.delete(symbol)) rings.set(symbol, at);
    before = kind;
  });
  if (!masked) {
    for (const at of open) add(at, "( is not closed");
    for (const [ring, at] of rings) add(at, `ring ${ring} is opened and not closed`);
  }
  return [...found].sort(([a], [b]) => a - b);
}

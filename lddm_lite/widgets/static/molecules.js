// Structures of molecules, drawn of the outlines that the library sends (widgets/drawings.py), and why a
// string is none. Whatever they hold becomes the places of paths, of one of these classes, or text.
import { el } from "./elements.js";

const ATOMS = ["c", "n", "o", "f", "s", "cl", "br", "i"];

// `view`: {drawings: {string: {lines: [[path, atom, width]]} or {why}}, size}. -> an SVG, or null where
// there is none of this string
export function structure(view, string) {
  const found = own(view, string);
  if (!found || !found.lines) return null;
  const [width, height] = view.size;
  return el("svg", { class: "structure", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `structure of ${string}` },
    ...found.lines.map(([d, atom, stroke]) => el("path", { d, class: `${ATOMS.includes(atom) ? atom : "c"} ${stroke ? "line" : "area"}`, "stroke-width": +stroke || null })));
}

// Why the library says that a string is no molecule; "" where it says nothing.
export const whyNone = (view, string) => (own(view, string) || {}).why || "";

const own = (view, string) => (view && view.drawings && Object.hasOwn(view.drawings, string) ? view.drawings[string] : null);

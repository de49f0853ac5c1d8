// One page that opens offline: the code of the widget again, around the same bytes.
import { el } from "./elements.js";

const MARK = "// --" + "start--"; // in two, since this text is itself part of the source

// The code alone, of a cell's script or of a live widget's module.
export const plainSource = (source) => source.split(MARK)[0].replace(/\nexport default [^;]*;\s*$/, "");

// `source`: the code that draws the widget, as it stands in the notebook. -> HTML
export function offlinePage(title, source, kind, bytes, state) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  const id = "w" + Math.random().toString(36).slice(2, 12);
  const values = [id, kind, btoa(text), state, id].map((v) => JSON.stringify(v).replaceAll("<", "\\u003c"));
  const safe = el("span", { text: title }).innerHTML;
  return '<!doctype html><html lang="en"><meta charset="utf-8">' +
    `<meta name="viewport" content="width=device-width"><title>${safe}</title>` +
    "<style>:root{color-scheme:light dark}body{margin:12px}</style>" +
    `<main><div data-lddm="${id}"><div class="lddm-host"></div></div></main>` +
    `<${"script"} type="module" data-lddm-code="${id}">${plainSource(source)}\n${MARK}\n` +
    `startHtml(${values.join(", ")});<\/script></html>`;
}

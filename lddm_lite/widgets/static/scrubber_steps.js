// What stands where at a step of a run, as numbers and words. `run`: {tokens, when, length,
// colours}, the arrays a row of `length` for each sample; `about`: its entry in the head's `runs`.
import { REVEAL, ramp, rgb } from "./colours.js";

// The colour of what each of the steps 0..nfe reveals: one scale for all runs, from step 1 to
// `last`.
export const revealColours = (nfe, last) =>
  Array.from({ length: nfe + 1 }, (_, step) => ramp(REVEAL, last > 1 ? (step - 1) / (last - 1) : 0));

export const labelOf = (about, id) => (about.labels[id] === "" ? "∅" : about.labels[id]);

const pictured = (about) => Boolean(about.view) && about.view.kind === "picture";

// The cell of a token that step `when` reveals: its word as written there, the text to show now
// (`numbers`: the step in place of a bit), and its classes.
export function cellAt(about, id, when, step, numbers) {
  const seen = when <= step, label = labelOf(about, id), glued = !about.bits && !pictured(about) && label.startsWith("##");
  const word = glued ? label.slice(2) : label, cell = about.bits || pictured(about);
  const text = !seen ? (cell ? "" : "····") : cell && numbers ? String(when) : word;
  const bit = numbers ? "counted" : about.bits && id === 1 ? "one" : "";
  const look = !seen ? "masked" : when === 0 ? "given" : cell ? bit : "";
  return { word, text, look: glued ? `${look} glued`.trim() : look };
}

// Pictures [rows, columns] of n samples beside each other in `width` pixels, `gap` apart: {scale,
// pixels of a token; columns, pictures in a row; wide, high, pixels of a picture with its gap}.
export function tiles([rows, columns], n, width, gap) {
  const most = Math.max(1, Math.floor((width - gap) / columns));
  for (let scale = Math.min(most, Math.max(1, Math.round((n > 24 ? 44 : n > 4 ? 60 : 96) / Math.max(rows, columns)))); ; scale--) {
    const wide = columns * scale + gap, high = rows * scale + gap, across = Math.max(1, Math.min(n, Math.floor(width / wide)));
    if (scale === 1 || Math.ceil(n / across) * high <= 420) return { scale, columns: across, wide, high };
  }
}

// How many positions of a sample are masked at a step, padding left out.
export function maskedAt(run, about, step, sample) {
  let masked = 0;
  for (let j = sample * run.length; j < (sample + 1) * run.length; j++) {
    if (run.when[j] > step && run.tokens[j] !== about.pad) masked++;
  }
  return masked;
}

// All samples at a step as pixels, a row each in the order `rows`, into `out` (32 bits a pixel):
// bits by value, words by the step that revealed them; padding and what was given are blank.
export function paintSamples(out, run, about, rows, step, palette) {
  const pixel = (hex) => { const [r, g, b] = rgb(hex); return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; };
  const [mask, paper, ...bits] = [palette.mask, palette.paper, palette.bit0, palette.bit1].map(pixel);
  const colours = run.colours.map(pixel);
  let at = 0;
  for (const row of rows) for (let j = row * run.length; j < (row + 1) * run.length; j++) {
    const when = run.when[j], id = run.tokens[j];
    out[at++] = id === about.pad ? paper : when > step ? mask : about.bits ? bits[id] : when ? colours[when] : paper;
  }
}

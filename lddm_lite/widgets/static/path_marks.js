// What the square and the charts of the path explorer draw alike: marks of steps, and words.

export const FONT = '12px system-ui, "Segoe UI", Roboto, sans-serif';
// on the heat map, in either theme; beside them shapes differ
export const MARKS = { tokens: "#7cc4ff", latents: "#ff8a3c" };

// a mark of `radius` at (x, y): circle where tokens move, diamond where latents do, one in the
// other where both
export function stepMark(g, x, y, radius, tokens, latents) {
  const shape = (draw, colour) => {
    g.beginPath(); draw(); g.closePath();
    g.lineWidth = radius > 3 ? 1.5 : 0.8; g.strokeStyle = "#10151b"; g.fillStyle = colour;
    g.fill(); g.stroke();
  };
  const r = tokens && latents ? radius * 1.35 : radius * 1.2;
  if (latents) shape(() => { g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); }, MARKS.latents);
  if (tokens) shape(() => g.arc(x, y, latents ? radius * 0.6 : radius, 0, 7), MARKS.tokens);
}

// text centred at x, in which _x and _z are indices
export function write(g, text, x, y) {
  const parts = text.split(/_(x|z)/), size = (k) => (g.font = k % 2 ? FONT.replace("12px", "9.5px") : FONT, g.measureText(parts[k]).width);
  let at = x - parts.reduce((sum, _, k) => sum + size(k), 0) / 2;
  g.textAlign = "left";
  parts.forEach((part, k) => { const w = size(k); g.fillText(part, at, y + (k % 2 ? 3 : 0)); at += w; });
  g.font = FONT;
}

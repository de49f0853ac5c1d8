// A picture of what is on the page: boxes, texts and canvases painted where the browser laid them
// out.
import { el, zoomOf } from "./elements.js";

export async function paint(root, palette, scale = 2) {
  const frame = root.getBoundingClientRect(), zoom = zoomOf(root), pad = 14 * zoom; // of a slide, perhaps
  scale /= zoom;
  const canvas = el("canvas", { width: Math.ceil((frame.width + 2 * pad) * scale), height: Math.ceil((frame.height + 2 * pad) * scale) });
  const g = canvas.getContext("2d");
  g.scale(scale, scale);
  g.fillStyle = palette.paper; g.fillRect(0, 0, frame.width + 2 * pad, frame.height + 2 * pad);
  g.translate(pad - frame.left, pad - frame.top);
  await paintElement(g, root, zoom);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

async function paintElement(g, e, zoom) {
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  if (style.display === "none" || !box.width || style.clipPath !== "none" || "screen" in e.dataset) return; // data-screen: hints
  if (e instanceof SVGSVGElement) return paintSvg(g, e, box);
  if (e instanceof HTMLCanvasElement) return g.drawImage(e, box.left, box.top, box.width, box.height);
  if (!/, 0\)$|transparent/.test(style.backgroundColor)) {
    g.fillStyle = style.backgroundColor;
    g.beginPath(); g.roundRect(box.left, box.top, box.width, box.height, zoom * parseFloat(style.borderTopLeftRadius) || 0); g.fill();
  }
  if (style.outlineStyle === "solid" || parseFloat(style.borderTopWidth)) {
    const outlined = style.outlineStyle === "solid";
    g.strokeStyle = outlined ? style.outlineColor : style.borderTopColor; g.lineWidth = zoom * parseFloat(outlined ? style.outlineWidth : style.borderTopWidth);
    g.strokeRect(box.left, box.top, box.width, box.height);
  }
  for (const child of e.childNodes) {
    if (child instanceof Element) await paintElement(g, child, zoom);
    else if (child.nodeType === Node.TEXT_NODE && child.data.trim()) paintText(g, child, style, zoom);
  }
}

// word by word, since a line break in the page may fall between any two
function paintText(g, node, style, zoom) {
  const range = document.createRange();
  // not style.font, which is empty where figures are of equal width
  g.font = `${style.fontStyle} ${style.fontWeight} ${zoom * parseFloat(style.fontSize)}px ${style.fontFamily}`; g.fillStyle = style.color; g.textBaseline = "middle"; g.direction = style.direction;
  for (const found of node.data.matchAll(/\S+/g)) {
    range.setStart(node, found.index); range.setEnd(node, found.index + found[0].length);
    const box = range.getBoundingClientRect();
    g.textAlign = "left"; g.direction = "ltr";
    g.fillText(found[0], box.left, box.top + box.height / 2);
  }
}

// an SVG becomes an image once its computed colours are written into it
async function paintSvg(g, svg, box) {
  const copy = svg.cloneNode(true), from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  const kept = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family"];
  from.forEach((e, k) => { const s = getComputedStyle(e); for (const name of kept) to[k].style.setProperty(name, s.getPropertyValue(name)); });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
  await image.decode();
  g.drawImage(image, box.left, box.top, box.width, box.height);
}

// Elements, canvases and files of a page. Text from data reaches the page through textContent
// alone, never as HTML.

// el("button", {class: "x", text: "Play", "aria-label": "...", onclick: f}, child, child)
// -> element
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "rect", "line", "polyline", "g", "text", "tspan"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") e.textContent = value;
    else if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) e.setAttribute(name, value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

// A canvas of `width` x `height` CSS pixels, sharp on dense screens; returns its context, scaled to
// CSS pixels.
export function fit(canvas, width, height) {
  const dense = window.devicePixelRatio || 1, w = Math.round(width * dense), h = Math.round(height * dense);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w; canvas.height = h;
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(dense, 0, 0, dense, 0, 0);
  return g;
}

// Where a pointer is on an element, in the element's own pixels: slides are laid out in one size and shown
// in another.
export function pointOn(element, { clientX, clientY }) {
  const box = element.getBoundingClientRect(), zoom = zoomOf(element);
  return [(clientX - box.left) / zoom, (clientY - box.top) / zoom];
}
export const zoomOf = (element) => element.getBoundingClientRect().width / element.offsetWidth || 1;

export function download(blob, name) {
  const a = el("a", { href: URL.createObjectURL(blob), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

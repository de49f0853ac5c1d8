// Shared by all widgets: decoding of the payload, elements, colours, theme, canvases.
// Text from data reaches the page through textContent alone, never as HTML.

const REVEAL = ["#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78", "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838"];
const CYCLE = ["#7ba1c2", "#6276ba", "#5e43a5", "#4e186f", "#2f1436", "#581647", "#8e2c50", "#b25652", "#c68a6d", "#c9b3a2", "#a9b7be"];
const GROUPS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#8a8a8a"];
const PALETTES = {
  light: { paper: "#ffffff", ink: "#1c2127", soft: "#565f69", line: "#c3c9cf", mask: "#d9dee3", maskInk: "#4f5963", accent: "#b34700", bit0: "#f2e9d8", bit1: "#12355b" },
  dark: { paper: "#15191e", ink: "#eef1f4", soft: "#aab4be", line: "#4a545e", mask: "#38424c", maskInk: "#b9c3cc", accent: "#ff9d4d", bit0: "#f2e9d8", bit1: "#4f83bd" },
};

// bytes of `payload.pack` -> {head, arrays}; arrays[name] = {data: typed array, shape}
async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const types = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };
  const arrays = {};
  for (const [name, a] of Object.entries(head.arrays)) {
    const count = a.shape.reduce((x, y) => x * y, 1);
    arrays[name] = { data: new types[a.dtype](buffer, a.at, count), shape: a.shape };
  }
  return { head, arrays };
}

// el("button", {class: "x", text: "Play", "aria-label": "...", onclick: f}, child, child) -> element
function el(tag, attributes = {}, ...children) {
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

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

// colour at u in [0, 1] of a list of colours; `around`: the list is a circle
function ramp(colours, u, around = false) {
  const n = around ? colours.length : colours.length - 1;
  const at = clamp(u, 0, around ? 0.999999 : 1) * n, i = Math.min(Math.floor(at), n - (around ? 0 : 1)), f = at - i;
  const a = rgb(colours[i % colours.length]), b = rgb(colours[(i + 1) % colours.length]);
  return "#" + a.map((v, k) => Math.round(v + f * (b[k] - v)).toString(16).padStart(2, "0")).join("");
}

function luminance(hex) {
  const [r, g, b] = rgb(hex).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
// black or white text, whichever has the larger contrast on a colour (at least 4.58:1 on any)
const inkOn = (hex) => (luminance(hex) > 0.179 ? "#000000" : "#ffffff");

// Is the page around `host` dark? JupyterLab and VS Code say so; elsewhere the background behind the host decides.
function isDark(host) {
  const said = document.body.dataset.jpThemeLight;
  if (said !== undefined) return said === "false";
  if (document.body.classList.contains("vscode-dark") || document.body.classList.contains("vscode-high-contrast")) return true;
  for (let e = host; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor.match(/[\d.]+/g);
    if (c && (c.length < 4 || +c[3] > 0.5)) return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2] < 110;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// Keeps the host's data-theme right and tells `changed` the palette, now and whenever it changes. -> stop()
function watchTheme(host, changed) {
  let now = null;
  const look = () => {
    const theme = isDark(host) ? "dark" : "light";
    if (theme !== now) changed(PALETTES[(now = host.dataset.theme = theme)]);
  };
  const seen = new MutationObserver(look), media = matchMedia("(prefers-color-scheme: dark)");
  seen.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class", "style"] });
  media.addEventListener("change", look);
  look();
  return () => (seen.disconnect(), media.removeEventListener("change", look));
}

// A canvas of `width` x `height` CSS pixels, sharp on dense screens; returns its context, scaled to CSS pixels.
function fit(canvas, width, height) {
  const dense = window.devicePixelRatio || 1, w = Math.round(width * dense), h = Math.round(height * dense);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w; canvas.height = h;
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(dense, 0, 0, dense, 0, 0);
  return g;
}

// [low, high] of both coordinates of point arrays (flat x, y, x, y, ...) -> function (x, y) -> [px, py] in a square
function projector(arrays, size, margin = 10) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const a of arrays) for (let i = 0; i < a.length; i++) {
    low[i % 2] = Math.min(low[i % 2], a[i]); high[i % 2] = Math.max(high[i % 2], a[i]);
  }
  const half = Math.max(high[0] - low[0], high[1] - low[1], 1e-6) / 2, scale = (size / 2 - margin) / half;
  const cx = (low[0] + high[0]) / 2, cy = (low[1] + high[1]) / 2;
  return (x, y) => [size / 2 + (x - cx) * scale, size / 2 - (y - cy) * scale];
}

function download(blob, name) {
  const a = el("a", { href: URL.createObjectURL(blob), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const kinds = {}; // kind -> (root, app, link) => ({set(name, value), theme(palette), resize(width), close()})

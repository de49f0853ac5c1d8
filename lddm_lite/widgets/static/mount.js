// Where a widget lives. Shown by its own output (`startHtml`), it needs no kernel: its state is a
// Map, and a bus of window events lets the model of a live kernel listen (`initialize`). Inside
// other widgets (`render`), the model is its state. Either way the kernel is told at most once a
// second.
import { el } from "./elements.js";
import { bytesOf, unpack } from "./payload.js";
import { CSS } from "./styles.js"; // made of the .css files by payload.bundle
import { watchTheme } from "./theme.js";

const HUSH = 1000; // ms between two messages to the kernel
const NARROWEST = 160; // px that a widget is laid out for; a narrower place, such as a window mostly of side bars, clips
const kinds = new Map();

// `draw(frame, app, link)` draws widgets of a kind into an element. `app`: {head, arrays, bytes};
// `link`: {get(name), set(name, value), ask(message) -> Promise, live(), source()}.
// -> {set(name, value), theme(palette), resize(width), close()}
export function register(kind, draw) {
  kinds.set(kind, draw);
}

function hushed(send) {
  let last = -Infinity, timer = null, waiting = {};
  const flush = () => { timer = null; last = performance.now(); const now = waiting; waiting = {}; send(now); };
  return (name, value) => {
    waiting[name] = value;
    if (timer === null) timer = setTimeout(flush, Math.max(0, last + HUSH - performance.now()));
  };
}

// Draws the widget into `host`.
async function open(host, kind, bytes, link) {
  const app = { ...(await unpack(bytes)), bytes };
  if (host.widget) host.widget.close(); // the same output drawn again
  const root = host.shadowRoot || host.attachShadow({ mode: "open" });
  root.replaceChildren(el("style", { text: CSS }));
  host.classList.add("lddm-host");
  host.dataset.lmSuppressShortcuts = "true"; // else JupyterLab's command mode eats the arrow keys
  const frame = el("section", { class: "frame", "aria-label": app.head.title || kind });
  root.append(frame);
  const parts = kinds.get(kind)(frame, app, link);
  const fit = () => parts.resize(Math.max(NARROWEST, frame.clientWidth || 640)); // 0 in a hidden tab
  fit();
  const stopTheme = watchTheme(host, (palette) => parts.theme(palette));
  const size = new ResizeObserver(() => host.isConnected && frame.clientWidth > 0 && fit());
  size.observe(frame);
  host.dataset.ready = "true";
  host.widget = { set: parts.set, close: () => (stopTheme(), size.disconnect(), parts.close()) };
  return host.widget;
}

// The output of a cell, or a page of its own. `bus`: the name that a live model listens to.
export async function startHtml(id, kind, base64, state, bus) {
  for (const out of document.querySelectorAll(`[data-lddm="${id}"]:not([data-started])`)) {
    out.dataset.started = "true";
    const bytes = bytesOf(base64);
    const values = new Map(Object.entries(state)), waiting = new Map();
    let live = false, count = 0;
    const post = (detail) => window.dispatchEvent(new CustomEvent(`lddm:${bus}`, { detail }));
    const code = [...document.querySelectorAll("script[data-lddm-code]")].find((s) => s.dataset.lddmCode === id);
    const link = {
      get: (name) => values.get(name),
      set: (name, value) => (values.set(name, value), post({ to: "kernel", name, value, from: link })),
      ask: (message) => new Promise((done) => {
        if (!live) return done(null);
        waiting.set(++count, done);
        post({ to: "kernel", message: { ...message, id: count }, from: link });
      }),
      live: () => live,
      source: () => code.textContent,
    };
    const host = out.querySelector(".lddm-host");
    let widget = null;
    const heard = ({ detail: d }) => {
      if (d.from === link) return;
      if (d.to === "view" && d.reply) {
        if (d.asker === link && waiting.has(d.reply.id)) waiting.get(d.reply.id)(d.reply), waiting.delete(d.reply.id);
      } else if (d.live !== undefined) live = d.live;
      else if (d.name !== undefined) (values.set(d.name, d.value), widget && widget.set(d.name, d.value));
    };
    window.addEventListener(`lddm:${bus}`, heard);
    post({ to: "kernel", hello: true, from: link });
    try {
      widget = await open(host, kind, bytes, link);
    } catch (e) {
      out.dataset.failed = String(e); // the still picture stays
      throw e;
    }
    for (const still of out.querySelectorAll(".lddm-still")) still.hidden = true;
  }
}

// anywidget calls this when the kernel opens the comm, before and without any view.
export function initialize({ model }) {
  const bus = `lddm:${model.get("bus")}`, names = model.get("shared");
  let own = false; // what we set ourselves is not news to the views
  const tell = hushed((values) => {
    own = true;
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    own = false;
    model.save_changes();
  });
  const post = (detail) => window.dispatchEvent(new CustomEvent(bus, { detail }));
  const heard = ({ detail: d }) => {
    if (d.to !== "kernel") return;
    if (d.hello) {
      post({ to: "view", live: true });
      for (const name of names) post({ to: "view", name, value: model.get(name) });
    } else if (d.message) {
      const answer = (reply, buffers) => {
        if (reply.id !== d.message.id) return;
        model.off("msg:custom", answer);
        post({ to: "view", reply: { ...reply, buffers }, asker: d.from });
      };
      model.on("msg:custom", answer);
      model.send(d.message);
    } else if (names.includes(d.name)) {
      tell(d.name, d.value);
    }
  };
  window.addEventListener(bus, heard);
  for (const name of names) model.on(`change:${name}`, () => own || post({ to: "view", name, value: model.get(name) }));
  post({ to: "view", live: true });
  return () => (post({ to: "view", live: false }), window.removeEventListener(bus, heard));
}

// Inside another widget (a box): the model of the live kernel is the state.
export async function render({ model, el: place }) {
  const host = el("div");
  place.append(host);
  const data = model.get("data"), names = model.get("shared");
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const tell = hushed((values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  });
  let count = 0;
  const here = new Map();
  const link = {
    get: (name) => (here.has(name) ? here.get(name) : model.get(name)),
    set: (name, value) => (here.set(name, value), tell(name, value)),
    ask: (message) => new Promise((done) => {
      const id = `${++count}-${Math.random()}`;
      const answer = (reply, buffers) => {
        if (reply.id === id) (model.off("msg:custom", answer), done({ ...reply, buffers }));
      };
      model.on("msg:custom", answer);
      model.send({ ...message, id });
    }),
    live: () => true,
    source: () => model.get("_esm"),
  };
  const widget = await open(host, model.get("kind"), bytes, link);
  const changed = names.map((name) => [`change:${name}`, () => (here.delete(name), widget.set(name, model.get(name)))]);
  for (const [event, f] of changed) model.on(event, f);
  return () => { for (const [event, f] of changed) model.off(event, f); widget.close(); };
}

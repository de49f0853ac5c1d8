// What a scrubber shows: one slider over all runs, step by network call (NFE); everything else
// follows it.
import { PALETTES, REVEAL } from "./colours.js";
import { calm, download, el } from "./elements.js";
import { clamp } from "./numbers.js";
import { offlinePage } from "./page.js";
import { paint } from "./scrubber_png.js";
import { Run } from "./scrubber_run.js";

const SPEEDS = [1, 2, 4, 8, 15, 30]; // steps per second

// `app`, `link`: see mount.js; `app.branch(k, change)` makes run k go on from a step (see
// scrubber_branch.js), as long as its model is at hand: `app.able(k)`; `app.drop(k)` removes a branch.
export function drawScrubber(root, app, link) {
  const { head, arrays } = app, frame = root.closest(".frame"), last = Math.max(...head.runs.map((r) => r.nfe));
  let step = clamp(link.get("step"), 0, last), sample = clamp(link.get("sample"), 0, head.samples - 1);
  let fps = calm() ? 2 : 4, ticking = null, numbers = false, loop = false, palette = PALETTES.light;

  // -- controls
  const play = el("button", { class: "play", text: "▶ Play", "aria-pressed": "false", onclick: () => (ticking ? stop() : start()) });
  const slider = el("input", { type: "range", min: 0, max: last, value: step, "aria-label": "denoising step, counted in network calls",
    oninput: () => (stop(), go(+slider.value)) });
  const where = el("output", { class: "number where" });
  const speed = el("select", { onchange: () => { fps = +speed.value; if (ticking) start(); } },
    ...SPEEDS.map((v) => el("option", { value: v, text: `${v}/s`, selected: v === fps })));
  const repeat = el("button", { text: "Loop", title: "start again at the end", "aria-pressed": "false",
    onclick: () => repeat.setAttribute("aria-pressed", String((loop = !loop))) });
  const picker = el("input", { type: "number", min: 0, max: head.samples - 1, value: sample,
    onchange: () => pick(Math.round(+picker.value) || 0), oninput: () => picker.validity.valid && picker.value !== "" && pick(+picker.value) });
  const order = el("button", { text: "Order", title: "number each position by the step that revealed it", "aria-pressed": "false",
    "aria-label": "unmasking order", onclick: () => { numbers = !numbers; order.setAttribute("aria-pressed", String(numbers)); draw(true); } });
  const png = el("button", { text: "PNG", title: "save this frame as a picture", "aria-label": "save this frame as PNG",
    onclick: async () => download(await paint(panels, palette), `${file}-step${step}.png`) });
  const html = el("button", { text: "HTML", title: "save all as one page that opens offline", "aria-label": "save as one HTML page",
    onclick: () => {
      const text = offlinePage(head.title, link.source(), "scrubber", app.bytes, { step, sample });
      download(new Blob([text], { type: "text/html" }), `${file}.html`);
    } });
  const file = head.title.replace(/[^\w-]+/g, "-").slice(0, 40) || "scrubber";
  if (head.runs.length > 1) frame.classList.add("broad");
  root.append(el("div", { class: "bar scrub-bar" }, play, el("span", { class: "grow" }, slider, where),
      el("label", { text: "speed" }, speed), repeat,
      el("label", { text: "sample" }, picker, el("span", { class: "soft", text: `of ${head.samples}` })), order, png, html));

  // -- one panel a run
  const panels = el("div", { class: "panels" });
  const runs = head.runs.map((run, k) => new Run(run, k, head, arrays, last, pick, app));
  panels.append(...runs.map((r) => r.element));
  root.append(panels, legend(last));

  function draw(all = false) {
    for (const r of runs) r.draw(step, sample, numbers, all);
    const text = `NFE ${step} / ${last}`;
    if (where.textContent !== text) where.textContent = text;
    slider.setAttribute("aria-valuetext", `step ${step} of ${last}; ${runs.map((r) => r.spoken).join("; ")}`);
    frame.dataset.step = step; frame.dataset.sample = sample;
  }
  function go(to, tell = true) {
    to = clamp(to, 0, last);
    if (to === step) return;
    step = to;
    if (+slider.value !== step) slider.value = step;
    draw();
    if (tell) link.set("step", step);
  }
  function pick(to, tell = true) {
    to = clamp(to, 0, head.samples - 1);
    if (+picker.value !== to) picker.value = to;
    if (to === sample) return;
    sample = to;
    draw(true);
    if (tell) link.set("sample", sample);
  }
  function start() {
    stop();
    if (step >= last) go(0);
    play.textContent = "❚❚ Pause"; play.setAttribute("aria-pressed", "true");
    let due = performance.now() + 1000 / fps;
    const tick = (now) => {
      if (now >= due) {
        due = Math.max(due + 1000 / fps, now); // a late frame delays the next ones: none is left out
        if (step < last) go(step + 1);
        else if (loop) go(0);
        else return stop();
      }
      ticking = requestAnimationFrame(tick);
    };
    ticking = requestAnimationFrame(tick);
  }
  function stop() {
    if (ticking) cancelAnimationFrame(ticking);
    ticking = null;
    play.textContent = "▶ Play"; play.setAttribute("aria-pressed", "false");
  }

  // the branch that the focus is in, or else the last one
  function drop() {
    const within = runs.findIndex((r) => r.run.branch && r.element.contains(root.getRootNode().activeElement));
    const k = within < 0 ? head.runs.findLastIndex((r) => r.branch) : within;
    if (k >= 0) app.drop(k);
    return k >= 0;
  }
  // ←/→, Home/End from any control that has no use for them itself; Delete from any that is not written in
  root.addEventListener("keydown", (e) => {
    if (e.key === "Delete" && app.drop && !e.target.matches("select, input[type=number], input[type=text]") && drop()) return e.preventDefault();
    const own = e.target.matches("select, input, [role=listbox]");
    const to = { ArrowLeft: step - 1, ArrowRight: step + 1, Home: 0, End: last }[e.key];
    if (own || to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault(); stop(); go(to);
  });
  return { // the first resize() draws
    set: (name, value) => (name === "step" ? go(value, false) : name === "sample" ? pick(value, false) : null),
    theme: (p) => { palette = p; for (const r of runs) r.theme(p); draw(true); },
    resize: (width) => {
      const columns = runs.length > 1 && width >= 760 ? Math.min(runs.length, width >= 1500 ? 4 : 2) : 1;
      panels.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
      const each = (width - 24 - (columns - 1) * 22) / columns;
      for (const r of runs) for (const v of r.views) if (v.narrow) v.fixed = columns > 1 ? v.narrow : v.broad;
      for (const r of runs) r.resize(each, Math.max(...runs.map((other) => other.taken)));
      draw(true);
    },
    close: stop,
  };
}

function legend(last) {
  const colours = REVEAL.map((c, k) => `${c} ${(100 * k) / (REVEAL.length - 1)}%`).join(", ");
  const item = (swatch, text) => el("span", {}, el("span", { class: `swatch ${swatch}` }), text);
  const scale = el("span", { class: "scale", style: `background: linear-gradient(90deg, ${colours})` });
  return el("div", { class: "legend small soft" }, el("span", {}, "colour: revealed at step 1", scale, String(last)),
    item("masked", "masked"), item("fresh", "revealed by this step"));
}

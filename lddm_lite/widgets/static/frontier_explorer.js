// Quality against diversity, over steps, temperature, order and system. A point's samples are drawn
// again from their seed, here.
import { chart, chartKey } from "./chart.js";
import { el } from "./elements.js";
import { register } from "./mount.js";
import { pageModels } from "./page_models.js";
import { walk } from "./playground_plan.js";
import { stage } from "./scrubber.js";
import { engineRun } from "./scrubber_payload.js";

const LOOKS = { "mdlm": ["#d9650a", 3], "co-seq": ["#2f7fc1", 0], "co-joint": ["#5aaee6", 4], "di-seq": ["#0b7f5f", 2], "di-joint": ["#c06cb4", 1] };
const AXES = {
  mode_tv: ["mode TV", "total variation between the hidden modes of samples and the true ones; 0: all modes as often as they should be"],
  spread: ["spread", "how often two samples differ at a position, on average"],
};
const ORDERS_SAY = { ancestral: "each token by chance", even: "equally many a step", confidence: "the surest first" };
const say2 = (v, digits = 2) => v.toFixed(digits).replace("-", "−");

register("frontier-explorer", (root, app, link) => {
  const { head, arrays } = app, machine = pageModels(link), { limits } = head;
  const rows = head.plans.map((plan, k) => { const [excess, se, mode_tv, spread] = arrays.numbers.data.subarray(4 * k, 4 * k + 4); return { ...plan, k, excess, se, mode_tv, spread }; });
  const names = Object.keys(head.systems), orders = [...new Set(rows.map((r) => r.order))];
  const values = (key) => [...new Set(rows.map((r) => r[key]))].sort((a, b) => a - b);
  const shownNames = new Set(names), shownOrders = new Set(orders);
  let axis = "mode_tv", chosen = rows.find((r) => head.models[r.model] && r.temperature === 1 && r.nfe >= 4) || rows[0], width = 640, busy = false, runs = [];

  const select = (text, key, options, why) => {
    const input = el("select", { onchange: () => choose({ ...chosen, [key]: typeof options[0] === "number" ? +input.value : input.value }) }, ...options.map((v) => el("option", { value: v, text: ORDERS_SAY[v] ? `${v}: ${ORDERS_SAY[v]}` : v })));
    return { input, key, element: el("label", {}, el("span", { class: "why", title: why, text }), input) };
  };
  const fields = [select("model", "model", names, "what samples"), select("calls", "nfe", values("nfe"), "network calls a sequence, divided as usual"),
    select("temperature", "temperature", values("temperature"), "of token draws: below 1 sharper"), select("order", "order", orders, "which tokens a step reveals")];
  const across = el("select", { onchange: () => { axis = across.value; draw(); } }, ...Object.entries(AXES).map(([value, [text]]) => el("option", { value, text })));
  const toggles = (of, set, make) => of.map((name) => { const b = el("button", { type: "button", "aria-pressed": "true", onclick: () => { if (!set.delete(name)) set.add(name); b.setAttribute("aria-pressed", String(set.has(name))); draw(); } }, ...make(name)); return b; });
  const look = (name) => LOOKS[head.systems[name]] || ["#777777", 0];
  const shows = el("div", { class: "fe-row", role: "group", "aria-label": "show models" }, ...toggles(names, shownNames, (name) => [chartKey([{ name: "", colour: look(name)[0], mark: look(name)[1] }]), name]));
  const showsOrders = el("div", { class: "fe-row", role: "group", "aria-label": "show orders" }, ...toggles(orders, shownOrders, (name) => [name]));
  const go = el("button", { type: "button", class: "fe-go", onclick: () => sample() }), halt = el("button", { type: "button", text: "Stop", disabled: true, onclick: () => machine.stop() });
  const status = el("span", { class: "small soft", role: "status" }), about = el("dl"), place = el("div", { class: "fe-stage" }), plot = el("div");
  const top = el("div", { class: "fe-top" }, el("figure", {}, el("figcaption", { text: "Lower: more like true data. A larger mark: more network calls. Bars: two standard errors." }), plot),
    el("div", {}, el("div", { class: "fe-row" }, el("label", { text: "diversity" }, across)), shows, showsOrders,
      el("div", { class: "fe-row" }, ...fields.map((f) => f.element)), el("div", { class: "fe-chosen" }, about), el("div", { class: "fe-row" }, go, halt), status,
      el("p", { class: "small soft", text: `${head.n.toLocaleString("en")} samples a point, seed ${head.seed}. ${head.made}` })));
  root.classList.add("broad");
  root.append(el("h3", { text: head.title }), top, place);

  function choose(like, again = false) {
    chosen = rows.find((r) => fields.every((f) => r[f.key] === like[f.key])) || chosen;
    draw();
    if (again) sample();
  }
  function draw() {
    fields.forEach((f) => (f.input.value = chosen[f.key]));
    const seen = rows.filter((r) => (shownNames.has(r.model) && shownOrders.has(r.order)) || r === chosen), has = Boolean(head.models[chosen.model]);
    const lines = [["exact, even steps", "even", "2 3", "what a perfect predictor without latents reaches in equal steps"], ["exact, best steps", "best", "7 3", "the same, its steps placed where they cost least"]].map(([name, how, dash, why]) => ({
      name, why, colour: "var(--ink)", mark: 1, line: true, dash, points: limits[how].map((r) => ({ x: r[axis], y: r.excess, r: 3, se: r.excess_se, title: `${r.nfe} calls: excess ${say2(r.excess)}, ${AXES[axis][0]} ${say2(r[axis], 3)}` })) }));
    const points = names.map((name) => ({ name, colour: look(name)[0], mark: look(name)[1], points: seen.filter((r) => r.model === name).map((r) => ({
      x: r[axis], y: r.excess, r: 2.4 + 0.9 * Math.log2(r.nfe), se: r === chosen ? r.se : 0, chosen: r === chosen, go: () => choose(r, true),
      title: `${r.nfe} calls, temperature ${r.temperature}, ${r.order}: excess ${say2(r.excess)} ± ${say2(r.se)}, ${AXES[axis][0]} ${say2(r[axis], 3)}` })) }));
    const all = [...lines, ...points].flatMap((s) => s.points), [truth] = limits.true, xs = [...all.map((p) => p.x), truth[axis]], ys = all.map((p) => p.y), low = Math.min(0, ...ys), high = Math.max(...ys), pad = 0.06 * (high - low || 1);
    const x0 = axis === "mode_tv" ? 0 : Math.min(...xs), x1 = Math.max(...xs), apart = 0.05 * (x1 - x0 || 1), size = Math.min(width - 24, width >= 1000 ? Math.max(560, Math.min(820, width - 520)) : 720);
    plot.replaceChildren(chart({ width: size, height: Math.min(430, Math.max(300, size * 0.62)), label: `excess against ${AXES[axis][0]}, ${seen.length} points`, rules: [{ y: 0, text: "true data: 0" }],
      x: { low: axis === "mode_tv" ? 0 : x0 - apart, high: x1 + apart, label: `${AXES[axis][0]} (true data: ${say2(truth[axis], 2)})` }, y: { low: low - pad, high: high + pad, label: "excess, nats a sequence" }, series: [...lines, ...points] }), chartKey(lines));
    about.replaceChildren(...[["point", `${chosen.model}, ${chosen.nfe} calls (${chosen.token_steps} for tokens, ${chosen.latent_steps} for latents)`], ["drawn", `temperature ${chosen.temperature}, ${chosen.order}`],
      ["excess", `${say2(chosen.excess)} ± ${say2(chosen.se)} nats a sequence`], ["mode TV", `${say2(chosen.mode_tv, 3)} (true data: ${say2(truth.mode_tv, 3)})`], ["spread", `${say2(chosen.spread, 3)} (true data: ${say2(truth.spread, 3)})`]]
      .flatMap(([name, text]) => [el("dt", { text: name, class: AXES[name.replace(" ", "_").toLowerCase()] ? "why" : null, title: (AXES[name.replace(" ", "_").toLowerCase()] || [])[1] || null }), el("dd", { text })]));
    go.textContent = `▶ Draw its first ${head.samples} samples again`;
    go.disabled = busy || !has;
    go.title = has ? "" : "this model did not come along in the page";
    root.dataset.point = chosen.k;
  }

  const state = new Map(), quiet = { get: (name) => state.get(name), set: (name, value) => state.set(name, value), ask: () => Promise.resolve(null), live: () => false, source: link.source };
  const stand = stage(place, quiet, { able: (about) => machine.able(about.model), say: (text) => (status.textContent = text), ask: (about, asked) => machine.ask(about.model, "sample", asked) });
  async function sample() {
    const row = chosen, m = head.models[row.model];
    if (busy || !m) return;
    busy = true; halt.disabled = false; status.textContent = "sampling …"; draw();
    try {
      const draws = { temperature: row.temperature, order: row.order }, start = performance.now();
      const run = await machine.ask(m, "sample", { n: head.samples, knots: walk(row, m.head.config), seed: head.seed, draws });
      if (run) {
        const name = `${row.model}, ${row.nfe} calls, temperature ${row.temperature}, ${row.order}`, cloud = arrays[`cloud${m.index}`] && { cloud: arrays[`cloud${m.index}`], hue: arrays[`hue${m.index}`] };
        runs = [...runs, engineRun(run, m, { name, draws, cloud, view: m.view })].slice(-2);
        state.set("step", Math.max(...runs.map((r) => r.about.nfe))).set("sample", 0);
        await stand.show(runs, name, head.groups);
        status.textContent = `${head.samples} sequences in ${((performance.now() - start) / 1000).toFixed(2)} s, in this browser.`;
        root.dataset.runs = +(root.dataset.runs || 0) + 1;
      } else status.textContent = "Stopped.";
    } catch (e) { status.textContent = e.message; }
    busy = false; halt.disabled = true; draw();
  }

  draw();
  return {
    set() {},
    theme: stand.theme,
    resize(next) { width = next; top.classList.toggle("wide", next >= 1000); draw(); stand.resize(next); },
    close() { machine.close(); stand.close(); },
  };
});

// The playground: choose a model and its steps, and see it sample here, without a kernel; each run
// opens in a scrubber, beside the last one.
import { PALETTES } from "./colours.js";
import { el } from "./elements.js";
import { engine } from "./engine_client.js";
import { register } from "./mount.js";
import { clamp } from "./numbers.js";
import { bytesOf, pack, unpack } from "./payload.js";
import { readSchedule, walk } from "./playground_plan.js";
import { standing } from "./playground_results.js";
import { drawScrubber } from "./scrubber.js";
import { scrubberPayload } from "./scrubber_payload.js";
import { PathSquare } from "./scrubber_views.js";

const KEPT = 6; // rows of the table of results

register("playground", (root, app, link) => {
  const { head, arrays } = app, models = head.models, machine = engine(link.source);
  let plan = { ...link.get("plan") }, palette = PALETTES.light, width = 0, busy = false, scrubber = null, runs = [], rows = [];
  const weights = new Map();
  const chosen = () => models[clamp(plan.model, 0, models.length - 1)], config = () => chosen().head.config;

  // -- controls
  const id = `pg-${Math.random().toString(36).slice(2, 8)}`;
  const set = (name, value) => { plan = { ...plan, [name]: value }; link.set("plan", plan); announce(); };
  const fields = {};
  const field = (name, text, why, input) => {
    fields[name] = input;
    input.id = `${id}-${name}`;
    return (fields[`${name} box`] = el("div", { class: "pg-field" }, el("label", { for: input.id, text, title: why }), input));
  };
  const number = (name, text, why, low, high, step = 1) => {
    const input = el("input", { type: "number", min: low, max: high, step, onchange: () => {
      const v = clamp(input.value === "" ? low : +input.value, low, high);
      set(name, step === 1 ? Math.round(v) : v);
    } });
    return field(name, text, why, input);
  };
  const choice = (name, text, why, options) => {
    const input = el("select", { onchange: () => set(name, input.value) }, ...options.map(([value, says]) => el("option", { value, text: says })));
    return field(name, text, why, input);
  };
  const model = el("select", { onchange: () => choose(+model.value) }, ...models.map((m, k) => el("option", { value: k, text: m.name })));
  const lead = el("input", { type: "range", min: 0, max: 0.5, step: 0.05, oninput: () => set("lead", +lead.value) }), leadSays = el("output", { class: "number small" });
  const schedule = el("input", { type: "text", spellcheck: "false", autocomplete: "off", oninput: () => set("schedule", schedule.value) });
  const dice = el("button", { text: "new", title: "another seed, and sample", "aria-label": "sample with another seed", onclick: () => { set("seed", (plan.seed + 1) % 2147483647); sample(); } });
  const main = el("div", { class: "pg-controls" },
    field("model", "model", "what samples", model),
    number("token_steps", "token steps", "network calls that reveal tokens", 1, 128),
    number("latent_steps", "latent steps", "network calls that denoise the latents", 1, 128),
    field("lead", "lead", "how far the latents run ahead of the tokens: 0 together, 0.5 all the way", lead),
    choice("order", "order", "which tokens a step reveals", [["ancestral", "ancestral: each by chance"], ["even", "even: equally many a step"], ["confidence", "confidence: the surest"]]),
    number("temperature", "temperature", "of token draws: below 1 sharper, 0 the most probable", 0, 5, 0.05),
    number("seed", "seed", "the same seed gives the same run, here and in Python", 0, 2147483646), number("samples", "samples", "sequences drawn at once", 1, 64));
  fields["lead box"].append(leadSays);
  fields["seed box"].append(dice);
  const more = el("details", { class: "pg-more" }, el("summary", { text: "more: schedule, nucleus, noise" }),
    el("div", { class: "pg-controls" },
      field("schedule", "schedule", "where each step begins, in place of even steps", schedule),
      number("top_p", "nucleus", "draw from the fewest tokens that have this probability together; 1: from all", 0.05, 1, 0.05),
      number("eta", "latent noise", "1: ancestral; 0: DDIM, which adds none", 0, 1, 0.1),
      number("latent_temperature", "code temperature", "of the draws of codes", 0, 5, 0.05)),
    el("p", { class: "small soft", text: "A schedule is a list of pairs t_x t_z where steps begin, such as “1 1, 1 0.4, 1 0, 0.7 0”; or of how many tokens are visible before each step, such as “0, 1, 8, 40”." }));
  const go = el("button", { class: "pg-go", text: "▶ Sample", onclick: () => sample() });
  const halt = el("button", { text: "Stop", disabled: true, onclick: () => machine.stop() });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "network calls done" });
  const says = el("span", { class: "pg-plan" }), status = el("span", { class: "small soft", role: "status" });
  const path = el("div", { class: "pg-path" }), found = el("div", { class: "pg-found" }), stage = el("div", { class: "pg-stage" });
  root.append(el("h3", { text: head.title }), el("div", { class: "pg-top" }, el("div", { class: "pg-left" }, main, more,
    el("div", { class: "bar pg-act" }, go, halt, says, bar, status)), path), found, stage);

  function choose(k) {
    const m = models[k];
    plan = { ...plan, model: k, ...m.usual, schedule: "" };
    link.set("plan", plan);
    announce();
  }
  // what the calls will buy, before they are spent
  function announce() {
    const c = config(), latents = c.latent !== "none";
    model.value = plan.model; lead.value = plan.lead; schedule.value = plan.schedule;
    for (const name of ["token_steps", "latent_steps", "order", "temperature", "seed", "samples", "top_p", "eta", "latent_temperature"]) fields[name].value = plan[name];
    leadSays.textContent = plan.lead === 0 ? "0 joint" : plan.lead === 0.5 ? "½ sequential" : String(plan.lead);
    for (const [name, there] of [["latent_steps", latents], ["lead", latents], ["eta", c.latent === "continuous"], ["latent_temperature", c.latent === "discrete"]]) fields[`${name} box`].hidden = !there;
    for (const name of ["token_steps", "latent_steps", "lead"]) fields[name].disabled = plan.schedule.trim() !== "";
    const { knots, wrong } = walked();
    schedule.setAttribute("aria-invalid", String(Boolean(wrong)));
    go.disabled = busy || Boolean(wrong);
    if (wrong) return (says.textContent = wrong);
    let x = 0, z = 0;
    knots.slice(1).forEach((b, k) => { x += b[0] < knots[k][0]; z += b[1] < knots[k][1]; });
    const each = x + z > knots.length - 1 ? ", some at once" : "", tell = (v, what) => `${v} of ${what}`;
    says.textContent = `${knots.length - 1} network ${knots.length === 2 ? "call" : "calls"} a sequence` + (latents ? `: ${tell(z, "the latents")}, ${tell(x, "the tokens")}${each}` : "");
    const square = latents ? new PathSquare({ knots, latent: c.latent }) : null;
    if (square) square.draw(0);
    path.replaceChildren(...(square ? [square.element] : []));
  }
  function walked() {
    try { return { knots: plan.schedule.trim() ? readSchedule(plan.schedule, config()) : walk(plan, config()) }; } catch (e) { return { wrong: e.message }; }
  }

  // -- weights: in the page under their key, whoever brought them; else the kernel has them
  async function openModel(m) {
    if (!weights.has(m.key)) {
      const lying = [...document.querySelectorAll("script[data-lddm-weights]")].find((s) => s.dataset.lddmWeights === m.key);
      const reply = lying ? { weights: lying.textContent } : await link.ask({ weights: m.key });
      if (!reply || reply.error) throw new Error(`The weights of ${m.name} lie in a cell that is not on this page. Run this cell again.`);
      weights.set(m.key, await unpack(bytesOf(reply.weights)));
    }
    const { head: about, arrays: numbers } = weights.get(m.key);
    await machine.open(m.key, about, numbers);
  }

  async function sample() {
    if (busy) return;
    const m = chosen(), { knots, wrong } = walked(), now = { ...plan };
    if (wrong) return;
    busy = true; go.disabled = dice.disabled = true; halt.disabled = false; bar.hidden = false; bar.value = 0;
    status.textContent = "sampling …";
    const start = performance.now();
    try {
      await openModel(m);
      const draws = { temperature: now.temperature, topP: now.top_p, order: now.order };
      if (config().latent === "continuous") draws.eta = now.eta;
      if (config().latent === "discrete") draws.latentTemperature = now.latent_temperature;
      const run = await machine.ask(m.key, "sample", { n: now.samples, knots, seed: now.seed, draws, goals: true },
        ([done, total]) => (bar.value = done / total));
      if (!run) status.textContent = "Stopped.";
      else {
        const seconds = (performance.now() - start) / 1000;
        status.textContent = `${now.samples} ${now.samples === 1 ? "sequence" : "sequences"} in ${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(0)} s, in this browser.`;
        await show({ run, model: m, plan: now, draws, cloud: arrays[`cloud${m.index}`] && { cloud: arrays[`cloud${m.index}`], hue: arrays[`hue${m.index}`] } });
      }
    } catch (e) {
      status.textContent = e.message;
    }
    busy = false; dice.disabled = false; halt.disabled = true; bar.hidden = true;
    announce();
  }

  // Run k goes on from a step with what was changed in one sample, beside itself; the other samples
  // stay.
  async function branch(k, { step, sample: i, edits, latents }) {
    if (busy) return;
    const base = runs[k], { run, model: m } = base, c = m.head.config, mask = c.vocab;
    const x = run.tokens[i].map((v, j) => (run.when[i][j] > step ? mask : v)), given = run.when[i].map((when) => (when === 0 ? 1 : 0));
    for (const [j, id] of edits) { x[j] = id; given[j] = id === mask ? 0 : 1; }
    let z = run.latents && run.latents[step][i].slice();
    if (latents && latents.codes) for (const [j, code] of Object.entries(latents.codes)) z[j] = code;
    else if (latents) {
      const p = m.plane, now = p ? p.axes.map((a) => a.reduce((sum, v, d) => sum + v * (z[d] - p.mean[d]), 0)) : null;
      z = p ? z.map((v, d) => v + p.axes.reduce((sum, a, e) => sum + a[d] * (latents.to[e] - now[e]), 0)) : Float32Array.from(latents.to);
    }
    busy = true; go.disabled = true; halt.disabled = false; status.textContent = "going on …";
    try {
      await openModel(m);
      const free = x.filter((v, j) => v !== c.pad_id && !given[j]).length;
      const on = await machine.ask(m.key, "sample", { start: [x], knots: run.knots, seed: base.plan.seed, rows: [i], draws: base.draws, latents: z && [z], first: step, free: [free], goals: true });
      if (on) {
        const one = (rows, row) => rows.map((old, n) => (n === i ? row : old)), kept = (rows, row, top = 1) => one(rows, row.map((v, j) => {
          const at = Math.floor(j / top);
          return on.when[0][at] > step || given[at] ? v : rows[i][j];
        }));
        const made = { ...run, tokens: one(run.tokens, on.tokens[0]), prob: kept(run.prob, on.prob[0]), parent: run.tokens,
          when: one(run.when, on.when[0].map((when, j) => (when > step || given[j] ? when : run.when[i][j]))),
          alts: kept(run.alts, on.alts[0], run.alts[i].length / c.length), altp: kept(run.altp, on.altp[0], run.altp[i].length / c.length),
          latents: run.latents && run.latents.map((rows, s) => (s < step ? rows : one(rows, on.latents[s][0]))), goals: run.goals && one(run.goals, on.goals[0]) };
        const changed = made.tokens[i].reduce((sum, v, j) => sum + (v !== run.tokens[i][j]), 0);
        status.textContent = `Sample ${i} went on from step ${step}: ${changed} ${changed === 1 ? "token" : "tokens"} came out otherwise, underlined.`;
        runs = [base];
        await show({ ...base, run: made, draws: base.draws, note: `from step ${step}` }, { sample: i, table: false });
      } else status.textContent = "Stopped.";
    } catch (e) {
      status.textContent = e.message;
    }
    busy = false; halt.disabled = true;
    announce();
  }

  // the run beside the last one, and in the table
  async function show(made, { sample: at = 0, table = true } = {}) {
    made.name = `${made.model.name}, ${made.run.nfe} ${made.run.nfe === 1 ? "call" : "calls"}${made.note ? `, ${made.note}` : ""}`;
    runs = [...runs, made].slice(-2).filter((r) => r === made || (r.model.head.config.length === made.model.head.config.length && r.run.tokens.length === made.run.tokens.length));
    if (table) rows = [made, ...rows].slice(0, KEPT);
    found.replaceChildren(...standing(rows));
    const payload = scrubberPayload(runs.map((r) => ({ ...r, model: { ...r.model, name: r.name } })), runs.map((r) => r.name).join(" | "), head.groups);
    const state = new Map([["step", Math.max(...runs.map((r) => r.run.nfe))], ["sample", at]]);
    if (scrubber) scrubber.close();
    const place = el("div", { class: "pg-scrubber" });
    stage.replaceChildren(place);
    scrubber = drawScrubber(place, { ...payload, bytes: await pack(payload.head, payload.arrays), branch },
      { get: (name) => state.get(name), set: (name, value) => state.set(name, value), ask: () => Promise.resolve(null), live: () => false, source: link.source });
    scrubber.resize(width);
    scrubber.theme(palette);
    root.dataset.runs = rows.length; root.dataset.where = machine.where();
  }

  announce();
  // alive at first sight
  const seen = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) { seen.disconnect(); sample(); } });
  if (head.start) seen.observe(root);
  return {
    set(name, value) { if (name === "plan") { plan = { ...value }; announce(); } },
    theme(next) { palette = next; if (scrubber) scrubber.theme(next); },
    resize(next) { width = next; root.classList.toggle("pg-narrow", next < 700); if (scrubber) scrubber.resize(next); },
    close() { seen.disconnect(); machine.close(); if (scrubber) scrubber.close(); },
  };
});

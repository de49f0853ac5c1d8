// The playground: choose a model and its steps, and see it sample here, without a kernel; each run
// opens in a scrubber, beside the last one.
import { el } from "./elements.js";
import { register } from "./mount.js";
import { clamp } from "./numbers.js";
import { pageModels } from "./page_models.js";
import { readSchedule, walk } from "./playground_plan.js";
import { standing } from "./playground_results.js";
import { stage } from "./scrubber.js";
import { engineRun } from "./scrubber_payload.js";
import { PathSquare } from "./scrubber_views.js";

const KEPT = 6; // rows of the table of results

register("playground", (root, app, link) => {
  const { head, arrays } = app, models = head.models, machine = pageModels(link);
  let plan = { ...link.get("plan") }, busy = false, runs = [], rows = [];
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
  const path = el("div", { class: "pg-path" }), found = el("div", { class: "pg-found" }), place = el("div", { class: "pg-stage" });
  root.classList.add("broad"); // so that it does not widen when a second run comes
  root.append(el("h3", { text: head.title }), el("div", { class: "pg-top" }, el("div", { class: "pg-left" }, main, more,
    el("div", { class: "bar pg-act" }, go, halt, says, bar, status)), path), found, place);

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

  async function sample() {
    if (busy) return;
    const m = chosen(), { knots, wrong } = walked(), now = { ...plan };
    if (wrong) return;
    busy = true; go.disabled = dice.disabled = true; halt.disabled = false; bar.hidden = false; bar.value = 0;
    status.textContent = "sampling …";
    const start = performance.now();
    try {
      const draws = { temperature: now.temperature, topP: now.top_p, order: now.order };
      if (config().latent === "continuous") draws.eta = now.eta;
      if (config().latent === "discrete") draws.latentTemperature = now.latent_temperature;
      const run = await machine.ask(m, "sample", { n: now.samples, knots, seed: now.seed, draws, goals: true },
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

  // the run beside the last one, and in the table
  const state = new Map(), quiet = { get: (name) => state.get(name), set: (name, value) => state.set(name, value), ask: () => Promise.resolve(null), live: () => false, source: link.source };
  const stand = stage(place, quiet, { able: (about) => machine.able(about.model), say: (text) => (status.textContent = text), async ask(about, asked) {
    if (busy) throw new Error("One run at a time.");
    busy = true; go.disabled = dice.disabled = true; halt.disabled = false;
    try { return await machine.ask(about.model, "sample", asked); } finally { busy = false; dice.disabled = false; halt.disabled = true; announce(); }
  } });
  async function show(made) {
    const { run, model: m, draws, cloud } = made;
    made.name = `${m.name}, ${run.nfe} ${run.nfe === 1 ? "call" : "calls"}`;
    made.shown = engineRun(run, m, { name: made.name, draws, cloud, view: m.view });
    runs = [...runs, made].slice(-2).filter((r) => r === made || (r.model.head.config.length === m.head.config.length && r.run.tokens.length === run.tokens.length));
    rows = [made, ...rows].slice(0, KEPT);
    found.replaceChildren(...standing(rows));
    state.set("step", Math.max(...runs.map((r) => r.run.nfe))).set("sample", 0);
    await stand.show(runs.map((r) => r.shown), runs.map((r) => r.name).join(" | "), head.groups);
    root.dataset.runs = rows.length; root.dataset.where = machine.where();
  }

  announce();
  // alive at first sight
  const seen = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) { seen.disconnect(); sample(); } });
  if (head.start) seen.observe(root);
  return {
    set(name, value) { if (name === "plan") { plan = { ...value }; announce(); } },
    theme: stand.theme,
    resize(next) { root.classList.toggle("pg-narrow", next < 700); stand.resize(next); },
    close() { seen.disconnect(); machine.close(); stand.close(); },
  };
});

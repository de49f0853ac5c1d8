// What was drawn, in numbers, beside what is known: limits without latents, and what was measured of
// the model.
import { el } from "./elements.js";

const nats = (v) => v.toFixed(2).replace("-", "−");
const within = (v, se) => `${nats(v)} ± ${se < 100 ? se.toFixed(2) : "?"}`;

// rows: runs, the latest first. -> elements; none for data whose law a page does not know
export function standing(rows) {
  if (!rows[0].run.score) return [];
  const known = rows[0].model, heads = ["run", "calls", "excess, nats", "mode TV", "exact, even steps", "exact, best steps"];
  const why = ["", "network calls a sequence", "how much less likely samples are than true data, under the true law: −log p* minus its entropy, ± one standard error",
    "total variation between the hidden modes of these samples and the true ones; true data of as many sequences show the number in brackets",
    "excess of the exact predictor without latents, in as many calls, evenly placed", "the same, its calls placed where they cost least"];
  const limit = (name, nfe) => { const row = known.limits && known.limits[name].find((r) => r.nfe === nfe); return row ? nats(row.excess) : "–"; };
  const body = rows.filter((r) => r.run.score).map(({ run, name, plan, model }, k) => {
    const { nats: mean, se, modeTv, freshTv } = run.score;
    const cells = [run.nfe, within(mean - model.truth.entropy, Math.hypot(se, model.truth.entropy_se)), `${modeTv.toFixed(2)} (${freshTv.toFixed(2)})`, limit("even", run.nfe), limit("best", run.nfe)];
    return el("tr", { class: k ? null : "pg-now" }, el("th", { scope: "row", text: `${name.split(", ")[0]} · ${about(plan)}` }), ...cells.map((text) => el("td", { text })));
  });
  const table = el("table", { class: "pg-table" }, el("thead", {}, el("tr", {}, ...heads.map((text, k) => el("th", { scope: "col", text, title: why[k] || null })))), el("tbody", {}, ...body));
  const far = (r) => Math.abs(Math.log(r.nfe / rows[0].run.nfe)), told = [...(known.measured || [])].sort((a, b) => far(a) - far(b))[0];
  const note = told ? el("p", { class: "small soft" }, `Measured of ${known.name} with 2,048 samples, its steps at their best: in ${told.nfe} calls (${told.token_steps} + ${told.latent_steps}) excess ${within(told.excess, told.excess_se)}`,
    told.kl_forward === undefined ? "." : `, KL(p*‖q) ${within(told.kl_forward, told.kl_forward_se)}, KL(q‖p*) ${within(told.kl_reverse, told.kl_reverse_se)} nats.`) : null;
  return [el("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "what was drawn" }, table), ...(note ? [note] : [])];
}

function about(plan) {
  const parts = [plan.order, `seed ${plan.seed}`];
  if (plan.temperature !== 1) parts.push(`temperature ${plan.temperature}`);
  if (plan.top_p !== 1) parts.push(`nucleus ${plan.top_p}`);
  if (plan.schedule.trim()) parts.push("own schedule");
  return parts.join(", ");
}

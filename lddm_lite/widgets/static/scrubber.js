// The scrubber of some runs, which go on from any of their steps where their model is at hand.
import { el } from "./elements.js";
import { register } from "./mount.js";
import { pack } from "./payload.js";
import { apart, beside, branched, dropped, planOf, rowOf, together } from "./scrubber_branches.js";
import { drawScrubber } from "./scrubber_draw.js";

// Here the kernel has the models.
register("scrubber", (root, app, link) => scrubberOf(root, app, link, {
  able: link.live,
  async ask(about, plan) {
    const reply = await link.ask({ go_on: { ...plan, run: about.model.index } });
    if (!reply) throw new Error("The kernel that has the model is gone: run this cell again.");
    if (reply.error) throw new Error(reply.error);
    return reply;
  },
}));

// A scrubber of a payload. how: {ask(about, plan) -> what the engine gives, or null when stopped;
// able(about): is the model of that run at hand, now?}
export function scrubberOf(root, app, link, how) {
  const place = el("div"), says = el("p", { class: "small soft", role: "status", hidden: true });
  const say = (text) => ((says.textContent = text), (says.hidden = false));
  root.append(place, says);
  const shown = stage(place, link, { ...how, say });
  shown.show(apart(app), app.head.title, app.head.groups, app);
  return shown;
}

// The place of a scrubber whose runs change. say(text): how a branch fares.
// -> {show(runs, title, groups, app), set, theme, resize, close}; `app`: their payload, if there is one
export function stage(root, link, { ask, able, say }) {
  let runs = [], title = "", groups = null, scrubber = null, palette = null, width = 0, busy = false;
  function draw(app) {
    const place = el("div"), focused = root.contains(root.getRootNode().activeElement);
    if (scrubber) scrubber.close();
    root.replaceChildren(place);
    scrubber = drawScrubber(place, { ...app, drop, branch: (k, change) => branch(runs[k], change), able: (k) => Boolean(runs[k].about.model) && able(runs[k].about) }, link);
    if (width) scrubber.resize(width);
    if (palette) scrubber.theme(palette);
    if (focused) place.querySelector("input[type=range]").focus(); // a key goes on where the last one was heard
  }
  async function show(next, name, names = null, app = null) {
    [runs, title, groups] = [next, name, names];
    if (app) return draw(app);
    const made = together(runs, title, groups);
    draw({ ...made, bytes: await pack(made.head, made.arrays) });
  }
  async function branch(base, change) {
    if (busy) return;
    busy = true;
    say("going on …");
    try {
      const plan = planOf(base, change), on = await ask(base.about, plan.asked), i = change.sample, end = change.step >= base.about.nfe;
      if (on) {
        const made = branched(base, change, plan, on), old = rowOf(base.arrays.tokens, i);
        const count = rowOf(made.arrays.tokens, i).reduce((sum, v, j) => sum + (v !== old[j]), 0);
        link.set("step", base.about.nfe); link.set("sample", i);
        await show(beside(runs, base, made), title, groups);
        const otherwise = count ? `${count} ${count === 1 ? "token" : "tokens"} came out otherwise, underlined.` : "all tokens came out as before.";
        say(`Sample ${i} went on from ${end ? "its gaps" : `step ${change.step}`}: ${otherwise}`);
      } else say("Stopped.");
    } catch (e) {
      say(e.message);
    }
    busy = false;
  }
  async function drop(k) {
    if (busy || !runs[k].about.branch) return;
    const { name } = runs[k].about;
    await show(dropped(runs, k), title, groups);
    say(`Dropped: ${name}.`);
  }
  return {
    show,
    set: (name, value) => scrubber && scrubber.set(name, value),
    theme(next) { palette = next; if (scrubber) scrubber.theme(next); },
    resize(next) { width = next; if (scrubber) scrubber.resize(next); },
    close() { if (scrubber) scrubber.close(); },
  };
}

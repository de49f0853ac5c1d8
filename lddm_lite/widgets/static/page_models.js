// Models that a page has: their weights lie in it under their key, whoever brought them; else the
// kernel is asked for them.
import { engine } from "./engine_client.js";
import { bytesOf, unpack } from "./payload.js";

const lying = (key) => [...document.querySelectorAll("script[data-lddm-weights]")].find((s) => s.dataset.lddmWeights === key);

// -> {ask({key, name}, job, about, news), able({key}): are the weights at hand, stop(), where(), close()}
export function pageModels(link) {
  const machine = engine(link.source), weights = new Map();
  async function open({ key, name }) {
    if (!weights.has(key)) {
      const here = lying(key), reply = here ? { weights: here.textContent } : await link.ask({ weights: key });
      if (!reply || reply.error) throw new Error(`The weights of ${name} lie in a cell that is not on this page. Run this cell again.`);
      weights.set(key, await unpack(bytesOf(reply.weights)));
    }
    const { head, arrays } = weights.get(key);
    await machine.open(key, head, arrays);
  }
  return { ...machine,
    able: ({ key }) => weights.has(key) || Boolean(lying(key)) || link.live(),
    async ask(model, job, about, news) {
      await open(model);
      return machine.ask(model.key, job, about, news);
    },
  };
}

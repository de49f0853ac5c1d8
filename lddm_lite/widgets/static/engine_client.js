// The engine seen from a page: a worker made of the page's own code, so that files opened from disk
// have it too; where workers are refused, slices of 8 ms between what else the page does.
import { doJob, keepModel } from "./engine.js";
import { plainSource } from "./page.js";

const SLICE = 8;

// `source()`: the code that this runs in. -> {open(key, head, arrays), ask(key, job, about, news),
// stop(), where()}
export function engine(source) {
  const waiting = new Map(), opened = new Map(); // questions by number; models by key
  let worker, count = 0, halted = 0;

  function start() {
    if (worker !== undefined) return;
    worker = null;
    try {
      const url = URL.createObjectURL(new Blob([`${plainSource(source())}\nserve(self);`], { type: "text/javascript" }));
      worker = new Worker(url);
      worker.onmessage = ({ data: { id, news, done, failed } }) => {
        const asked = waiting.get(id);
        if (!asked) return;
        if (news) return asked.news(news);
        waiting.delete(id);
        if (failed) asked.fail(new Error(failed));
        else asked.done(done);
      };
      worker.onerror = (e) => { // refused, or it cannot read the code: the page does the work itself
        e.preventDefault();
        worker = null;
        for (const [id, asked] of [...waiting]) (waiting.delete(id), asked.here());
      };
    } catch {
      worker = null;
    }
  }
  const send = (message, here, news = () => {}) => new Promise((done, fail) => {
    start();
    const alone = () => Promise.resolve().then(here).then(done, fail);
    if (!worker) return alone();
    waiting.set(++count, { done, fail, news, here: alone });
    worker.postMessage({ ...message, id: count });
  });
  return {
    async open(key, head, arrays) {
      if (!opened.has(key)) opened.set(key, [key, head, arrays]);
      const model = opened.get(key);
      if (!model.sent) await (model.sent = send({ open: model }, () => keepModel(...model)));
    },
    ask(key, job, about, news) {
      const mine = halted, here = () => (keepModel(...opened.get(key)), doJob(key, job, about, SLICE, news, () => halted > mine));
      return send({ work: [key, job, about] }, here, news);
    },
    stop() {
      halted++;
      if (worker) for (const id of waiting.keys()) worker.postMessage({ stop: id });
    },
    where: () => (worker ? "worker" : "page"),
    close() { if (worker) worker.terminate(); },
  };
}

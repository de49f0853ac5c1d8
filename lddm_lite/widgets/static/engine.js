// The engine: models that sample in a page, in a worker or in slices between what else the page
// does; no DOM, no network, no dependency.
//
// Why not a library: onnxruntime-web 1.30 needs a .wasm file of some 12 MB beside it, fetched from a
// server, which a page opened from disk cannot do; tfjs with its wasm backend is 1.4 MB for each
// page, the backend again a file of its own. Both would still want the sampler written here. What
// these networks need is products of small matrices: 8 to 11 GFLOP/s in the 400 bytes of
// engine_product.js, 1.4 without WebAssembly.
import { binsawLaw } from "./engine_binsaw.js";
import { Networks } from "./engine_network.js";
import { blank, sampling } from "./engine_sampler.js";

const models = new Map(); // by key: {head, net}

// What can be asked of a model that was opened.
const JOBS = {
  // plan: as for `sampling`, with `n` where nothing is given; `goals`: encode the finished sequences
  *sample({ head, net }, plan) {
    const run = yield* sampling(net, { ...plan, start: plan.start || blank(head, plan.n, plan.seed) });
    if (plan.goals && net.encoder) {
      run.goals = [];
      for (const x of run.tokens) run.goals.push(yield* net.encode(x));
    }
    if (head.data.task === "binsaw") {
      const law = binsawLaw(head.data);
      run.score = { ...law.score(run.tokens), freshTv: law.score(law.draw(run.tokens.length, 1)).modeTv };
    }
    return run;
  },
  *predict({ net }, { x, z, t, where, latents, length }) {
    return yield* net.predict(x, z, t, where, latents, length);
  },
  *encode({ net }, { x }) {
    return yield* net.encode(x);
  },
};

// Opens a model under its key, once.
export function keepModel(key, head, arrays, plain = false) {
  if (!models.has(key)) models.set(key, { head, net: new Networks(head, arrays, plain) });
}

// A job of an opened model, done in slices of so many ms. `news` hears what it yields; `stopped`
// tells whether to leave off, and then the answer is null.
export async function doJob(key, job, about, slice, news = () => {}, stopped = () => false) {
  const going = JOBS[job](models.get(key), about);
  for (;;) {
    const end = performance.now() + slice;
    let step = going.next();
    while (!step.done && performance.now() < end) step = going.next();
    if (step.done) return step.value;
    if (step.value) news(step.value);
    await new Promise((go) => setTimeout(go));
    if (stopped()) return null;
  }
}

// What a worker does: it hears {id, open: [key, head, arrays]}, {id, work: [key, job, about]} and
// {stop: id}, and says {id, news}, {id, done} and {id, failed}.
export function serve(scope) {
  const stopped = new Set();
  scope.onmessage = async ({ data: { id, open: model, work: job, stop } }) => {
    if (stop) return stopped.add(stop);
    try {
      const done = model ? keepModel(...model) : await doJob(...job, 40, (news) => scope.postMessage({ id, news }), () => stopped.has(id));
      scope.postMessage({ id, done });
    } catch (e) {
      scope.postMessage({ id, failed: String(e.message || e) });
    }
  };
}

// The latent explorer whose model lies in the page: any two points are walked between, decoded here.
import { drawExplorer } from "./latent_explorer.js";
import { even, placer, walkBetween } from "./latent_walks.js";
import { register } from "./mount.js";
import { pageModels } from "./page_models.js";

register("live-latent-explorer", (root, app, link) => {
  const { head: { pad, walk }, arrays } = app, models = pageModels(link), [n, length] = arrays.tokens.shape;
  const rowsOf = ({ data, shape: [rows] }) => { const size = data.length / rows; return Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * size, (i + 1) * size))); };
  const z = rowsOf(arrays.z), tokens = rowsOf(arrays.tokens), coords = rowsOf(arrays.coords);
  const used = arrays.used ? Array.from(arrays.used.data) : null, book = arrays.used ? rowsOf(arrays.book) : null;
  const flat = (v) => (used ? v.flatMap((code) => book[used.indexOf(code)]) : v), place = placer(walk.map, walk.map.kind === "umap" ? z.map(flat) : [], coords);
  const count = (i) => tokens[i].filter((id) => id !== pad).length;
  const shown = drawExplorer(root, app, link, { able: () => models.able(walk), by: "the model in this page", async ask(i, j) {
    const way = walkBetween(z[i], z[j], { ...walk, used, book }), last = way.length - 1;
    const start = way.map((_, k) => {
      const long = pad === null ? length : Math.max(1, even(count(i) + ((count(j) - count(i)) * k) / last));
      return Array.from({ length }, (_, p) => (p < long ? walk.mask : pad));
    });
    // one step that takes the most probable tokens (given_latents.py `decode`)
    const run = await models.ask(walk, "sample", { start, seed: 0, rows: way.map(() => 0), knots: [[1, 0], [0, 0]], draws: { temperature: 0 }, latents: way.map((v) => (used ? v : v.map((x) => x * walk.a0))) });
    if (!run) throw new Error("Stopped.");
    return { steps: run.tokens.map((row) => Array.from(row)), way: way.map((v) => place(flat(v))) };
  } });
  root.dataset.sequences = n;
  return { ...shown, close() { shown.close(); models.close(); } };
});

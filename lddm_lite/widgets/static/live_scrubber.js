// The scrubber whose models lie in the page, so that runs go on without a kernel.
import { register } from "./mount.js";
import { pageModels } from "./page_models.js";
import { scrubberOf } from "./scrubber.js";

register("live-scrubber", (root, app, link) => {
  const models = pageModels(link);
  const shown = scrubberOf(root, app, link, { able: (about) => models.able(about.model), ask: (about, plan) => models.ask(about.model, "sample", plan) });
  return { ...shown, close() { shown.close(); models.close(); } };
});

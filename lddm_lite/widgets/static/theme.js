// Light or dark, as the page around a widget is.
import { PALETTES } from "./colours.js";

// Is the page around `host` dark? JupyterLab and VS Code say so; elsewhere the background behind
// the host decides.
function isDark(host) {
  const said = document.body.dataset.jpThemeLight;
  if (said !== undefined) return said === "false";
  if (document.body.classList.contains("vscode-dark") || document.body.classList.contains("vscode-high-contrast")) return true;
  for (let e = host; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor.match(/[\d.]+/g);
    if (c && (c.length < 4 || +c[3] > 0.5)) return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2] < 110;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// Keeps the host's data-theme right and tells `changed` the palette, now and whenever it changes.
// -> stop()
export function watchTheme(host, changed) {
  let now = null;
  const look = () => {
    const theme = isDark(host) ? "dark" : "light";
    if (theme !== now) changed(PALETTES[(now = host.dataset.theme = theme)]);
  };
  const seen = new MutationObserver(look), media = matchMedia("(prefers-color-scheme: dark)");
  seen.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme", "class", "style"] });
  media.addEventListener("change", look);
  look();
  return () => (seen.disconnect(), media.removeEventListener("change", look));
}

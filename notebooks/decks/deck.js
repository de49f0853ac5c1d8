// Starts the deck: its pages, widgets when they are first seen, light and dark, the keys of widgets.
const printing = /print-pdf/i.test(location.search), root = document.documentElement;

// D changes between light and dark; before that it is as the computer wishes.
const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = null;
const isDark = () => !printing && (theme ? theme === "dark" : dark.matches);
function look() {
  root.dataset.theme = isDark() ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe[srcdoc]")) tell(frame);
}
function tell(frame) {
  const body = frame.contentDocument && frame.contentDocument.body;
  if (!body) return;
  body.dataset.jpThemeLight = String(!isDark());
  frame.contentDocument.documentElement.style.colorScheme = isDark() ? "dark" : "light";
}
dark.addEventListener("change", look);

// A widget begins when its page is shown: not before, since a page that is not shown has no width.
function start(frame) {
  if (frame.hasAttribute("srcdoc")) return null;
  const style = `<style>body{margin:0;zoom:1.5} .lddm-still{display:none}</style>`;
  const loaded = new Promise((done) => frame.addEventListener("load", done, { once: true }));
  frame.srcdoc = frame.dataset.page.replace("<body>", `${style}<body data-jp-theme-light="${!isDark()}">`);
  return loaded.then(() => {
    tell(frame);
    fit(frame);
    // Arrows belong to the widget that has them; these leave it.
    frame.contentWindow.addEventListener("keydown", (event) => {
      if (!["Escape", "PageDown", "PageUp"].includes(event.key)) return;
      event.preventDefault();
      frame.blur();
      window.focus();
      if (event.key === "PageDown") Reveal.next();
      if (event.key === "PageUp") Reveal.prev();
    });
  });
}
// As large as it fits, down to what the last row can read; for some seconds, while it draws itself.
function fit(frame, zoom = 1.5, looks = 20) {
  const page = frame.contentDocument;
  if (!page || !looks) return;
  if (zoom > 1.21 && page.documentElement.scrollHeight > frame.clientHeight) zoom -= 0.1;
  page.body.style.zoom = zoom;
  setTimeout(fit, 300, frame, zoom, looks - 1);
}
const within = (page) => (page ? [...page.querySelectorAll("iframe[data-page]")] : []);

look();
Reveal.initialize({
  width: 1920, height: 1080, margin: 0, minScale: 0.1, maxScale: 4,
  center: false, display: "flex", hash: !printing, slideNumber: "c/t", controls: false, transition: "none",
  backgroundTransition: "none", pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1, showNotes: false, totalTime: 0, plugins: [RevealNotes],
}).then(async () => {
  Reveal.addKeyBinding({ keyCode: 68, key: "D", description: "Light or dark" }, () => {
    theme = isDark() ? "light" : "dark";
    look();
  });
  Reveal.on("slidechanged", (event) => within(event.currentSlide).forEach(start));
  within(Reveal.getCurrentSlide()).forEach(start);
  if (printing) {
    for (const frame of within(document)) {
      frame.scrollIntoView(); // some begin only when they are seen
      await start(frame);
      await new Promise((done) => setTimeout(done, 4000)); // until it has drawn itself, and fits
    }
    root.dataset.printable = "yes";
  }
});

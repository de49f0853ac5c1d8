"""Status line of a computation, which screen readers announce, with a progress bar."""

from __future__ import annotations

import anywidget
import traitlets as T

__all__ = ["StatusLine"]


class StatusLine(anywidget.AnyWidget):
    """A line of text that screen readers announce, and a bar while something goes on.

    >>> line = StatusLine()
    >>> line.say("Sampling …", busy=True)
    >>> line.text, line.share
    ('Sampling …', 0.0)
    """

    _esm = """
    export default { render({ model, el }) {
      const [line, text, bar] = ["div", "div", "progress"].map((tag) => document.createElement(tag));
      text.setAttribute("role", "status"), bar.setAttribute("aria-label", "network calls done");
      line.style.cssText = "display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;min-height:32px;" +
        "padding:0 8px;color:var(--jp-content-font-color1, CanvasText);font:13.5px/1.4 system-ui,sans-serif";
      line.append(text, bar);
      el.append(line);
      const draw = () => {
        const share = model.get("share");
        if (text.textContent !== model.get("text")) text.textContent = model.get("text");
        text.style.cssText = "overflow-wrap:anywhere;min-width:0;" +
          (model.get("error") ? "border-left:3px solid #d55e00;padding-left:8px;font-weight:600" : "");
        bar.hidden = share < 0;
        if (share >= 0) bar.value = share;
      };
      for (const name of ["text", "share", "error"]) model.on("change:" + name, draw);
      draw();
    } };
    """
    text = T.Unicode().tag(sync=True)
    error = T.Bool(False).tag(sync=True)
    share = T.Float(-1.0).tag(sync=True)  # of the run that is done; below 0: nothing runs

    def say(self, text: str, error: bool = False, busy: bool = False) -> None:
        """Replace the line; `busy`: and show an empty bar, which `share` fills."""
        with self.hold_sync():
            self.text, self.error, self.share = text[:600], error, 0.0 if busy else -1.0

"""A notebook open in JupyterLab, as a person has it before them: run, save, open again, with a
kernel and without."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import time
from pathlib import Path
from typing import NamedTuple

import nbformat

from .lab import Lab
from .pages import Watched

# Complaints that are not ours.
NOISE = (
    # ipywidgets, in a notebook opened without a kernel, asks for one all the same.
    r"reading 'kernel'\).*/@jupyter-widgets/jupyterlab-manager/",
    # JupyterLab, when the kernel restarts or ends, drops the questions it had asked, and says so
    # for each.
    r"Canceled future for \w+_request message before replies were done",
)

# What every page of nbconvert's asks for, and does without when there is no network: `offline(...,
# allowed=NBCONVERT)`.
NBCONVERT = r"https://cdnjs\.cloudflare\.com/ajax/libs/(require\.js|mathjax)/"

# The application's view of the notebook in front. What the page shows depends on what is scrolled
# into view.
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget, session = panel?.sessionContext;
    return panel?.content?.widgets?.length > 0 && panel.context.isReady && (!%s ||
        session.isReady && session.session?.kernel?.status === "idle"
        && session.session.kernel.connectionStatus === "connected");
}"""
CODE = """const cells = window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === "code" && cell.model.sharedModel.getSource().trim());"""
FORGET = f"() => {{ {CODE} cells.forEach(cell => cell.model.clearExecution()); }}"
PROGRESS = f"""() => {{ {CODE}
    const failed = cells.flatMap(cell => cell.model.outputs.toJSON()).find(out => out.output_type === "error");
    return {{failed: failed ? failed.traceback.join("\\n") : "",
        waiting: cells.some(cell => cell.inputArea.promptNode?.textContent.includes("*")),
        ran: cells.every(cell => cell.model.executionCount !== null)}};
}}"""


class Sent(NamedTuple):
    """A message from the page to the kernel: when it left (seconds on the browser's clock), its
    type, its content."""

    seconds: float
    type: str
    content: dict


def decode(frame: dict) -> tuple[str, dict]:
    """Type and content of a kernel message, from a frame as the browser's debugging protocol
    describes it.

    Binary frames are those of `v1.kernel.websocket.jupyter.org`: how many offsets, the offsets, and
    between them channel, header, parent header, metadata, content, buffers.
    """
    if frame["opcode"] == 1:
        message = json.loads(frame["payloadData"])
        return message["header"]["msg_type"], message["content"]
    raw = base64.b64decode(frame["payloadData"])
    (count,) = struct.unpack_from("<Q", raw)
    at = struct.unpack_from(f"<{count}Q", raw, 8)
    return json.loads(raw[at[1]:at[2]])["msg_type"], json.loads(raw[at[4]:at[5]])


class NotebookPage(Watched):
    """A notebook from a list of cells' sources, or a copy of an .ipynb file, which `open` shows in
    JupyterLab."""

    def __init__(self, browser, lab: Lab, cells, name: str, **look):
        super().__init__(browser, own=rf"(http|ws)://{re.escape(lab.address)}/", noise=NOISE, **look)
        self.lab, self.name = lab, f"{name}.ipynb"
        self.file = lab.root / self.name
        if isinstance(cells, Path):
            shutil.copy(cells, self.file)
        else:
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(notebook, self.file)
        # The debugging protocol, since it alone tells the moment at which a frame left, however
        # busy Python was.
        self._sent: list[Sent] = []
        self._sockets: set[str] = set()
        self._debug = self.context.new_cdp_session(self.page)
        self._debug.on("Network.webSocketCreated", self._socket)
        self._debug.on("Network.webSocketFrameSent", self._frame)
        self._debug.send("Network.enable")

    def _socket(self, event: dict) -> None:
        if "/api/kernels/" in event["url"]:
            self._sockets.add(event["requestId"])

    def _frame(self, event: dict) -> None:
        if event["requestId"] in self._sockets and event["response"]["opcode"] in (1, 2):
            self._sent.append(Sent(event["timestamp"], *decode(event["response"])))

    def open(self) -> None:
        """Open the file in JupyterLab, which starts its kernel."""
        self.page.goto(self.lab.url(self.name))
        self.ready()

    def ready(self, kernel: bool = True) -> None:
        """Wait until the notebook is loaded and, unless told otherwise, its kernel is idle and
        connected.

        The server is asked first: the page says 'idle' before there is a session, and cells run
        then are lost.
        """
        def idle() -> bool:
            found = self.lab.kernel(self.name)
            return bool(found and found["connections"] and found["execution_state"] == "idle")

        if kernel:
            self.until(idle, "an idle, connected kernel", 90)
        self.page.wait_for_function(READY % str(kernel).lower(), timeout=60_000)

    def run_all(self, seconds: float = 120) -> None:
        """Run > Run All Cells, as by hand. An `AssertionError` with the traceback if a cell fails.
        """
        self.ready()
        self.page.evaluate(FORGET)  # so that counts of an earlier run are not taken for this one's
        self.menu("Run", "Run All Cells")

        def done() -> bool:
            progress = self.page.evaluate(PROGRESS)
            if progress["waiting"]:
                return False
            assert not progress["failed"], re.sub(r"\x1b\[[0-9;]*m", "", progress["failed"])
            return progress["ran"]

        self.until(done, "all cells run", seconds)
        self.ready()

    def menu(self, title: str, entry: str) -> None:
        """Choose an entry of the menu bar."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{re.escape(title)}$")).click()
        self.page.locator(".lm-Menu-item", has_text=re.compile(f"^{re.escape(entry)}$")).click()

    def mark(self) -> None:
        """Forget the messages sent so far."""
        self.kernel_messages()
        self._sent.clear()

    def kernel_messages(self, type: str | None = None) -> list[Sent]:
        """What the page has sent to the kernel since the last `mark`, perhaps of one type only
        ("comm_msg")."""
        # its answer comes after all earlier events
        self._debug.send("Runtime.evaluate", {"expression": "0"})
        return [sent for sent in self._sent if type in (None, sent.type)]

    def quiet(self, seconds: float = 1) -> None:
        """Wait until the page has sent the kernel nothing for a while.

        JupyterLab and ipywidgets have much to ask of a kernel that has just become idle.
        """
        seen, since = -1, 0.0

        def still() -> bool:
            nonlocal seen, since
            if len(self.kernel_messages()) != seen:
                seen, since = len(self._sent), time.monotonic()
            return time.monotonic() - since > seconds

        self.until(still, f"no message to the kernel for {seconds} s", 30 + seconds)

    def save(self) -> None:
        """Ctrl+S, and wait until the file is written."""
        before = self.file.stat().st_mtime_ns
        self.page.locator(".jp-NotebookPanel:visible .jp-Notebook").press("Control+s")
        saved = "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
        self.until(lambda: self.file.stat().st_mtime_ns > before and self.page.evaluate(saved), "the file is saved")

    def reopen(self, without_kernel: bool = True, trusted: bool | None = None) -> None:
        """End the kernel and open the saved file on an empty page, as after closing the browser.

        `without_kernel` is JupyterLab's Open With > Notebook (no kernel). `trusted` overrides what
        the server has noted on saving: True is what `jupyter trust` does, False what a file from
        elsewhere is.
        """
        self.page.goto("about:blank")
        self.lab.stop_kernels(self.name)
        if trusted is not None:
            self.lab.trust(self.name, trusted)
        if not without_kernel:
            return self.open()
        self.page.goto(self.lab.url())
        self.page.wait_for_function("() => window.jupyterapp?.restored")
        self.page.evaluate("""async path => {
            await window.jupyterapp.restored;
            const kernelPreference = {shouldStart: false, shouldReuse: false};
            await window.jupyterapp.commands.execute(
                "docmanager:open", {path, factory: "Notebook", kernelPreference});
        }""", self.name)
        self.ready(kernel=False)

    def restart_kernel(self) -> None:
        """What Kernel > Restart Kernel does once its question is answered."""
        self.quiet()  # a restart amid the talk that follows a start makes JupyterLab complain
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self.ready()

    def export_html(self, path: Path) -> Path:
        """The saved file as `jupyter nbconvert --to html` makes it."""
        return export_html(self.file, path)

    def close(self) -> None:
        """Close the page and end the kernel, so that the next notebook has the cores to itself."""
        super().close()
        self.lab.stop_kernels(self.name)


def export_html(notebook: Path, path: Path) -> Path:
    """Write a notebook's file as `jupyter nbconvert --to html` does, and return where."""
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter().from_filename(str(notebook))
    path.write_text(html, encoding="utf-8")
    return path

"""A JupyterLab server of our own on the loopback address, which knows nothing of the user's."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
from nbformat.sign import NotebookNotary

# What would get in a test's way: news, a theme that differs from the page's colour scheme, files
# written unasked.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "apputils-extension/themes": {"adaptive-theme": True},
    "docmanager-extension/plugin": {"autosave": False},
}
# Where Jupyter would otherwise read the user's settings and extensions, and write signatures,
# histories, workspaces.
FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
}


class Lab:
    """Starts on construction, answers when that returns; `close` ends it and its kernels and
    removes its folders."""

    def __init__(self, seconds: float = 120):
        self.home = Path(tempfile.mkdtemp(prefix="lddm-lab-"))
        self.root, self.data = self.home / "root", self.home / "data"
        self.root.mkdir()
        for name, values in SETTINGS.items():
            path = self.home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.token = secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        unwanted = ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "MPLBACKEND")
        env = {k: v for k, v in os.environ.items() if k not in unwanted}
        env |= {variable: str(self.home / folder) for variable, folder in FOLDERS.items()}
        # the server, the kernel and the browser share the cores
        env.setdefault("OMP_NUM_THREADS", "1")
        self.log = self.home / "lab.log"
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            f"--port={self.address.split(':')[1]}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self.token}", "--LabApp.extension_manager=readonly",
            # window.jupyterapp: what a page cannot tell, its application can
            "--LabApp.expose_app_in_browser=True",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=self.root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait(seconds)
        except BaseException:
            self.close()
            raise

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                self.get("status")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"JupyterLab did not start:\n{self.tail()}") from None
                time.sleep(0.1)

    def tail(self) -> str:
        """The end of the server's log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def url(self, path: str = "") -> str:
        """The address of JupyterLab, or of a file in it, with an empty workspace."""
        return f"http://{self.address}/lab{f'/tree/{path}' if path else ''}?token={self.token}&reset"

    def get(self, what: str, method: str = "GET"):
        """What the server's API says; an `OSError` (HTTP errors are such) if it does not."""
        request = urllib.request.Request(f"http://{self.address}/api/{what}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def kernel(self, path: str) -> dict | None:
        """The kernel behind a notebook: its `id`, `execution_state` and number of `connections`."""
        try:
            sessions = self.get("sessions")
        except OSError:  # while a kernel starts, the answer has been seen to be a 500
            return None
        return next((s["kernel"] for s in sessions if s["path"] == path), None)

    def stop_kernels(self, path: str | None = None) -> None:
        """End the kernel of one notebook, or of all."""
        for session in self.get("sessions"):
            if path not in (None, session["path"]):
                continue
            try:
                self.get(f"sessions/{session['id']}", "DELETE")
            except urllib.error.HTTPError as error:
                if error.code != 404:  # it ended by itself
                    raise

    def trust(self, path: str, trusted: bool = True) -> None:
        """What `jupyter trust` does to a saved notebook, or the opposite."""
        notary = NotebookNotary(data_dir=str(self.data))
        notebook = nbformat.read(self.root / path, as_version=4)
        (notary.sign if trusted else notary.unsign)(notebook)
        notary.store.close()

    def close(self) -> None:
        """End the server with all its processes; nothing of it stays on the disk."""
        if self.process.poll() is None:
            try:
                self.stop_kernels()
            except OSError:
                pass  # the server ends its kernels itself when it is asked to stop
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

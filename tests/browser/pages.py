"""A browser page that remembers what went wrong on it, and the waits, pictures and timings that
tests need."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

SHOTS = Path(os.environ.get("LDDM_SHOTS") or Path(__file__).resolve().parents[2] / ".browser")
FLAGS = [
    "--no-sandbox",  # a container's only user is often root, for whom the sandbox does not start
    "--disable-dev-shm-usage",  # where a container's shared memory is too small for a browser
    "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # Nothing leaves this machine, whatever a page asks for: a test sees what a reader without a
    # network sees.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
OPEN: list[Watched] = []  # every page now open; a failing test takes a picture of each

TIMES = """async (element, {event, shown, n, limit}) => {
    const frame = () => new Promise(requestAnimationFrame);
    const state = shown ? eval(`(${shown})`) : null;
    const times = [];
    element.focus();
    for (let k = 0; k < n; k++) {
        const before = state && state(element), start = performance.now();
        if (event === "input") {
            element.stepUp();
            element.dispatchEvent(new InputEvent("input", {bubbles: true, composed: true}));
        } else {
            const key = {key: event, bubbles: true, composed: true, cancelable: true};
            element.dispatchEvent(new KeyboardEvent("keydown", key));
        }
        do {
            await frame();
            if (performance.now() - start > limit) throw new Error(`step ${k + 1} showed nothing new`);
        } while (state && state(element) === before);
        await frame();  // the one before this has been painted
        times.push(performance.now() - start);
    }
    return times;
}"""


class Watched:
    """One page in a context of its own (`page` is Playwright's).

    `errors` are uncaught exceptions and what the console calls an error; `off_machine` are the
    addresses asked for that lie neither in the page itself nor at `own`. Errors that a pattern in
    `noise` matches are left out.
    """

    def __init__(self, browser, own: str = "file:", noise: tuple[str, ...] = (), viewport=(1200, 900),
                 color_scheme: str = "light", reduced_motion: str = "no-preference", offline: bool = False):
        width, height = viewport
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, reduced_motion=reduced_motion,
            offline=offline,
        )
        self.errors: list[str] = []
        self.off_machine: list[str] = []
        inside = re.compile(rf"data:|blob:|{own}")
        ignored = re.compile("|".join(noise) or r"(?!)")

        def failed(text: str) -> None:
            if not ignored.search(text):
                self.errors.append(text)

        # with the place it came from, by which noise is told from our own
        def threw(event) -> None:
            stack = (event.error.stack or str(event.error)).splitlines()
            failed(" ".join(line.strip() for line in stack[:2]))

        def asked(url: str) -> None:
            if not inside.match(url):
                self.off_machine.append(url)

        self.context.on("weberror", threw)
        self.context.on("console", lambda m: failed(f"{m.text} ({m.location['url']})") if m.type == "error" else None)
        self.context.on("request", lambda request: asked(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: asked(socket.url))
        self.page.set_default_timeout(30_000)
        OPEN.append(self)

    def shot(self, name: str) -> Path:
        """Save what is on the screen as `name`.png beside the other artefacts."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.png"
        self.page.screenshot(path=path)
        return path

    def until(self, condition, what: str, seconds: float = 30):
        """Wait for a Python function to give something true, and return that. `what` names it
        should it never come."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {what}")
            # not time.sleep, so that the page's events keep arriving
            self.page.wait_for_timeout(50)
        return value

    def times(self, selector: str, event: str = "ArrowRight", n: int = 20, shown: str | None = None,
              seconds: float = 5) -> list[float]:
        """Milliseconds from an event on an element to the paint of what it changed, for `n` events
        in a row.

        `event` is a key, or "input" for one step of an `<input type="range">` (a script cannot move
        that by a key). `shown` is a JavaScript function of the element whose value differs once the
        step is shown; without it the handler is taken to draw at once. Counted in whole frames: up
        to 17 ms too long, never too short. A step that shows nothing new within `seconds` is an
        error.
        """
        settings = {"event": event, "shown": shown, "n": n, "limit": 1_000 * seconds}
        return self.page.locator(selector).evaluate(TIMES, settings)

    def close(self) -> None:
        """Close the page; closing it again does nothing."""
        if self in OPEN:
            OPEN.remove(self)
            self.context.close()

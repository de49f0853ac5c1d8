"""Progress bar and interruption (Ctrl-C, kernel stop) of a training run."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager

from .._common import progress

__all__ = ["bar", "stop_after_step"]

SAME_PRESS = 5.0  # seconds


def bar(total: int, done: int, show: bool, name: str):
    """Progress bar of a run, with the name of what is trained and the time left.

    >>> bar(10, 3, show=False, name="mdlm").total
    10
    """
    return progress.bar(total=total, initial=done, show=show, desc=f"training {name}", unit="step")


@contextmanager
def stop_after_step(forwarded: bool = False):
    """An event that SIGINT (Ctrl-C, kernel stop), SIGTERM (`kill`, a cluster's end of time) and
    SIGHUP (a terminal that closes) set, to ask for a stop after the current step. A second SIGINT
    interrupts at once; the other two end the process, as they always do, when the block is done.
    `forwarded`: a launcher passes on to its processes what the terminal has already sent them, so
    that one press arrives twice; what comes within seconds is then the same press.

    >>> with stop_after_step() as stop:
    ...     signal.raise_signal(signal.SIGINT)
    ...     stop.is_set()
    True
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    first, ends = 0.0, []

    def ask(signum, frame):
        nonlocal first
        if signum != signal.SIGINT:
            ends.append(signum)
            stop.by = signal.Signals(signum).name  # type: ignore[attr-defined]
        elif stop.is_set() and not ends and not (forwarded and time.monotonic() - first < SAME_PRESS):
            raise KeyboardInterrupt
        if not stop.is_set():
            first = time.monotonic()
        stop.set()

    # one that is ignored, as SIGHUP under nohup, stays so
    taken = [s for s in map(SIGNALS.get, SIGNALS) if s is not None and signal.getsignal(s) != signal.SIG_IGN]
    before = {s: signal.signal(s, ask) for s in taken}
    try:
        yield stop
    finally:
        for s, handler in before.items():
            signal.signal(s, signal.SIG_DFL if handler is None else handler)
    for s in ends[:1]:
        signal.raise_signal(s)


SIGNALS = {name: getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")}

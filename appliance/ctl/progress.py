"""Progress of long operations: redrawn on a terminal, a line per phase in a pipe.

With --json nothing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.ctl.console import Console
from appliance.ctl.tables import render_bar
from appliance.redaction import escape_control

_TICK_S = 1.0


class Progress:
    """The progress line of an operation."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ""

    def show(self, done: int, total: int, text: str, *, phase: str = "") -> None:
        """Show the progress; in a pipe only the phase, when it changes."""
        console = self._console
        if console.as_json:
            return
        if console.is_terminal:
            console.out.write(f"\r\x1b[K{render_bar(done, total)} {escape_control(text)}")
            console.out.flush()
            self._shown = text
        elif phase and phase != self._shown:
            console.show(phase)
            console.out.flush()
            self._shown = phase

    def end(self) -> None:
        """Clear the line."""
        if self._shown and self._console.is_terminal and not self._console.as_json:
            self._console.out.write("\r\x1b[K")
            self._console.out.flush()
        self._shown = ""


@contextmanager
def waiting(console: Console, text: str) -> Iterator[None]:
    """Show a text and the elapsed time during a call without progress of its own.

    Only on a terminal, from the first second on; the line is cleared at the end.
    """
    if not console.is_terminal or console.as_json or console.rake:
        yield
        return
    import threading  # only needed on a terminal

    done, out = threading.Event(), console.out
    began_s = time.monotonic()

    def show() -> None:
        while not done.wait(_TICK_S):
            out.write(f"\r\x1b[K{text} ... {time.monotonic() - began_s:.0f} s")
            out.flush()

    thread = threading.Thread(target=show, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if time.monotonic() - began_s >= _TICK_S:
            out.write("\r\x1b[K")
            out.flush()

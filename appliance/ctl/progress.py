"""A line that tells how far a long work is: redrawn on a terminal, written when it changes in a
pipe, and not there at all with --json.
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
    """One work's line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ""

    def show(self, done: int, total: int, text: str, *, phase: str = "") -> None:
        """Show how much is done; in a pipe only when `phase` is another one than before."""
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
        """Leave the line to what comes next."""
        if self._shown and self._console.is_terminal and not self._console.as_json:
            self._console.out.write("\r\x1b[K")
            self._console.out.flush()
        self._shown = ""


@contextmanager
def waiting(console: Console, text: str) -> Iterator[None]:
    """Tell a person what is waited for, and how long by now: one call, of which nobody knows more.

    On a terminal only, from the first second on; the line is gone at the end.
    """
    if not console.is_terminal or console.as_json or console.rake:
        yield
        return
    import threading  # no command in a pipe needs it

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

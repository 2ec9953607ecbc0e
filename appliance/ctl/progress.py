"""A line that tells how far a long work is: redrawn on a terminal, written when it changes in a
pipe, and not there at all with --json.
"""

from __future__ import annotations

from appliance.core.redaction import escape_control
from appliance.ctl.console import Console
from appliance.ctl.tables import render_bar


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

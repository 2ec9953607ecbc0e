"""The line of progress: redrawn on a terminal, sparse in a pipe, absent with --json."""

from __future__ import annotations

import io

from appliance.ctl.console import Console
from appliance.ctl.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def console_on(out: io.StringIO, *, as_json: bool = False) -> Console:
    return Console(out, io.StringIO(), io.StringIO(), as_json)


def test_line_is_redrawn_on_a_terminal_and_leaves_nothing() -> None:
    out = Terminal()
    progress = Progress(console_on(out))
    progress.show(1, 2, "1 of 2\x1b")
    assert out.getvalue() == "\r\x1b[K[############------------] 1 of 2\\x1b"
    progress.end()
    progress.end()
    assert out.getvalue().count("\r\x1b[K") == 2


def test_pipe_sees_each_phase_once() -> None:
    out = io.StringIO()
    progress = Progress(console_on(out))
    for phase in ("unpacking", "unpacking", "moving", ""):
        progress.show(1, 2, "text", phase=phase)
    progress.end()
    assert out.getvalue() == "unpacking\nmoving\n"


def test_json_is_not_disturbed() -> None:
    out = Terminal()
    progress = Progress(console_on(out, as_json=True))
    progress.show(1, 2, "text", phase="p")
    progress.end()
    assert out.getvalue() == ""

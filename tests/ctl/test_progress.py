"""The progress line: redrawn on a terminal, a line per phase in a pipe, absent with --json."""

from __future__ import annotations

import io
import threading
import time

import pytest

from appliance.ctl.console import Console
from appliance.ctl.progress import Progress, waiting


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def console_on(out: io.StringIO, *, as_json: bool = False) -> Console:
    return Console(out, io.StringIO(), io.StringIO(), as_json)


def test_line_is_redrawn_and_cleared_on_a_terminal() -> None:
    out = Terminal()
    progress = Progress(console_on(out))
    progress.show(1, 2, "1 of 2\x1b")
    assert out.getvalue() == "\r\x1b[K[############------------] 1 of 2\\x1b"
    progress.end()
    progress.end()
    assert out.getvalue().count("\r\x1b[K") == 2


def test_pipe_gets_each_phase_once() -> None:
    out = io.StringIO()
    progress = Progress(console_on(out))
    for phase in ("unpacking", "unpacking", "moving", ""):
        progress.show(1, 2, "text", phase=phase)
    progress.end()
    assert out.getvalue() == "unpacking\nmoving\n"


def test_nothing_is_shown_with_json() -> None:
    out = Terminal()
    progress = Progress(console_on(out, as_json=True))
    progress.show(1, 2, "text", phase="p")
    progress.end()
    assert out.getvalue() == ""


def test_elapsed_time_is_shown_and_cleared_on_a_terminal() -> None:
    out = Terminal()
    limit_s = time.monotonic() + 30
    with waiting(console_on(out), "ending its meetings"):
        while " s" not in out.getvalue() and time.monotonic() < limit_s:
            time.sleep(0.01)

    assert out.getvalue().startswith("\r\x1b[Kending its meetings ... ")
    assert out.getvalue().endswith(" s\r\x1b[K")


def test_line_is_cleared_when_the_call_fails() -> None:
    out = Terminal()
    with pytest.raises(ValueError, match="no"), waiting(console_on(out), "checking"):
        raise ValueError("no")

    assert "checking" not in out.getvalue().rpartition("\r\x1b[K")[2]


@pytest.mark.parametrize("as_json", [False, True])
def test_elapsed_time_is_not_shown_to_scripts(as_json: bool) -> None:
    out = Terminal() if as_json else io.StringIO()
    with waiting(console_on(out, as_json=as_json), "checking"):
        assert "waiting" not in {thread.name for thread in threading.enumerate()}

    assert out.getvalue() == ""

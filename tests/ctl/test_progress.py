"""The line of progress: redrawn on a terminal, sparse in a pipe, absent with --json."""

from __future__ import annotations

import io
import threading
import time

import pytest

from appliance.ctl.console import Console
from appliance.ctl.progress import Progress, waiting


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


def test_person_is_told_how_long_a_call_takes_and_the_line_goes() -> None:
    out = Terminal()
    limit_s = time.monotonic() + 30
    with waiting(console_on(out), "ending its meetings"):
        while " s" not in out.getvalue() and time.monotonic() < limit_s:
            time.sleep(0.01)

    assert out.getvalue().startswith("\r\x1b[Kending its meetings ... ")
    assert out.getvalue().endswith(" s\r\x1b[K")


def test_line_goes_when_the_call_fails() -> None:
    out = Terminal()
    with pytest.raises(ValueError, match="no"), waiting(console_on(out), "looking"):
        raise ValueError("no")

    assert "looking" not in out.getvalue().rpartition("\r\x1b[K")[2]


@pytest.mark.parametrize("as_json", [False, True])
def test_scripts_see_nothing_of_waiting(as_json: bool) -> None:
    out = Terminal() if as_json else io.StringIO()
    with waiting(console_on(out, as_json=as_json), "looking"):
        assert "waiting" not in {thread.name for thread in threading.enumerate()}

    assert out.getvalue() == ""

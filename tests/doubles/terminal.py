"""ctl on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.doubles.control import ctl_environment

END_LIMIT_S = 40.0
_CHUNK = 65_536


class Terminal:
    """A running ctl; `end` must be called."""

    def __init__(self, socket_path: Path, words: Sequence[str], modules: str = "") -> None:
        """`modules`: a directory of Python modules that come before all others."""
        self._master, slave = pty.openpty()
        self._screen = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "ctl", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=_put_first(modules, ctl_environment(socket_path, TERM="xterm")),
            cwd="/",
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        """Type an answer."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str, times: int = 1) -> None:
        """Read until the output has a text `times` times. Raises OSError: ctl has exited."""
        while self._screen.count(text.encode()) < times:
            self._screen += os.read(self._master, _CHUNK)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Wait for the exit, and return exit code and output."""
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(self._master, _CHUNK):
                self._screen += chunk
        os.close(self._master)
        return self._process.wait(END_LIMIT_S), self._screen.decode()


def _put_first(modules: str, environ: dict[str, str]) -> dict[str, str]:
    path = environ["PYTHONPATH"]
    return {**environ, "PYTHONPATH": f"{modules}{os.pathsep}{path}" if modules else path}


def on_terminal(socket_path: Path, words: Sequence[str], answer: str = "") -> tuple[int, str]:
    """Run ctl on a terminal, type an answer, and return exit code and output."""
    terminal = Terminal(socket_path, words)
    terminal.type(answer)
    return terminal.end()

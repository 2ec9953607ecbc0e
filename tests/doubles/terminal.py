"""ctl on a terminal, as a person has it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.doubles.control import ctl_environment


def on_terminal(socket_path: Path, words: Sequence[str], answer: str = "") -> tuple[int, str]:
    """Run ctl on a terminal, type an answer, and return exit code and what the screen got."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "ctl", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=ctl_environment(socket_path, TERM="xterm"),
        cwd="/",
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    screen = b""
    while True:
        try:
            chunk = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        screen += chunk
    os.close(ours)
    return process.wait(40), screen.decode()

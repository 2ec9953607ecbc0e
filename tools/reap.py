"""Run a command and end every process that it leaves behind.

Must not touch any process that is not a descendant of the command: it adopts orphans as Linux's
child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) and ends only its own children, by id.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
GRACE_S = 2.0  # for one signal to take effect; an idle Redis or PostgreSQL stops in half of that


def main(argv: list[str]) -> int:
    """Run argv and return its exit code, as a shell would give it."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    code = subprocess.run(argv, check=False).returncode
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        end_children(stop_signal)
    return code if code >= 0 else 128 - code


def end_children(stop_signal: signal.Signals) -> None:
    """Signal each process left, and those it hands down, until none is there or GRACE_S is over."""
    deadline_s = time.monotonic() + GRACE_S
    signalled: set[int] = set()
    while (left := children()) and time.monotonic() < deadline_s:
        for pid in left - signalled:
            print(f"reap: {stop_signal.name} to {describe(pid)}", file=sys.stderr)
            os.kill(pid, stop_signal)
        signalled |= left
        collect_ended()
        time.sleep(0.02)


def children() -> set[int]:
    """Ids of this process's children; it alone collects them, so none is reused meanwhile."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def collect_ended() -> None:
    """Collect the exit status of every child that has ended."""
    while children() and os.waitpid(-1, os.WNOHANG)[0]:
        pass


def describe(pid: int) -> str:
    """Process id and name, without its arguments: those may hold secrets."""
    return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

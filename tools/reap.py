"""Runs a command and ends all processes that it leaves behind.

Only descendants of the command are ended: this process becomes their parent as a subreaper
(prctl(2), PR_SET_CHILD_SUBREAPER), and ends its own children by id.
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
GRACE_S = 2.0  # per signal; an idle Redis or PostgreSQL stops within a second


def main(argv: list[str]) -> int:
    """Run a command and return its exit code, like a shell."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    code = subprocess.run(argv, check=False).returncode
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        end_children(stop_signal)
    return code if code >= 0 else 128 - code


def end_children(stop_signal: signal.Signals) -> None:
    """Signal all children, also new ones, until none is left or GRACE_S has passed."""
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
    """Return the ids of all children. They are not reused before collect_ended."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def collect_ended() -> None:
    """Collect the exit status of children that have ended."""
    while children() and os.waitpid(-1, os.WNOHANG)[0]:
        pass


def describe(pid: int) -> str:
    """Return process id and name, without arguments, which can contain secrets."""
    return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""CPU time, memory and children of running processes, read from Linux.

Sources: proc(5); clock_getcpuclockid(3), whose clock ids are computed from the process id
(<linux/posix-timers.h>: the complement of the id, shifted by 3, with CPUCLOCK_SCHED = 2).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

CPUCLOCK_SCHED = 2


def cpu_s(pid: int) -> float:
    """Return the user and system CPU seconds of all threads of a process, to the nanosecond.

    /proc/PID/stat has the same sum in hundredths of a second. Raises OSError: no such process.
    """
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def machine_cpu_s() -> float:
    """Return the CPU seconds used by all processes of the machine, in steps of 10 ms.

    Time stolen by the hypervisor counts as used.
    """
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6). Raises OSError: no such process."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int | None) -> float:
    """Return the peak of the resident memory of a process in MB. Raises OSError."""
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int | None, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def open_files(pid: int) -> int:
    """Return the number of a process's open file descriptors. Raises OSError: no such process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def find_descendant(pid: int, name: str) -> int | None:
    """Return the first descendant of `pid` named `name`, or None."""
    for child in _children(pid):
        if Path(f"/proc/{child}/comm").read_text().strip() == name:
            return child
        found = find_descendant(child, name)
        if found is not None:
            return found
    return None


def descendants(pid: int | str = "self") -> list[int]:
    """Return all processes below `pid`. One that ends meanwhile may be among them."""
    found = []
    for child in _children(pid):
        found.append(child)
        with contextlib.suppress(OSError):
            found += descendants(child)
    return found


def _children(pid: int | str) -> list[int]:
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listings for child in listing.read_text().split()]

"""CPU time, memory and children of running processes, as Linux tells them.

Reads only. Sources: proc(5); clock_getcpuclockid(3), whose clock ids the kernel makes of the
process id (<linux/posix-timers.h>: the id's complement, shifted by 3, with CPUCLOCK_SCHED = 2).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

CPUCLOCK_SCHED = 2


def cpu_s(pid: int) -> float:
    """Return the user and system CPU seconds of a process, all its threads, to the nanosecond.

    /proc/PID/stat has the same sum in hundredths of a second. Raises: OSError: it is gone.
    """
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def machine_cpu_s() -> float:
    """Return the CPU seconds that all processes of the machine have used, in steps of 10 ms.

    Time that a hypervisor took away counts as used, too.
    """
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6). Raises: OSError: it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def open_files(pid: int) -> int:
    """Return how many files and sockets a process has open. Raises: OSError: it is gone."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def find_descendant(pid: int, name: str) -> int | None:
    """Return the first process below `pid` that is called `name`, None if there is none."""
    for child in _children(pid):
        if Path(f"/proc/{child}/comm").read_text().strip() == name:
            return child
        found = find_descendant(child, name)
        if found is not None:
            return found
    return None


def _children(pid: int) -> list[int]:
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listings for child in listing.read_text().split()]

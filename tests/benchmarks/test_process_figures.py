"""benchmarks/process_figures.py, on processes with known figures."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from benchmarks.process_figures import cpu_s, find_descendant, machine_cpu_s, rss_mb
from tests.doubles.redis_processes import wait_until


def test_cpu_time_is_the_cpu_time_of_the_process() -> None:
    before_s, machine_before_s = cpu_s(os.getpid()), machine_cpu_s()
    end_s = time.process_time() + 0.1
    while time.process_time() < end_s:
        pass

    assert 0.1 <= cpu_s(os.getpid()) - before_s < 0.2
    assert machine_cpu_s() - machine_before_s >= 0.08  # counted in hundredths
    assert abs(cpu_s(os.getpid()) - time.process_time()) < 0.01


def test_memory_is_in_megabytes() -> None:
    block = bytearray(b"x") * 50_000_000

    assert rss_mb(os.getpid()) > len(block) / 1e6


def test_descendant_is_found_by_name() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as shell:
        try:
            wait_until(lambda: find_descendant(shell.pid, "sleep") is not None)
            found = find_descendant(shell.pid, "sleep")
            assert found is not None
            assert Path(f"/proc/{found}/stat").read_text().split()[3] == str(shell.pid)
            assert find_descendant(shell.pid, "redis-server") is None
            os.kill(found, 15)
        finally:
            shell.kill()

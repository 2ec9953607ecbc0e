"""How much the machine disturbs a measurement: other processes' CPU time, and late wake-ups.

    python -m benchmarks.large.noise

is a process that sleeps 5 ms at a time until its stdin ends, and prints how late it was woken: no
call can be expected to be answered sooner than that. The processes of the benchmark itself share
the cores, so it is late also on a machine that does nothing else.
"""

from __future__ import annotations

import json
import resource
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.figures import percentile
from benchmarks.process_figures import cpu_s, descendants, machine_cpu_s

ROOT = Path(__file__).resolve().parents[2]
NAP_S = 0.005


@dataclass(frozen=True, slots=True)
class Noise:
    """The disturbance during a measurement."""

    foreign_cores: float
    """CPU time of processes that do not belong to the benchmark, in cores."""
    late_p99_ms: float
    late_worst_ms: float


class NoiseMeter:
    """Measures the noise while a `with` block runs; `noise` is there after it."""

    noise: Noise

    def __enter__(self) -> Self:
        self._sleeper = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.large.noise"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._began_s, self._before = time.monotonic(), _foreign_cpu_s()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        foreign_s = max(_foreign_cpu_s() - self._before, 0.0)
        cores = foreign_s / (time.monotonic() - self._began_s)
        self.noise = Noise(cores, *json.loads(self._sleeper.communicate()[0]))


def _foreign_cpu_s() -> float:
    """Return the CPU seconds of the machine without those of this process and its descendants."""
    own = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        own += used.ru_utime + used.ru_stime
    for pid in descendants():
        try:
            own += cpu_s(pid)
        except OSError:
            continue  # it has ended meanwhile
    return machine_cpu_s() - own


def main() -> None:
    """Sleep until stdin ends, then print how late, in ms: the 99th percentile and the maximum."""
    late_ms = [0.0]
    while True:
        due_s = time.monotonic() + NAP_S
        ended, _, _ = select.select([sys.stdin], [], [], NAP_S)
        if ended:
            break
        late_ms.append((time.monotonic() - due_s) * 1000)
    late_ms.sort()
    print(json.dumps([percentile(late_ms, 0.99), late_ms[-1]]))


if __name__ == "__main__":
    main()

"""A clock that runs faster than the machine's, shared by processes through a small file.

    python tests/doubles/fast_clock.py FILE run MODULE [ARGUMENT…]
    python tests/doubles/fast_clock.py FILE slow N PROGRAM [ARGUMENT…]

The first runs a module whose `time.time` and `time.time_ns` are those of the clock; whatever waits
does so in real time. So a school day of minutes has the dates and hours of a real one. The second
runs a program with the clock slowed down by N: else a program that takes a second would take
minutes of the clock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import runpy
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FORMAT = struct.Struct("dddd")
_real_s = time.time


class FastClock:
    """Seconds since the epoch that pass `rate` times as fast as real ones."""

    def __init__(self, path: Path) -> None:
        """Open a clock; a file that is missing is made, with a clock that shows the real time."""
        if not path.exists():
            made = path.with_suffix(".new")
            made.write_bytes(_FORMAT.pack(_real_s(), _real_s(), 1.0, 1.0))
            made.rename(path)
        self._path = path
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORMAT.size)

    def now_s(self) -> float:
        """Return the time."""
        since_s, shown_s, rate, slowed = _FORMAT.unpack_from(self._shared)
        return float(shown_s + (_real_s() - since_s) * rate / slowed)

    def set(self, shown_s: float, rate: float) -> None:
        """Let the clock go on from a time at a rate."""
        with self._changed() as (_, _, _, slowed):
            self._shared[:] = _FORMAT.pack(_real_s(), shown_s, rate, slowed)

    def change_rate(self, rate: float) -> None:
        """Let the clock go on from now at another rate."""
        with self._changed() as (_, _, _, slowed):
            self._shared[:] = _FORMAT.pack(_real_s(), self.now_s(), rate, slowed)

    def slow(self, slowed: float) -> None:
        """Let the clock go on from now at so much less than its rate."""
        with self._changed() as (_, _, rate, _):
            self._shared[:] = _FORMAT.pack(_real_s(), self.now_s(), rate, slowed)

    @contextmanager
    def _changed(self) -> Iterator[tuple[float, ...]]:
        with self._path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield _FORMAT.unpack_from(self._shared)

    def install(self) -> None:
        """Make it the clock of this process."""
        time.time = self.now_s
        time.time_ns = lambda: int(self.now_s() * 1e9)


def main() -> None:
    """Run a module with the clock of a file, or a program with the clock slowed down."""
    path, verb, *words = sys.argv[1:]
    clock = FastClock(Path(path))
    if verb == "slow":
        clock.slow(float(words[0]))
        try:
            code = subprocess.call(words[1:])
        finally:
            clock.slow(1.0)
        sys.exit(code)
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    clock.install()
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

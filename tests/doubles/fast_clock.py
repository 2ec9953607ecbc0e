"""A clock that runs faster than the machine's, shared by processes through a small file.

    python tests/doubles/fast_clock.py FILE MODULE [ARGUMENT…]

runs a module whose `time.time` and `time.time_ns` are those of the clock; whatever waits does so in
real time. So a school day of minutes has the dates and hours of a real one.
"""

from __future__ import annotations

import mmap
import os
import runpy
import struct
import sys
import time
from pathlib import Path

_FORMAT = struct.Struct("ddd")
_real_s = time.time


class FastClock:
    """Seconds since the epoch that pass `rate` times as fast as real ones."""

    def __init__(self, path: Path) -> None:
        """Open a clock; a file that is missing is made, with a clock that shows the real time."""
        if not path.exists():
            made = path.with_suffix(".new")
            made.write_bytes(_FORMAT.pack(_real_s(), _real_s(), 1.0))
            made.rename(path)
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORMAT.size)

    def now_s(self) -> float:
        """Return the time."""
        since_s, shown_s, rate = _FORMAT.unpack_from(self._shared)
        return float(shown_s + (_real_s() - since_s) * rate)

    def set(self, shown_s: float, rate: float) -> None:
        """Let the clock go on from a time at a rate."""
        self._shared[:] = _FORMAT.pack(_real_s(), shown_s, rate)

    def change_rate(self, rate: float) -> None:
        """Let the clock go on from now at another rate."""
        self.set(self.now_s(), rate)

    def install(self) -> None:
        """Make it the clock of this process."""
        time.time = self.now_s
        time.time_ns = lambda: int(self.now_s() * 1e9)


def main() -> None:
    """Run a module with the clock of a file."""
    path, module, *arguments = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    FastClock(Path(path)).install()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

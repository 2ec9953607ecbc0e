"""Names each step of the package test, says how long it took, and counts them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StepFailed(Exception):
    """A step did not go as it must; what was seen is printed already."""


class Report:
    """What is printed: one line a step, what was seen at a failure, and a closing line."""

    def __init__(self) -> None:
        self.passed = 0
        self._began_s = time.monotonic()

    @contextmanager
    def step(self, name: str, look: Callable[[], str] | None = None) -> Iterator[None]:
        """Run a step. look: what to print when it fails, such as the end of the journal.

        Raises StepFailed.
        """
        began_s = time.monotonic()
        try:
            yield
        except StepFailed:
            raise
        except Exception as error:
            print(f"FAILED  {name}\n{type(error).__name__}: {error}", flush=True)
            if look is not None:
                print(look(), flush=True)
            raise StepFailed(name) from error
        self.passed += 1
        print(f"ok {self.passed:3}  {time.monotonic() - began_s:5.1f} s  {name}", flush=True)

    def close(self, failed: str | None) -> int:
        """Print the closing line and return the exit code."""
        took_s = time.monotonic() - self._began_s
        end = "all steps passed" if failed is None else f"FAILED at: {failed}"
        print(f"deb-test: {self.passed} steps passed in {took_s:.0f} s; {end}", flush=True)
        sys.stdout.flush()
        return 0 if failed is None else 1

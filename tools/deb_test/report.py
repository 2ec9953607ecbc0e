"""Reports the steps of a test with their duration and number."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StepFailed(Exception):
    """A step failed; the details were printed."""


class Report:
    """Prints a line per step, the details of a failure, and a summary."""

    def __init__(self, name: str) -> None:
        self.passed = 0
        self._name = name
        self._began_s = time.monotonic()

    @contextmanager
    def step(self, name: str, details: Callable[[], str] | None = None) -> Iterator[None]:
        """Run a step. details: returns text to print after a failure. Raises StepFailed."""
        began_s = time.monotonic()
        try:
            yield
        except StepFailed:
            raise
        except Exception as error:
            print(f"FAILED  {name}\n{type(error).__name__}: {error}", flush=True)
            if details is not None:
                print(details(), flush=True)
            raise StepFailed(name) from error
        self.passed += 1
        print(f"ok {self.passed:3}  {time.monotonic() - began_s:5.1f} s  {name}", flush=True)

    def close(self, failed: str | None) -> int:
        """Print the summary and return the exit code."""
        took_s = time.monotonic() - self._began_s
        end = "all steps passed" if failed is None else f"FAILED at: {failed}"
        print(f"{self._name}: {self.passed} steps passed in {took_s:.0f} s; {end}", flush=True)
        sys.stdout.flush()
        return 0 if failed is None else 1

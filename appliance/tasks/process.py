"""What is set for the whole process once, before and after it has started its services."""

from __future__ import annotations

import gc
import resource


def raise_file_limit() -> None:
    """Allow as many connections as the system lets us: a thousand clients are no reason to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tune_garbage_collector() -> None:
    """Leave what start-up made alone, and look less often at the rest.

    A request makes little that is cyclic; with the defaults the collector walks the whole heap
    every few thousand requests, which shows in the p99 (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

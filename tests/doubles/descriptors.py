"""A process without free descriptors."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_free_descriptors() -> Iterator[None]:
    """Let every attempt to open a descriptor fail with EMFILE while the block runs."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The standard streams use 0 to 2; descriptors that are open already stay open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

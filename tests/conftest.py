"""Set-up of all tests: a deadline, the hypothesis profile, a check for unexpected ERROR logs.

Fixtures of servers are not here but beside the tests that use them.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import resource
import signal
import tempfile
from collections.abc import Awaitable, Callable, Generator, Iterator

import hypothesis
import pytest
import trio
import trio.testing

# Fixtures for Redis and PostgreSQL.
pytest_plugins = ["tests.doubles.stores", "tests.doubles.certificates"]

# For one async test. Below the limit of pytest-timeout (pyproject.toml), which is for tests without
# Trio: it interrupts Trio itself, after which every async test fails.
DEADLINE_S = 120.0

OPEN_FILES = 8192
MAX_WORKERS = 4
LONG = frozenset({"end_to_end", "system", "tools", "benchmarks", "admin", "takeover"})
"""Folders with files that take long."""
LONGEST_TEMPORARY = 20

# Without deadlines, which fail on a loaded machine; derandomised, so that failures can be repeated.
hypothesis.settings.register_profile(
    "appliance",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("appliance")


def pytest_configure() -> None:
    """Set the process up independently of how it was started.

    SIGINT is not ignored, as it is in background jobs of a shell, whose children inherit that. New
    files have the usual modes, two thousand sockets can be open, and temporary directories have
    short names, because the path of a Unix socket is limited to 107 bytes.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(0o022)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    if len(tempfile.gettempdir()) > LONGEST_TEMPORARY and os.access("/tmp", os.W_OK | os.X_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers per core: half of the time tests wait for timeouts and processes.

    Each worker has servers of its own, so there are at most MAX_WORKERS.
    """
    return min(2 * len(os.sched_getaffinity(0)), MAX_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long files, so that no worker is left with one at the end."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.parts))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Apply DEADLINE_S to async tests, before pytest-trio wraps them in synchronous functions."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = with_deadline(item.obj)
    return (yield)


def with_deadline(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Fail the test with trio.TooSlowError after DEADLINE_S, except on a MockClock."""

    @functools.wraps(test)
    async def limited(**fixtures: object) -> None:
        on_mock_clock = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        with trio.fail_after(float("inf") if on_mock_clock else DEADLINE_S):
            await test(**fixtures)

    return limited


class ErrorRecords(logging.Handler):
    """A handler that records messages of level ERROR and above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Record the message."""
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def error_logs() -> Iterator[list[str]]:
    """Fail a test that logs an unexpected ERROR; a test that expects one clears this list.

    ERROR means that a person must act (CONTRIBUTING.md).
    """
    handler = ErrorRecords()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)
    assert not handler.messages, "logged at ERROR without being expected"

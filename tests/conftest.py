"""What every test gets: a deadline, the hypothesis profile, a guard against unexpected ERROR logs.

Must not start servers: fixtures for those stand beside the tests that use them.
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

# Redis and PostgreSQL for whoever asks for them.
pytest_plugins = [
    "tests.doubles.stores",
    "tests.doubles.certificates",
    "tests.doubles.s3_fixtures",
]

# For one async test. Below pytest-timeout's limit (pyproject.toml), which interrupts Trio itself,
# so that every later async test fails too; it stays for what hangs outside of Trio.
DEADLINE_S = 120.0
EARLIER_S = 20.0
"""By so much its deadline is before the limit of a test with `@pytest.mark.timeout(…)`."""

WORKERS_PER_CORE = 2
OPEN_FILES = 8192
LONGEST_TEMPORARY = 20

# No deadline per example, no check of how long it takes to make them: a loaded machine fails those.
# Derandomised: a red run can be repeated.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")


def pytest_configure() -> None:
    """Make this process like any other, however it was started.

    Ctrl-C means what it does on a terminal: a shell has jobs in the background ignore it, and all
    that the tests start would inherit that. Files are made with the usual modes, two thousand
    sockets can be open, and temporary directories have short names, since the path of a Unix socket
    ends at 107 bytes.
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
    """Return the workers of `-n auto`: two a core, since tests wait half of their time."""
    return WORKERS_PER_CORE * len(os.sched_getaffinity(0))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Put each async test under a deadline, before pytest-trio makes a plain function of it."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        longer = item.get_closest_marker("timeout")
        deadline_s = DEADLINE_S if longer is None else longer.args[0] - EARLIER_S
        item.obj = with_deadline(item.obj, deadline_s)
    return (yield)


def with_deadline(
    test: Callable[..., Awaitable[None]], deadline_s: float
) -> Callable[..., Awaitable[None]]:
    """Fail the test with trio.TooSlowError after a time, except on a clock that jumps."""

    @functools.wraps(test)
    async def limited(**fixtures: object) -> None:
        on_mock_clock = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
        with trio.fail_after(float("inf") if on_mock_clock else deadline_s):
            await test(**fixtures)

    return limited


class ErrorRecords(logging.Handler):
    """Keeps what was logged at ERROR and above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def error_logs() -> Iterator[list[str]]:
    """Fail the test if it logs an ERROR; one that expects some checks this list and clears it.

    ERROR means that a person must act (CONTRIBUTING.md), so a test that causes one without saying
    so has found a fault.
    """
    handler = ErrorRecords()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)
    assert not handler.messages, "logged at ERROR without being expected"

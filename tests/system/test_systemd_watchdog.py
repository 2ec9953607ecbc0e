"""The watchdog is fed while the listener answers; the status line is kept current."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from appliance.system.systemd import feed_watchdog, report_status
from tests.doubles.bbb_process import BbbProcess, until

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

WITHIN_S = 40.0


@pytest.fixture
def listener(bbbs: list[BbbProcess]) -> BbbProcess:
    """Return a server that answers the path that the watchdog requests."""
    bbbs[0].clear_faults()
    bbbs[0].clear_requests()
    return bbbs[0]


@asynccontextmanager
async def fed(url: str | None, watchdog_s: float) -> AsyncIterator[list[str]]:
    """Feed a watchdog during the block; yield the messages to systemd."""
    sent: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(feed_watchdog, url, watchdog_s, sent.append))
        yield sent
        nursery.cancel_scope.cancel()


def origin(listener: BbbProcess) -> str:
    return f"http://127.0.0.1:{listener.port}"


async def test_watchdog_is_fed_while_the_listener_answers(listener: BbbProcess) -> None:
    async with fed(origin(listener), 0.6) as sent:
        await until(lambda: len(sent) >= 3, WITHIN_S)

    assert set(sent) == {"WATCHDOG=1"}
    assert len(listener.requests("index")) >= 3


async def test_any_status_counts_as_an_answer(listener: BbbProcess) -> None:
    listener.add_fault("status", "index", status=503)

    async with fed(origin(listener), 0.6) as sent:
        await until(lambda: len(sent) >= 2, WITHIN_S)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("hang", {}), ("close", {}), ("not_http", {}), ("slow_drip", {"seconds": 0.1})],
)
async def test_watchdog_is_not_fed_until_the_listener_answers(
    listener: BbbProcess, kind: str, options: dict[str, Any]
) -> None:
    listener.add_fault(kind, "index", **options)

    async with fed(origin(listener), 0.6) as sent:
        await listener.until_called("index", 3)
        assert sent == []
        listener.clear_faults()
        await until(lambda: bool(sent), WITHIN_S)


async def test_watchdog_is_fed_by_the_running_loop_without_a_tcp_listener(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began_s = trio.current_time()
    async with fed(None, 30) as sent:
        with trio.fail_after(60):
            while len(sent) < 4:
                await trio.sleep(1)

    assert trio.current_time() - began_s == pytest.approx(30, abs=1.5)


async def test_status_is_kept_current(autojump_clock: trio.testing.MockClock) -> None:
    lines = iter(["2 servers", "Redis does not answer", "3 servers"])
    sent: list[str] = []

    async def describe() -> str:
        return next(lines)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(report_status, describe, sent.append, every_s=10))
        await trio.sleep(25)
        nursery.cancel_scope.cancel()

    assert sent == ["STATUS=2 servers", "STATUS=Redis does not answer", "STATUS=3 servers"]

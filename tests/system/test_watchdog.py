"""The watchdog is fed while the listener answers; the status line describes the pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from appliance.faults import StoreDown
from appliance.model import Server, ServerId, ServerState
from appliance.system.watchdog import describe_pool, feed_watchdog, report_status
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.live_pool import open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

WITHIN_S = 40.0


@pytest.fixture
def listener(bbbs: list[BbbProcess]) -> BbbProcess:
    """Something that answers under the path that the watchdog asks for."""
    bbbs[0].clear_faults()
    bbbs[0].clear_requests()
    return bbbs[0]


@asynccontextmanager
async def fed(url: str | None, watchdog_s: float) -> AsyncIterator[list[str]]:
    """Feed a watchdog for the block; give what systemd was told."""
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(feed_watchdog, url, watchdog_s, told.append))
        yield told
        nursery.cancel_scope.cancel()


def origin(listener: BbbProcess) -> str:
    return f"http://127.0.0.1:{listener.port}"


async def test_watchdog_is_fed_while_the_listener_answers(listener: BbbProcess) -> None:
    async with fed(origin(listener), 0.6) as told:
        await until(lambda: len(told) >= 3, WITHIN_S)

    assert set(told) == {"WATCHDOG=1"}
    assert len(listener.requests("index")) >= 3


async def test_any_status_counts_as_an_answer(listener: BbbProcess) -> None:
    listener.add_fault("status", "index", status=503)

    async with fed(origin(listener), 0.6) as told:
        await until(lambda: len(told) >= 2, WITHIN_S)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("hang", {}), ("close", {}), ("not_http", {}), ("slow_drip", {"seconds": 0.1})],
)
async def test_watchdog_is_not_fed_while_the_listener_does_not_answer_but_after(
    listener: BbbProcess, kind: str, options: dict[str, Any]
) -> None:
    listener.add_fault(kind, "index", **options)

    async with fed(origin(listener), 0.6) as told:
        await listener.until_called("index", 3)
        assert told == []
        listener.clear_faults()
        await until(lambda: bool(told), WITHIN_S)


async def test_watchdog_is_fed_by_the_loop_alone_without_a_tcp_listener(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began_s = trio.current_time()
    async with fed(None, 30) as told:
        with trio.fail_after(60):
            while len(told) < 4:
                await trio.sleep(1)

    assert trio.current_time() - began_s == pytest.approx(30, abs=1.5)


def a_server(
    number: int, *, state: ServerState = ServerState.ENABLED, online: bool = True
) -> Server:
    return Server(
        ServerId(f"bbb-{number}"), "http://x", "s", state, online, meetings=number, users=10
    )


@pytest.mark.parametrize(
    ("servers", "text"),
    [
        ([], "0 of 0 enabled servers online, 0 meetings, 0 users"),
        (
            [
                a_server(1),
                a_server(2, online=False),
                a_server(3, state=ServerState.CORDONED),
                a_server(4, state=ServerState.DISABLED, online=False),
            ],
            "1 of 2 enabled servers online, 10 meetings, 40 users",
        ),
    ],
)
def test_pool_is_described_in_one_line(servers: list[Server], text: str) -> None:
    assert describe_pool(servers) == text


class FlakyStore:
    """A store that is down at the second look."""

    def __init__(self, list_servers: Callable[[], Any]) -> None:
        self._list_servers = list_servers
        self.looks = 0

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Return the servers, or not."""
        self.looks += 1
        if self.looks == 2:
            raise StoreDown("away")
        servers: list[Server] = await self._list_servers()
        return servers


async def test_status_is_kept_current_and_says_when_the_store_is_away(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2]) as pool:
        store: Any = FlakyStore(pool.res.pool.records.list_servers)
        told: list[str] = []
        report = partial(report_status, every_s=0.05)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report, store.list_servers, told.append)
            await until(lambda: len(told) >= 3, WITHIN_S)
            nursery.cancel_scope.cancel()

    online = "STATUS=2 of 2 enabled servers online, 0 meetings, 0 users"
    assert told[:3] == [online, "STATUS=waiting for the meeting store", online]

"""The journal of events: what it takes from the log, and what all appliances see of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import trio

from appliance.events import journal as journals
from appliance.events.journal import KEPT, Event, EventJournal, open_journal
from appliance.log import configure_logging, get_logger
from tests.doubles.features import EventBook, now_ms, open_features
from tests.doubles.logs import logging_restored
from tests.doubles.redis_processes import redis_process

WITHIN_S = 20.0
LOG = get_logger("appliance.servers.polling")


def names(events: list[Event]) -> list[str]:
    return [event.event for event in events]


@asynccontextmanager
async def two_journals(
    redis_url: str, namespace: str
) -> AsyncIterator[tuple[EventJournal, EventJournal]]:
    """Give the journals of two appliances; only the first one takes the log of this process."""
    async with open_features(redis_url, namespace) as features:
        store = features.redis.background
        with logging_restored():
            configure_logging("fatal", "json")
            async with open_journal(store, now_ms, "lb1", EventBook()) as first:
                yield first, EventJournal(store, now_ms, "lb2")


async def has(journal: EventJournal, *expected: str) -> None:
    """Wait until a journal has these events."""
    with trio.fail_after(WITHIN_S):
        while names(await journal.recent()) != list(expected):
            await trio.sleep(0.05)


async def test_events_of_the_log_are_seen_by_all_appliances(
    redis_url: str, redis_namespace: str
) -> None:
    async with two_journals(redis_url, redis_namespace) as (first, second):
        LOG.info("server_online", server="bbb1", secret="hidden")
        LOG.info("not_of_interest", server="bbb1")
        LOG.warning("server_offline", server="bbb1", reason="\udcff refused", detached_meetings=1)

        assert names(await first.recent()) == ["server_online", "server_offline"]  # at once
        await has(second, "server_online", "server_offline")

        online, offline = await second.recent()
        assert (online.kind, online.level, online.appliance) == ("server", "info", "lb1")
        assert online.text == "bbb1 is online"
        assert online.fields["server"] == "bbb1"
        assert "hidden" not in str(online)
        assert abs(online.time_ms - now_ms()) < 60_000
        assert online.time.endswith("Z")
        assert offline.text.startswith("bbb1 is offline; it had 1 meetings: ")
        assert names(await second.recent(1)) == ["server_offline"]
        assert await second.recent(since_ms=now_ms() + 60_000) == []


async def test_a_follower_gets_old_and_new_events_once_each(
    redis_url: str, redis_namespace: str
) -> None:
    async with two_journals(redis_url, redis_namespace) as (first, second):
        LOG.info("server_added", server="bbb0", url="u")
        await has(second, "server_added")
        seen: dict[str, list[Event]] = {"first": [], "second": []}

        async def follow(name: str, journal: EventJournal, limit: int) -> None:
            async with aclosing(journal.follow(limit)) as batches:
                async for batch in batches:
                    seen[name] += batch

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, "first", first, 0)
            nursery.start_soon(follow, "second", second, 10)
            await trio.sleep(0.1)
            LOG.info("server_online", server="bbb1")
            thread = threading.Thread(target=LOG.info, args=("server_online",))
            thread.start()
            with trio.fail_after(WITHIN_S):
                while len(seen["second"]) < 3 or len(seen["first"]) < 2:
                    await trio.sleep(0.05)
            await trio.sleep(1.2)
            nursery.cancel_scope.cancel()

        assert names(seen["first"]) == ["server_online", "server_online"]
        assert names(seen["second"]) == ["server_added", "server_online", "server_online"]


async def test_a_quiet_follower_gets_a_sign_of_life(
    redis_url: str, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "HEARTBEAT_S", 0.1)
    async with (
        two_journals(redis_url, redis_namespace) as (first, _),
        aclosing(first.follow()) as batches,
    ):
        with trio.fail_after(WITHIN_S):
            assert [await anext(batches), await anext(batches)] == [[], []]


async def test_number_of_events_is_limited(redis_url: str, redis_namespace: str) -> None:
    async with two_journals(redis_url, redis_namespace) as (first, second):
        for number in range(2 * KEPT):
            LOG.info("server_online", server=f"bbb{number}")
        last = f"bbb{2 * KEPT - 1}"
        with trio.fail_after(WITHIN_S):
            while [event.fields["server"] for event in await second.recent(1)] != [last]:
                await trio.sleep(0.05)

        assert len(await second.recent(10 * KEPT)) < KEPT + 200
        assert len(await first.recent(10 * KEPT)) < KEPT + 200


async def test_events_are_kept_while_redis_is_away(
    redis_namespace: str, error_logs: list[str]
) -> None:
    with redis_process() as redis:
        async with two_journals(redis.unix_url, redis_namespace) as (first, second):
            redis.kill()
            LOG.error("servers_vanished", servers=3, exc_info=ValueError("why"))
            with trio.fail_after(WITHIN_S):
                assert names(await first.recent()) == ["servers_vanished"]
            redis.start()
            await has(second, "servers_vanished")

            assert (await second.recent())[0].text.endswith("ValueError: why")
    error_logs.clear()

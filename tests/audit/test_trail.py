"""The audit trail on a real Redis and PostgreSQL, and while one of them is away."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from appliance.audit.rules import DONE, AuditEntry, AuditQuery, Change
from appliance.audit.store import MAX_WAITING, AuditTable, WaitingEntries
from appliance.audit.trail import MAX_HELD, AuditTrail, TrailIncomplete
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.redis.client import RedisAddress
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStore, open_redis_stores
from tests.doubles.features import EventBook
from tests.doubles.recordings import open_recordings
from tests.doubles.redis_processes import RedisProcess, redis_process

DAY_MS = 86_400_000
NOW_MS = 1000 * DAY_MS
CHANGE = Change("server bbb1", {"state": "enabled"}, {"state": "cordoned"})


@dataclass(slots=True)
class Bench:
    """A trail, its stores, and a clock."""

    redis: RedisStore
    book: EventBook
    database: Database | None
    now_ms: int = NOW_MS

    def trail(self) -> AuditTrail:
        """Return the trail of another appliance on the same stores."""
        table = None if self.database is None else AuditTable(self.database)
        faults = FaultLog(self.book, lambda: self.now_ms)
        waiting = WaitingEntries(self.redis)
        return AuditTrail(waiting, table, self.book, faults, lambda: self.now_ms, 365)

    async def waiting(self) -> int:
        """Return how many entries are in Redis."""
        return int(await self.redis.command("LLEN", self.redis.own_key("audit")))

    async def rows(self) -> int:
        """Return how many entries are in the database."""
        assert self.database is not None
        row = await self.database.fetchrow("SELECT count(*) AS count FROM appliance.audit")
        assert row is not None
        return int(row["count"])


@asynccontextmanager
async def open_bench(
    redis_url: str, namespace: str, database: Database | None = None
) -> AsyncIterator[Bench]:
    book = EventBook()
    address = RedisAddress(redis_url)
    async with open_redis_stores(
        address, namespace=namespace, scripts=load_scripts(), log=book
    ) as redis:
        await redis.background.client.wait_connected()
        yield Bench(redis.background, book, database)


@pytest.fixture
async def bench(redis_url: str, redis_namespace: str, database_url: str) -> AsyncIterator[Bench]:
    async with (
        open_recordings(database_url) as (database, _),
        open_bench(redis_url, redis_namespace, database) as opened,
    ):
        yield opened


async def record(trail: AuditTrail, who: str = "uid=0 (root)", change: Change = CHANGE) -> None:
    await trail.record(who, "cordonServer", [change], DONE)


def shown(entries: list[AuditEntry]) -> list[str]:
    return [entry.who for entry in entries]


async def test_entry_waits_in_redis_and_is_moved_to_the_database(bench: Bench) -> None:
    trail = bench.trail()
    await record(trail)

    (waiting,) = await trail.search(AuditQuery())
    assert (await bench.waiting(), await bench.rows()) == (1, 0)
    await trail.flush()
    (kept,) = await trail.search(AuditQuery())

    assert (await bench.waiting(), await bench.rows()) == (0, 1)
    assert kept == waiting
    assert (kept.time_ms, kept.who, kept.call) == (NOW_MS, "uid=0 (root)", "cordonServer")
    assert (kept.object, kept.before, kept.after) == ("server bbb1", *(CHANGE.before, CHANGE.after))
    assert kept.result == DONE


async def test_entries_are_found_by_time_object_and_person_newest_first(bench: Bench) -> None:
    trail = bench.trail()
    for who, name in (("token a", "server x_1"), ("token b", "server x21"), ("token c", "tenant")):
        await record(trail, who, Change(name, None, None))
        bench.now_ms += 1000
        if who == "token b":
            await trail.flush()  # some are in one store, some in the other

    assert shown(await trail.search(AuditQuery())) == ["token c", "token b", "token a"]
    assert shown(await trail.search(AuditQuery(limit=2))) == ["token c", "token b"]
    assert shown(await trail.search(AuditQuery(object="X_1"))) == ["token a"]
    assert shown(await trail.search(AuditQuery(object="tenant"))) == ["token c"]
    assert shown(await trail.search(AuditQuery(who="TOKEN B"))) == ["token b"]
    since = AuditQuery(since_ms=NOW_MS + 1000)
    assert shown(await trail.search(since)) == ["token c", "token b"]


async def test_two_appliances_that_move_the_same_entries_lose_and_double_none(
    bench: Bench,
) -> None:
    trails = [bench.trail(), bench.trail()]
    for number in range(250):
        await record(trails[number % 2], f"token {number}")

    async with trio.open_nursery() as nursery:
        for trail in trails:
            nursery.start_soon(trail.flush)

    assert (await bench.waiting(), await bench.rows()) == (0, 250)


async def test_entry_that_the_database_refuses_does_not_stop_the_others(bench: Bench) -> None:
    trail = bench.trail()
    bad = AuditEntry("not a uuid", NOW_MS, "x", "c", "o", None, None, DONE)
    nul = AuditEntry("0" * 32, NOW_MS, "a\0", "c", "o", None, None, DONE)
    await record(trail)
    await trail.waiting.add([bad, nul])
    await record(trail)

    await trail.flush()

    assert (await bench.waiting(), await bench.rows()) == (0, 2)
    assert [name for name, _ in bench.book.errors] == ["audit_entry_refused"]


async def test_old_entries_are_deleted_from_the_database(bench: Bench) -> None:
    trail = bench.trail()
    for age_days in (366, 364):
        bench.now_ms = NOW_MS - age_days * DAY_MS
        await record(trail, f"{age_days}")
    bench.now_ms = NOW_MS
    await trail.flush()

    await trail.prune()

    assert shown(await trail.search(AuditQuery())) == ["364"]


async def test_service_moves_entries_as_they_come(bench: Bench) -> None:
    trail = bench.trail()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trail.run)
        for count in (1, 2):
            await record(trail)
            with trio.fail_after(10):
                while await bench.rows() < count:
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_entries_wait_while_the_database_is_away(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(
            "postgresql://127.0.0.1:1/nothing", prepared_statements=True, log=EventBook()
        ) as away,
        open_bench(redis_url, redis_namespace, away) as bench,
    ):
        trail = bench.trail()
        await record(trail)

        with pytest.raises(DatabaseDown):
            await trail.flush()
        with pytest.raises(TrailIncomplete, match=r"PostgreSQL .*written") as caught:
            await trail.search(AuditQuery())

        assert await bench.waiting() == 1
        assert shown(caught.value.entries) == ["uid=0 (root)"]


async def test_redis_keeps_the_newest_entries_without_a_database(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_bench(redis_url, redis_namespace) as bench:
        trail = bench.trail()
        changes = [Change(f"server {number}", None, None) for number in range(MAX_WAITING + 1)]
        await trail.record("x", "c", changes, DONE)
        await trail.flush()

        assert await bench.waiting() == MAX_WAITING
        assert not await trail.search(AuditQuery(object="server 0"))
        assert len(await trail.search(AuditQuery(object="server 9999"))) == 1

        bench.now_ms += 366 * DAY_MS
        await record(trail)
        await trail.prune()

        assert await bench.waiting() == 1


@asynccontextmanager
async def redis_gone(namespace: str) -> AsyncIterator[tuple[RedisProcess, Bench, AuditTrail]]:
    """Give a trail whose Redis has been killed."""
    with redis_process() as redis:
        async with open_bench(redis.unix_url, namespace) as bench:
            trail = bench.trail()
            redis.kill()
            yield redis, bench, trail


async def test_change_is_not_held_up_by_redis_and_its_entry_follows(
    redis_namespace: str,
) -> None:
    async with redis_gone(redis_namespace) as (redis, bench, trail):
        with trio.fail_after(5):
            await record(trail, "while it was away")
            with pytest.raises(TrailIncomplete, match="Redis does not answer") as caught:
                await trail.search(AuditQuery())
            assert shown(caught.value.entries) == ["while it was away"]

        redis.start()
        await bench.redis.client.wait_connected()
        with trio.fail_after(40):
            await trail.flush()

        assert shown(await trail.search(AuditQuery())) == ["while it was away"]


def servers(first: int, end: int) -> list[Change]:
    return [Change(f"server {number}", None, None) for number in range(first, end)]


async def test_entry_that_comes_while_the_held_ones_are_written_pushes_no_other_out(
    redis_namespace: str,
) -> None:
    async with redis_gone(redis_namespace) as (redis, bench, trail):
        await trail.record("x", "c", servers(0, MAX_HELD), DONE)
        redis.start()
        await bench.redis.client.wait_connected()
        redis.signal(signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trail.flush)
            await trio.testing.wait_all_tasks_blocked()
            await trail.record("x", "c", servers(MAX_HELD, MAX_HELD + 1), DONE)
            redis.signal(signal.SIGCONT)

        found = {entry.object for entry in await trail.search(AuditQuery(limit=2 * MAX_HELD))}
        assert found == {f"server {number}" for number in range(MAX_HELD + 1)}


async def test_entries_dropped_because_redis_is_away_for_too_long_are_counted_in_the_log(
    redis_namespace: str,
) -> None:
    async with redis_gone(redis_namespace) as (_, bench, trail):
        await trail.record("x", "c", servers(0, MAX_HELD), DONE)
        assert not bench.book.named("audit_entries_dropped")

        await trail.record("x", "c", servers(MAX_HELD, MAX_HELD + 3), DONE)

        (dropped,) = bench.book.named("audit_entries_dropped")
        assert (dropped["subject"], dropped["count"]) == ("memory", 3)

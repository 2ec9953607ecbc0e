"""The watch over versions on a real Redis with simulated servers; tests move the clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from appliance.audit.rules import AuditQuery
from appliance.bbb.signed_request import Caller
from appliance.instruments import Metrics
from appliance.meetings.calls import join_meeting
from appliance.servers.maintenance.rules import DAY_MS
from appliance.servers.versions.shares import Share
from appliance.servers.versions.watch import UNSEEN_MS, VersionWatch, list_versions, version_key
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live

OLD, NEW = "3.0.10", "4.0.0"


@pytest.fixture(scope="module")
def pair() -> Iterator[list[BbbProcess]]:
    """Give a server of each version."""
    with (
        BbbProcess(server_id="old", version=OLD) as old,
        BbbProcess(server_id="new", version=NEW) as new,
    ):
        yield [old, new]


@dataclass(slots=True)
class Bench:
    """A pool of two versions, of which the new one has a share."""

    pool: LivePool
    clock: list[int]
    watches: list[VersionWatch]

    async def watch(self, seconds: float = 2) -> None:
        """Let time pass; then both appliances have a look."""
        self.clock[0] += round(seconds * 1000)
        for one in self.watches:
            await one.watch()
        redis = self.pool.res.redis.background
        await redis.command("DEL", redis.own_key("lease-versions"))

    async def trial(self) -> dict[str, str]:
        """Return what was counted."""
        flat = await self.pool.redis("HGETALL", "appliance:version_trial")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def share(self) -> Share:
        """Return the share of the new version."""
        return (await self.pool.res.servers.shares.read())[NEW]

    async def create_on(self, server: str, meeting_id: str) -> None:
        """Create a meeting, wherever its share would be."""
        for one, load in (("old", 5), ("new", 5)):
            await self.pool.redis("ZADD", "server_load", 0 if one == server else load, one)
        await self.pool.redis("HSET", "appliance:version_credits", NEW, 20000)
        await self.pool.create(meeting_id)
        assert await self.pool.home(meeting_id) == server


@asynccontextmanager
async def open_bench(
    redis_url: str, namespace: str, pair: list[BbbProcess], **variables: Any
) -> AsyncIterator[Bench]:
    clock = [int(time.time() * 1000)]
    async with open_live(redis_url, namespace, pair, spread=True, **variables) as live:
        res = rewire(live.res, now_ms=lambda: clock[0])
        pool = replace(live, res=rewire(res, meetings__servers=res.servers))
        for bbb in pair:
            await pool.poll(bbb.server_id, read_version=True)
        await pool.res.servers.shares.save(Share(NEW, 5000, by="tester"))
        other = replace(pool.res.servers, metrics=Metrics(), instance="other")
        watches = [VersionWatch(pool.res.servers), VersionWatch(other)]
        yield Bench(pool, clock, watches)


async def test_failed_creates_stop_the_share_of_their_version(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        for number in range(4):
            await bench.create_on("old", f"fine-{number}")
        for number in range(3):
            with pair[1].fault("failed", "create"):
                for one, load in (("old", 5), ("new", 0)):
                    await bench.pool.redis("ZADD", "server_load", load, one)
                await bench.pool.redis("HSET", "appliance:version_credits", NEW, 20000)
                assert (await bench.pool.create(f"bad-{number}"))["returncode"] == "FAILED"
            assert (await bench.share()).parts == 5000
        await bench.watch()

        share = await bench.share()
        assert (share.parts, share.stopped_parts, share.by) == (0, 5000, "tester")
        (stopped,) = bench.pool.log.named("version_share_stopped")
        assert stopped["version"] == NEW
        assert stopped["reason"].startswith(
            "3 of 3 creates that failed; of the other versions 0 of"
        )
        (entry,) = await bench.pool.res.audit.search(AuditQuery())
        assert (entry.object, entry.before) == (f"share of version {NEW}", {"percent": 50.0})
        rows = {row.version: row for row in await list_versions(bench.pool.res.servers)}
        assert (rows[NEW].creates, rows[NEW].failures, rows[OLD].failures) == (3, 3, 0)
        await bench.watch()
        assert len(bench.pool.log.named("version_share_stopped")) == 1
        bench.clock[0] += DAY_MS
        assert {row.creates for row in await list_versions(bench.pool.res.servers)} == {0}


async def test_failures_of_all_versions_stop_none(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        for bbb in pair:
            bbb.add_fault("failed", "create")
        for number in range(12):
            await bench.pool.create(f"bad-{number}")
        await bench.watch()

        trial = await bench.trial()
        assert int(trial[f"failed {NEW}"]) >= 3
        assert (await bench.share()).parts == 5000


async def test_creates_that_say_nothing_of_the_server_do_not_count(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        for bbb in pair:
            bbb.add_fault("failed", "create", key="idNotUnique")
        await bench.pool.create("room")
        await bench.watch()

        assert await bench.trial() == {}


async def test_meetings_that_end_at_once_stop_the_share(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        for number in range(3):
            await bench.create_on("old", f"long-{number}")
        bench.clock[0] += 70_000
        for number in range(3):
            await bench.create_on("new", f"short-{number}")
        bench.clock[0] += 5_000
        for name in [*(f"long-{n}" for n in range(3)), *(f"short-{n}" for n in range(3))]:
            meeting = await bench.pool.meeting(name)
            assert meeting is not None
            await bench.pool.res.pool.records.forget_meeting(meeting, now_ms=bench.clock[0])
        await bench.watch()

        assert (await bench.share()).reason == (
            "3 of 3 meetings that ended within a minute; of the other versions 0 of 3"
        )


async def test_joins_without_a_user_stop_the_share(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        for number in range(3):
            await bench.create_on("new", f"empty-{number}")
            await bench.create_on("old", f"full-{number}")
            for name in (f"empty-{number}", f"full-{number}"):
                params = (("meetingID", name), ("fullName", "Ada"), ("password", "p"))
                await join_meeting(bench.pool.res.meetings, Caller(), params)
            pair[0].set_users(f"full-{number}", participants=1)
        await bench.create_on("new", "nobody-joined-it")
        await bench.watch()
        assert await bench.trial() == {f"creates {OLD}": "3", f"creates {NEW}": "4"}
        bench.clock[0] += UNSEEN_MS
        for bbb in pair:
            await bench.pool.poll(bbb.server_id)
        await bench.watch()

        assert (await bench.share()).reason == (
            "3 of 3 meetings that were joined and had no user; of the other versions 0 of 3"
        )


async def test_nothing_is_watched_without_a_share(
    redis_url: str, redis_namespace: str, pair: list[BbbProcess]
) -> None:
    async with open_bench(redis_url, redis_namespace, pair) as bench:
        await bench.pool.res.servers.shares.remove(NEW)
        await bench.pool.create("room")
        meeting = await bench.pool.meeting("room")
        assert meeting is not None
        await bench.pool.res.pool.records.forget_meeting(meeting, now_ms=bench.clock[0])
        await bench.watch()

        assert await bench.trial() == {}
        assert await bench.pool.redis("EXISTS", "appliance:version_ends") == 0
        assert sum(row.creates for row in await list_versions(bench.pool.res.servers)) == 1


def test_versions_are_in_natural_order() -> None:
    known = ["3.0.10", "", "4.0.0", "3.0.9", "3.0.0-rc.2", "2.7"]

    assert sorted(known, key=version_key) == ["2.7", "3.0.0-rc.2", "3.0.9", "3.0.10", "4.0.0", ""]

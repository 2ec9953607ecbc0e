"""Usage on real stores, and a pool of simulated servers whose clock a test moves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from appliance.features import Features
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.usage.deps import UsageDeps
from appliance.usage.model import MINUTE_MS
from appliance.usage.store import UsageStore
from appliance.usage.table import UsageTable
from appliance.usage.writer import close_ended, write_waiting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import EventBook, rewire
from tests.doubles.live_pool import LivePool, open_live


def make_usage(features: Features, database: Database) -> UsageDeps:
    """Return usage on the stores of features and a database."""
    return UsageDeps(
        settings=features.settings,
        log=features.log,
        faults=features.faults,
        now_ms=features.now_ms,
        pool=features.pool,
        tenants=features.tenants,
        store=UsageStore(features.redis.background),
        table=UsageTable(database),
        instance="one",
    )


@asynccontextmanager
async def open_database(database_url: str) -> AsyncIterator[Database]:
    """Give a migrated database."""
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(database_url, log=EventBook()) as database,
    ):
        await database.wait_ready()
        yield database


@dataclass(slots=True)
class UsedPool:
    """A pool with usage."""

    pool: LivePool
    usage: UsageDeps
    clock: list[int]

    @property
    def features(self) -> Features:
        """Return the features."""
        return self.pool.res

    async def pass_time(self, minutes: int) -> None:
        """Poll every server once a minute."""
        for _ in range(minutes):
            self.clock[0] += 60_000
            for bbb in self.pool.servers:
                await self.pool.poll(bbb.server_id)

    async def end(self, meeting_id: str) -> None:
        """End a meeting by a report of its server, and write what is finished."""
        meeting = await self.pool.meeting(meeting_id)
        assert meeting is not None
        await self.pool.res.pool.records.forget_meeting(meeting, now_ms=self.clock[0])
        await close_ended(self.usage)
        self.pool.bbb(meeting.server_id).end_meeting(meeting.id, callback=False)
        await self.write()

    async def write(self) -> None:
        """Write what is finished."""
        await write_waiting(self.usage)


@asynccontextmanager
async def open_used_pool(
    redis_url: str,
    namespace: str,
    database_url: str,
    bbbs: Sequence[BbbProcess],
    **variables: Any,
) -> AsyncIterator[UsedPool]:
    """Give a pool of these servers with usage; its clock stands still until it is moved."""
    # The createTime of simulated servers is the real time. At the full minute, for round numbers.
    clock = [(int(time.time() * 1000) // MINUTE_MS + 1) * MINUTE_MS]
    async with (
        open_live(redis_url, namespace, bbbs, **variables) as live,
        open_database(database_url) as database,
    ):
        res = rewire(live.res, now_ms=lambda: clock[0])
        usage = make_usage(res, database)
        res = replace(rewire(res, servers__usage=usage), usage=usage)
        pool = replace(live, res=rewire(res, meetings__servers=res.servers))
        yield UsedPool(pool, usage, clock)

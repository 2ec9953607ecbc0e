"""A pool of servers in a real Redis, driven only by calls of the store, without servers.

The clock stands still until a test moves it. The results of polls are made as in
servers/polling.py, from listed meetings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import trio

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.meetings.placement import NO_NOTES, Placement, PlacementRequest, PlaceNotes
from appliance.model import (
    Meeting,
    MeetingId,
    PlacementOutcome,
    PlacementRules,
    ServerId,
    ServerState,
    TenantId,
)
from appliance.redis.client import RedisAddress
from appliance.servers.load import make_observation
from appliance.servers.model import (
    FailureResult,
    ObservationResult,
)
from appliance.servers.values import ServerChange
from tests.doubles.pool_store import PoolStore, open_pool_store
from tests.doubles.redis_layout import layout_faults

CONNECT_S = 40.0
START_MS = 1_700_000_000_123
"""Thirteen digits with a non-zero end, so that a loss of precision is visible."""
MINUTE_MS = 60_000


@dataclass(slots=True)
class StorePool:
    """The store under test, and a clock."""

    store: PoolStore
    now_ms: int = START_MS
    numbers: int = 100_000_000
    notes: PlaceNotes = NO_NOTES
    """What the last join told beside the record."""
    loose_ends: bool = False
    """Set by tests that leave members without their hash."""

    @property
    def namespace(self) -> str:
        """Return the store's namespace."""
        return self.store.namespace

    async def redis(self, command: str, key: str, *args: str | int | float) -> Any:
        """Run a command on a key of the namespace."""
        return await self.store.bulk.command(command, f"{self.namespace}:{key}", *args)

    async def add(
        self,
        name: str,
        *,
        load: float | None = 0.0,
        state: ServerState = ServerState.ENABLED,
        online: bool = True,
        **change: Any,
    ) -> ServerId:
        """Add a server with a load (None: in no load set); `change` as in ServerChange."""
        server = ServerId(name)
        given = {"url": f"https://{name}/bigbluebutton/api", "secret": f"secret of {name}"}
        assert await self.store.add_server(server, ServerChange(**{**given, **change}))
        await self.store.set_server_state(server, state)
        if online:
            await self.redis("HSET", f"server:{name}", "online", "true")
        if load is not None and online and state is not ServerState.DISABLED:
            key = "server_load" if state is ServerState.ENABLED else "cordoned_server_load"
            await self.redis("ZADD", key, load, name)
        return server

    def request(self, meeting_id: str, **fields: Any) -> PlacementRequest:
        """Return a request with one unused voice bridge candidate."""
        self.numbers += 1
        request = PlacementRequest(
            meeting_id=MeetingId(meeting_id),
            tenant_id=None,
            moderator_pw=None,
            new_moderator_pw=f"new pw {self.numbers}",
            own_passwords=True,
            voice_bridges=(str(self.numbers),),
            now_ms=self.now_ms,
            tie_breaker=0.0,
        )
        return replace(request, **fields)

    async def place(self, meeting_id: str, **fields: Any) -> Placement:
        """Place a meeting."""
        return await self.store.place_meeting(self.request(meeting_id, **fields))

    async def create(self, meeting_id: str, *, confirm: bool = True, **fields: Any) -> Meeting:
        """Place a new meeting, and confirm it."""
        placement = await self.place(meeting_id, **fields)
        assert placement.outcome is PlacementOutcome.PLACED
        assert placement.meeting is not None
        if confirm:
            assert await self.store.confirm_meeting(placement.meeting, now_ms=self.now_ms)
        return placement.meeting

    async def forget(self, meeting: Meeting) -> None:
        """Forget an ended meeting."""
        assert await self.store.forget_meeting(meeting, now_ms=self.now_ms)

    async def join(self, meeting_id: str, tenant: str | None = None) -> Meeting | None:
        """Join a meeting."""
        tenant_id = TenantId(tenant) if tenant else None
        asked = MeetingId(meeting_id)
        meeting, self.notes = await self.store.join_meeting(asked, tenant_id, now_ms=self.now_ms)
        return meeting

    async def find(self, meeting_id: str) -> Meeting | None:
        """Find a meeting."""
        return await self.store.find_meeting(MeetingId(meeting_id), now_ms=self.now_ms)

    async def poll(
        self,
        server: ServerId,
        listed: Mapping[str, int] | Sequence[ListedMeeting] | None = None,
        *,
        began_ms: int | None = None,
        joins_before: float | None = None,
        age_ms: int = 0,
        healthy_threshold: int = 1,
        bbb_version: str | None = None,
    ) -> ObservationResult:
        """Record a successful poll that listed meetings, each with its participants or as a whole.

        The poll took no time unless `began_ms` is given; the meetings are `age_ms` old.
        """
        start = await self.store.begin_poll(server)
        if isinstance(listed, Mapping) or listed is None:
            created_ms = self.now_ms - age_ms
            listed = [
                ListedMeeting(id_, created_ms, count, 0, 0, is_breakout=False)
                for id_, count in (listed or {}).items()
            ]
        if joins_before is None:
            joins_before = start.joins if start else 0.0
        observation = make_observation(
            server,
            listed,
            began_ms=self.now_ms if began_ms is None else began_ms,
            now_ms=self.now_ms,
            joins_before=joins_before,
        )
        observation = replace(observation, bbb_version=bbb_version)
        return await self.store.observe_server(observation, healthy_threshold=healthy_threshold)

    async def fail(
        self, server: ServerId, *, threshold: int = 2, disabled: bool = False
    ) -> FailureResult:
        """Record a failed poll."""
        return await self.store.fail_server(
            server, now_ms=self.now_ms, unhealthy_threshold=threshold, disabled=disabled
        )

    async def lose(self, server: ServerId) -> FailureResult:
        """Take a server offline."""
        return await self.fail(server, threshold=1)

    async def expected(self, meeting_id: str) -> list[str | None]:
        """Return what is expected of a meeting: users, videos, voices."""
        names = ("expected", "expected_videos", "expected_voice")
        found: list[str | None] = await self.redis(
            "HMGET", f"appliance:meeting:{meeting_id}", *names
        )
        return found

    async def load(self, server: ServerId) -> float | None:
        """Return a server's load, None if it is in no load set."""
        found = await self.store.find_server(server)
        return found.load if found else None

    async def bridges(self) -> dict[str, str]:
        """Return the owners of the voice bridge numbers."""
        flat = await self.redis("HGETALL", "voice_bridges")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def check_layout(self) -> None:
        """Assert that Redis holds only the keys of docs/stores.md."""
        faults = await layout_faults(self.store.bulk, self.namespace, loose_ends=self.loose_ends)
        if faults:
            raise AssertionError("\n".join(faults))


@asynccontextmanager
async def open_store_pool(
    url: str, namespace: str, rules: PlacementRules | None = None
) -> AsyncIterator[StorePool]:
    """Open an empty pool, or another client's view of one, and wait for its connections."""
    async with open_pool_store(
        RedisAddress(url), namespace=namespace, rules=rules or PlacementRules(), log=None
    ) as store:
        with trio.fail_after(CONNECT_S):
            await store.client.wait_connected()
            await store.bulk.wait_connected()
        yield StorePool(store)

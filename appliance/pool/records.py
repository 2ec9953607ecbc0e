"""The records of the pool in Redis: which servers there are, and which server each meeting is on.

Look-ups for every feature. What changes servers is in servers/store.py, what places meetings in
meetings/store.py. One round trip a method unless its docstring says otherwise; every method raises
StoreDown when Redis cannot be used. Source: docs/stores.md (layout of the keys).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState, Target, TenantId
from appliance.redis.store import RedisStores
from appliance.tenants.scoped_id import scoped_id

TELL_AFTER_LOSS_MS = 5_000
"""A meeting that its server does not know any more has ended, and our URL is called about then."""
TELL_AFTER_END_MS = 15_000
"""After an `end` a server takes its time to put everybody out."""
SUSPECT_MS = 30_000
"""How long a failed call counts against a server if no poll decides before."""


@dataclass(frozen=True)
class PoolRecords:
    """Finds servers and meetings, and forgets meetings that their servers do not have."""

    redis: RedisStores

    async def find_meeting(self, meeting_id: MeetingId, *, now_ms: int) -> Meeting | None:
        """Return the record kept under an id, None if there is none (or its server is gone)."""
        reply = await self.redis.foreground.run("find_meeting", meeting_id, now_ms)
        return None if reply is None else parse_meeting(reply)

    async def find_meeting_of(
        self, tenant_id: TenantId | None, meeting_id: MeetingId, *, now_ms: int
    ) -> Meeting | None:
        """Return the record of a tenant's meeting by its front-end's id; see lib.lua, find_record.

        None: the tenant has no such meeting. Without tenants it is a meeting of none.
        """
        tenant = tenant_arguments(tenant_id, meeting_id)
        reply = await self.redis.foreground.run("find_meeting", meeting_id, now_ms, *tenant)
        return None if reply is None else parse_meeting(reply)

    async def forget_meeting(
        self, meeting: Meeting, *, now_ms: int, even_if_creating: bool = False
    ) -> bool:
        """Forget a meeting that its server does not have; False: it is another one by now.

        `meeting` is the record from before the server was asked.
        """
        tell_after_ms = TELL_AFTER_END_MS if even_if_creating else TELL_AFTER_LOSS_MS
        reply = await self.redis.foreground.run(
            "forget_meeting",
            *(*identity_of(meeting), meeting.run_ms or ""),
            *(now_ms, int(even_if_creating), tell_after_ms),
        )
        return bool(reply)

    async def list_meetings(self) -> list[Meeting]:
        """Return all records, by id. In chunks: two round trips for every 500 meetings."""
        found: dict[str, Meeting] = {}  # SSCAN may name one twice
        now_ms = 0  # `creating` is of no interest to a list
        redis = self.redis.background
        async for ids in redis.scan("SSCAN", redis.key("meetings")):
            for reply in await redis.run("list_meetings", now_ms, *ids):
                meeting = parse_meeting(reply)
                found[meeting.id] = meeting
        return [found[meeting_id] for meeting_id in sorted(found)]

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Return all servers, by id."""
        redis = self.redis.background if in_background else self.redis.foreground
        return [parse_server(item) for item in await redis.run("list_servers")]

    async def find_server(self, server_id: ServerId) -> Server | None:
        """Return one server, None if there is no such."""
        found = await self.redis.background.run("list_servers", server_id)
        return parse_server(found[0]) if found else None

    async def suspect_server(self, server_id: ServerId, *, silent: bool = False) -> bool:
        """Note that a call to the server failed, `silent`: got no answer; False: that is known."""
        arguments = (server_id, SUSPECT_MS, int(silent))
        return bool(await self.redis.foreground.run("suspect_server", *arguments))


def tenant_arguments(tenant_id: TenantId | None, meeting_id: MeetingId) -> tuple[str, str]:
    """Return scoped id and tenant id, as the scripts take them."""
    return (scoped_id(meeting_id, tenant_id), tenant_id) if tenant_id else ("", "")


def identity_of(meeting: Meeting) -> tuple[str, str, int]:
    """Return what tells a record from another of the same meeting, as the scripts take it."""
    return meeting.id, meeting.server_id, meeting.placement


def parse_meeting(reply: Sequence[Any]) -> Meeting:
    """Parse `reply_record` of lib.lua."""
    (
        meeting_id,
        server_id,
        moderator_pw,
        voice_bridge,
        tenant_id,
        placement,
        confirmed,
        creating,
        url,
        secret,
        state,
        online,
        tag,
        run_ms,
    ) = reply
    server = ServerId(server_id)
    return Meeting(
        id=MeetingId(meeting_id),
        server_id=server,
        moderator_pw=moderator_pw,
        voice_bridge=voice_bridge,
        tenant_id=TenantId(tenant_id) if tenant_id else None,
        placement=int(placement),
        confirmed=bool(confirmed),
        creating=bool(creating),
        server=Target(server, url, secret, bool(online)) if url else None,
        server_state=parse_state(state),
        server_tag=tag or None,
        run_ms=int(run_ms) if run_ms else None,
    )


def parse_state(state: str) -> ServerState:
    """Parse a stored state; an unknown word means disabled, which harms nobody."""
    try:
        return ServerState(state)
    except ValueError:
        return ServerState.DISABLED


def parse_server(reply: Sequence[Any]) -> Server:
    """Parse one server of list_servers.lua."""
    (
        server_id,
        url,
        secret,
        state,
        online,
        load_multiplier,
        tag,
        meetings,
        users,
        largest_meeting,
        videos,
        bbb_version,
        max_meetings,
        max_users,
        load,
        unhealthy,
        suspicion,
        unstable,
    ) = reply
    multiplier = _float(load_multiplier)
    return Server(
        id=ServerId(server_id),
        url=url,
        secret=secret,
        state=parse_state(state),
        online=online == "true",
        load_multiplier=multiplier if multiplier and multiplier > 0 else 1.0,
        tag=tag or None,
        max_meetings=_int(max_meetings),
        max_users=_int(max_users),
        load=_float(load),
        meetings=_int(meetings) or 0,
        users=_int(users) or 0,
        largest_meeting=_int(largest_meeting) or 0,
        videos=_int(videos) or 0,
        bbb_version=bbb_version or None,
        unhealthy_count=_int(unhealthy) or 0,
        suspected=bool(suspicion),
        silent=suspicion == "silent",
        unstable=bool(unstable),
    )


def _int(value: str) -> int | None:
    number = _float(value)
    return None if number is None else int(number)


def _float(value: str) -> float | None:
    """Read a stored number; "nan" and "inf", which float() takes, are none."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

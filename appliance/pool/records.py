"""The records of the pool in Redis: the servers, and the meetings with the server of each.

Look-ups for every feature; servers/store.py changes servers, meetings/store.py places meetings.
Each method is one round trip unless its docstring says otherwise, and raises StoreDown when Redis
cannot be used. Source: docs/stores.md (layout of the keys).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.model import (
    KnownMeeting,
    Meeting,
    MeetingId,
    Server,
    ServerId,
    ServerState,
    Target,
    TenantId,
)
from appliance.redis.store import RedisStore, RedisStores
from appliance.system.threads import in_chunks, map_in_slices
from appliance.tenants.scoped_id import scoped_id

NOTIFY_AFTER_LOSS_MS = 5_000
"""Delay of the notification when a server no longer knows a meeting: the server calls the
appliance's meetingEndedURL at about that time, with more details."""
NOTIFY_AFTER_END_MS = 15_000
"""The same after an `end`: the server first removes all users."""
SWEEP_GRACE_MS = 60_000
"""An entry that points nowhere is removed once that was noted so long ago: Scalelite writes some
entries before the record."""
CHUNK = 100
"""Servers per round trip, 1.5 ms of Redis. More would make calls wait, there and here."""
SUSPECT_MS = 30_000
"""How long a failed call counts against a server if no poll decides before."""


@dataclass(frozen=True)
class PoolRecords:
    """Finds servers and meetings, and forgets meetings that have ended."""

    redis: RedisStores
    _parsed: dict[str, tuple[str, Server]] = field(default_factory=dict, repr=False, compare=False)
    """By id what Redis said of a server and what that is: of thousands few change between two
    readings, and to parse one takes 8 µs."""

    async def find_meeting(self, meeting_id: MeetingId, *, now_ms: int) -> Meeting | None:
        """Return the record with this id; None: there is none, or its server was removed."""
        reply = await self.redis.foreground.run("find_meeting", meeting_id, now_ms)
        return None if reply is None else parse_meeting(reply)

    async def find_meeting_of(
        self,
        tenant_id: TenantId | None,
        meeting_id: MeetingId,
        *,
        now_ms: int,
        or_breakout: bool = False,
    ) -> Meeting | None:
        """Return the record of a tenant's meeting by the front-end's id; None: there is none.

        `tenant_id` is None without multitenancy. The rule is `find_record` in lib.lua.
        `or_breakout`: also a breakout room that a server created itself, which has no record.
        """
        arguments = (*tenant_arguments(tenant_id, meeting_id), int(or_breakout))
        reply = await self.redis.foreground.run("find_meeting", meeting_id, now_ms, *arguments)
        return None if reply is None else parse_meeting(reply)

    async def forget_meeting(
        self, meeting: Meeting, *, now_ms: int, even_if_creating: bool = False
    ) -> bool:
        """Forget a meeting that its server does not have; False: the record has changed since.

        `meeting` is the record as it was before the server was asked.
        """
        notify_after_ms = NOTIFY_AFTER_END_MS if even_if_creating else NOTIFY_AFTER_LOSS_MS
        reply = await self.redis.foreground.run(
            "forget_meeting",
            *(*identity_of(meeting), meeting.run_ms or ""),
            *(now_ms, int(even_if_creating), notify_after_ms),
        )
        return bool(reply)

    async def begin_end(
        self,
        meeting_id: MeetingId,
        server_id: ServerId,
        created: str,
        *,
        now_ms: int,
        until_ms: int,
    ) -> str:
        """Announce an `end` that may arrive until `until_ms`; return its token, or ''.

        `created`: createTime of the only run that it can hit, '' if it can hit any run. Without a
        token the meeting must not be ended.
        """
        return str(
            await self.redis.foreground.run(
                "begin_end", meeting_id, server_id, now_ms, until_ms, created
            )
        )

    async def finish_end(
        self, meeting_id: MeetingId, server_id: ServerId, token: str, *, answered: bool
    ) -> None:
        """Withdraw the announcement of an `end` that was answered, or cannot arrive any more."""
        await self.redis.foreground.run("finish_end", meeting_id, server_id, token, int(answered))

    async def list_meetings(self) -> list[Meeting]:
        """Return all records, sorted by id. Takes two round trips for every 500 meetings."""
        found: dict[str, Meeting] = {}  # SSCAN may return an id twice
        now_ms = 0  # lists do not use `creating`
        redis = self.redis.background
        async for ids in redis.scan("SSCAN", redis.key("meetings")):
            for reply in await redis.run("list_meetings", now_ms, *ids):
                meeting = parse_meeting(reply)
                found[meeting.id] = meeting
        return [found[meeting_id] for meeting_id in sorted(found)]

    async def list_known_meetings(self, server_ids: Sequence[ServerId]) -> list[KnownMeeting]:
        """Return what is known of the meetings of servers that do not answer, sorted by id."""
        found = await self.redis.background.run("list_known_meetings", *server_ids)
        return [parse_known_meeting(reply) for reply in sorted(found)]

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Return all servers, sorted by id.

        Takes one round trip for the ids and one per CHUNK servers; other commands run in between.
        """
        redis = self.redis.background if in_background else self.redis.foreground
        ids = sorted(await redis.command("SMEMBERS", redis.key("servers")))
        found = await self._read_servers(redis, ids)
        if len(self._parsed) > len(found):
            known = {server.id for server in found}
            for removed in [one for one in self._parsed if one not in known]:
                del self._parsed[removed]
        return found

    async def read_servers(self, server_ids: Sequence[ServerId]) -> list[Server]:
        """Return the servers that exist among these. Takes one round trip per CHUNK servers."""
        return await self._read_servers(self.redis.background, server_ids)

    async def count_pool(self) -> tuple[int, int, int, int]:
        """Return how many servers are enabled, and of these online, and all meetings and users."""
        enabled, online, meetings, users = await self.redis.background.run("count_pool")
        return enabled, online, meetings, users

    async def find_server(self, server_id: ServerId) -> Server | None:
        """Return one server, None if it does not exist."""
        found = await self.read_servers([server_id])
        return found[0] if found else None

    async def suspect_server(self, server_id: ServerId, *, silent: bool = False) -> bool:
        """Record that a call to a server failed; False: that was recorded before.

        `silent`: the server did not answer at all.
        """
        arguments = (server_id, SUSPECT_MS, int(silent))
        return bool(await self.redis.foreground.run("suspect_server", *arguments))

    async def _read_servers(self, redis: RedisStore, server_ids: Sequence[str]) -> list[Server]:
        found: list[Server] = []
        for some in in_chunks(server_ids, CHUNK):
            found += await map_in_slices(self._parse, await redis.run("list_servers", *some))
        return found

    def _parse(self, packed: str) -> Server:
        """Parse one server of the reply of list_servers.lua; the same object if nothing changed."""
        server_id = packed.partition("\0")[0]
        known = self._parsed.get(server_id)
        if known is not None and known[0] == packed:
            return known[1]
        server = parse_server(packed.split("\0"))
        self._parsed[server_id] = packed, server
        return server


def tenant_arguments(tenant_id: TenantId | None, meeting_id: MeetingId) -> tuple[str, str]:
    """Return scoped id and tenant id as arguments of a script, both empty without tenant."""
    return (scoped_id(meeting_id, tenant_id), tenant_id) if tenant_id else ("", "")


def identity_of(meeting: Meeting) -> tuple[str, str, int]:
    """Return what identifies one record of a meeting among earlier and later ones."""
    return meeting.id, meeting.server_id, meeting.placement


RECORD_FIELDS = 15
"""Of `reply_record` in lib.lua."""


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
        own_passwords,
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
        own_passwords=bool(own_passwords),
        run_ms=int(run_ms) if run_ms else None,
    )


def parse_known_meeting(reply: Sequence[str]) -> KnownMeeting:
    """Parse one meeting of the reply of list_known_meetings.lua."""
    meeting_id, tenant_id, name, created, users, moderators, videos, voice_bridge, original = reply
    return KnownMeeting(
        id=MeetingId(meeting_id),
        tenant_id=TenantId(tenant_id) if tenant_id else None,
        name=name,
        created_ms=_int(created) or None,
        participants=_int(users) or 0,
        moderators=_int(moderators) or 0,
        videos=_int(videos) or 0,
        voice_bridge=voice_bridge,
        original_id=original or None,
    )


_STATES: dict[str, ServerState] = {one.value: one for one in ServerState}


def parse_state(state: str) -> ServerState:
    """Parse a stored state; an unknown word means disabled, the safe choice."""
    return _STATES.get(state, ServerState.DISABLED)


def parse_server(reply: Sequence[Any]) -> Server:
    """Parse `reply_server` of lib.lua, also with its number as text."""
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
        dial_in,
        dial_in_port,
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
        unstable=unstable in (1, "1"),
        dial_in=dial_in or None,
        dial_in_port=_int(dial_in_port),
    )


def _int(value: str) -> int | None:
    number = _float(value)
    return None if number is None else int(number)


def _float(value: str) -> float | None:
    """Parse a stored number; None: not a finite number."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

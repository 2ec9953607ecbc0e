"""Placing, confirming and joining meetings in Redis.

The rules are the scripts in lua/; this file converts arguments and replies. Look-ups are in
pool/records.py. Each method is one round trip and raises StoreDown when Redis cannot be used.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from appliance.callbacks.ended_rules import MeetingRun
from appliance.meetings.placement import NO_NOTES, Placement, PlacementRequest, PlaceNotes
from appliance.model import (
    Meeting,
    MeetingId,
    PlacementOutcome,
    PlacementRules,
    ServerId,
    Target,
    TenantId,
)
from appliance.pool.records import (
    NOTIFY_AFTER_END_MS,
    RECORD_FIELDS,
    SWEEP_GRACE_MS,
    identity_of,
    parse_meeting,
    tenant_arguments,
)
from appliance.redis.store import RedisStores, to_script_json
from appliance.tenants.limits import LimitUse
from appliance.tenants.scoped_id import scoped_id

_INDEXED_AT_ONCE = 500
"""Records; each takes Redis some microseconds, in which all other calls wait."""


class Confirmation(IntEnum):
    """The result of recording that a server has created a meeting."""

    CHANGED = 0
    """The record has changed since."""
    CONFIRMED = 1
    ENDING = 2
    """The server has a run that an `end` under way may hit at any moment."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """Values of the create that began a new run of a meeting, for its record."""

    moderator_pw: str = field(repr=False)
    """That was sent, else the one that the server chose; may be empty."""
    own_passwords: bool
    logout_url: str | None


@dataclass(frozen=True, slots=True)
class MeetingToEnd:
    """The meeting that an `end` names."""

    meeting: Meeting
    detached: bool
    """Its server went offline."""


@dataclass(frozen=True, slots=True)
class ListingServers:
    """The servers that getMeetings is about."""

    enabled: int
    """All that are not disabled."""
    online: int
    """Of these."""
    asked: list[Target]
    """Online and with meetings of the caller."""
    hanging: frozenset[ServerId]
    """Those of `asked` that will probably not answer in time."""
    offline: list[ServerId]
    """Offline and with meetings that are known."""

    def reached_by(self, answered: Collection[ServerId]) -> bool:
        """Whether servers have answered, or there was no need to ask any."""
        return bool(answered) or not self.enabled or (self.online > 0 and not self.asked)


@dataclass(frozen=True)
class MeetingStore:
    """Places, confirms and joins meetings."""

    redis: RedisStores
    rules: PlacementRules

    async def join_meeting(
        self,
        meeting_id: MeetingId,
        tenant_id: TenantId | None,
        *,
        now_ms: int,
        wants_version: bool = False,
    ) -> tuple[Meeting | None, PlaceNotes]:
        """Count one user of a tenant's meeting and return its record.

        None: there is none, or a limit of the tenant is reached.
        """
        reply = await self.redis.foreground.run(
            "join_meeting",
            meeting_id,
            *tenant_arguments(tenant_id, meeting_id),
            now_ms,
            self.rules.join_buffer_ms,
            int(wants_version),
            *((self.rules.weights.user,) if self.rules.weights else ()),
        )
        if reply is None:
            return None, NO_NOTES
        if len(reply) == RECORD_FIELDS:
            return parse_meeting(reply), NO_NOTES
        notes = _parse_notes(reply.pop())
        return (parse_meeting(reply) if reply else None), notes

    async def find_listing_servers(self, tenant_id: TenantId | None) -> ListingServers:
        """Return the servers that getMeetings has to ask."""
        redis = self.redis.foreground
        reply = await redis.run("find_listing_servers", tenant_id or "", 0)
        if reply is None:
            cursor = await redis.run("index_meetings", "0", _INDEXED_AT_ONCE)
            while cursor != "0":
                cursor = await redis.run("index_meetings", cursor, _INDEXED_AT_ONCE)
            reply = await redis.run("find_listing_servers", tenant_id or "", 1)
        enabled, online, asked, hanging, offline = reply
        targets = [*map(Target, asked[::3], asked[1::3], asked[2::3])]
        return ListingServers(enabled, online, targets, frozenset(hanging), offline)

    async def find_logout_url(
        self, meeting_id: MeetingId, tenant_id: TenantId | None
    ) -> str | None:
        """Return the logoutURL of the create of a tenant's meeting, None if it gave none."""
        redis = self.redis.foreground
        ids = [scoped_id(meeting_id, tenant_id), meeting_id] if tenant_id else [meeting_id]
        found = await redis.pipeline(
            [
                ["HMGET", redis.own_key(f"{key}:{one}"), "logout_url", tenant]
                for one in ids
                for key, tenant in (
                    ("meeting", "logout_tenant"),
                    ("detached_meeting", "tenant_id"),  # its server went offline
                )
            ]
        )
        owner = tenant_id or ""
        return next((url for url, tenant in found if url and (tenant or "") == owner), None)

    async def place_meeting(self, request: PlacementRequest) -> Placement:
        """Find the meeting, or select a server for it; see place_meeting.lua."""
        reply = await self.redis.foreground.run(
            "place_meeting", placement_arguments(request, self.rules)
        )
        outcome = PlacementOutcome(reply[0])
        notes = NO_NOTES
        if len(reply) not in (2, 2 + RECORD_FIELDS):
            notes = _parse_notes(reply.pop())
        meeting = parse_meeting(reply[2:]) if len(reply) > 2 else None
        return Placement(outcome, meeting, ServerId(reply[1]) if reply[1] else None, notes)

    async def confirm_meeting(
        self,
        meeting: Meeting,
        *,
        now_ms: int,
        run: MeetingRun | None = None,
        began: bool = True,
        created: str | None = None,
        new_run: NewRun | None = None,
    ) -> Confirmation:
        """Record that the server created the meeting.

        `began`: this create began `run`; otherwise the server had the meeting already, as it also
        had if `created`, its createTime, is that of the recorded run. `new_run` replaces what the
        record keeps of an earlier create; None: it was written for this one.
        """
        run_ms = run.began_ms if run and began else ""
        ended_url = (run.ended_url if run else None) or ""
        reply = await self.redis.foreground.run(
            "confirm_meeting",
            *(*identity_of(meeting), now_ms, self.rules.ttl_s),
            *(run_ms, ended_url, created or ""),
            *(
                (new_run.moderator_pw, int(new_run.own_passwords), new_run.logout_url or "")
                if new_run
                else ()
            ),
        )
        return Confirmation(reply)

    async def find_meeting_to_end(
        self, meeting_id: MeetingId, tenant_id: TenantId | None, *, now_ms: int
    ) -> MeetingToEnd | None:
        """Return a tenant's meeting, also a detached one or a server's own breakout room."""
        reply = await self.redis.foreground.run(
            "find_meeting_to_end", meeting_id, now_ms, *tenant_arguments(tenant_id, meeting_id)
        )
        if reply is None:
            return None
        return MeetingToEnd(parse_meeting(reply[1:]), reply[0] == "detached")

    async def remember_end(
        self, meeting: Meeting, *, detached: bool, now_ms: int, until_ms: int
    ) -> bool:
        """Forget a meeting and have it ended when its server answers; see remember_end.lua."""
        reply = await self.redis.foreground.run(
            "remember_end",
            *(*identity_of(meeting), meeting.run_ms or "", int(detached)),
            *(now_ms, NOTIFY_AFTER_END_MS, until_ms),
        )
        return bool(reply)

    async def extend_creating(self, meeting: Meeting, *, until_ms: int) -> bool:
        """Extend the creating deadline while the body of a create is being uploaded."""
        return bool(
            await self.redis.foreground.run("extend_creating", *identity_of(meeting), until_ms)
        )

    async def abandon_meeting(self, meeting: Meeting, *, now_ms: int, may_exist: bool) -> bool:
        """Undo an unconfirmed placement; False: another request has changed or confirmed it.

        If the meeting appears on that server, it is ended there. `may_exist`: this request may have
        created it, so a create of the same id within `avoid_ms` prefers another server.
        """
        reply = await self.redis.foreground.run(
            "abandon_meeting",
            *identity_of(meeting),
            now_ms,
            int(may_exist),
            self.rules.avoid_ms,
        )
        return bool(reply)


def _parse_notes(document: str) -> PlaceNotes:
    """Parse what place_meeting.lua and join_meeting.lua append to their replies."""
    found = json.loads(document)
    refused, duration = found.get("refused"), found.get("max_duration")
    return PlaceNotes(
        refused=LimitUse(*refused) if refused else None,
        near=tuple(LimitUse(*one) for one in found.get("near", ())),
        max_duration_min=int(duration) if duration else None,
        bbb_version=found.get("bbb_version") or None,
    )


def placement_arguments(request: PlacementRequest, rules: PlacementRules) -> str:
    """Return the argument of place_meeting.lua; values that are not given are absent, not null."""
    arguments: dict[str, Any] = {
        "id": request.meeting_id,
        "scoped_id": scoped_id(request.meeting_id, request.tenant_id)
        if request.tenant_id
        else None,
        "tenant_id": request.tenant_id or "",
        "moderator_pw": request.moderator_pw,
        "new_moderator_pw": request.new_moderator_pw,
        "own_passwords": request.own_passwords,
        "voice_bridges": request.voice_bridges,
        "now_ms": request.now_ms,
        "sweep_grace_ms": SWEEP_GRACE_MS,
        "tie_breaker": request.tie_breaker,
        "creating_until_ms": request.now_ms + rules.creating_ms,
        "ttl_s": rules.ttl_s,
        "min_user_count": rules.min_user_count,
        "forecast": rules.forecast,
        "weights": rules.weights and rules.weights.to_script(),
        "size_cap": rules.size_cap,
        "excluded": dict.fromkeys(request.excluded, True),
        "only_server": request.only_server,
        "tags": None if request.tag is None else request.tag.tags,
        "tag_required": request.tag is not None and request.tag.required,
        "size_hint": request.size_hint,
        "max_participants": request.max_participants,
        "logout_url": request.logout_url,
        "ended_url": request.ended_url,
        "recorded": request.recorded or None,
        "versions": request.wants_version or None,
        "shares": request.shares or None,
    }
    if request.replaces is not None:
        arguments["replaces"] = {
            "server_id": request.replaces.server_id,
            "placement": request.replaces.placement,
        }
    return to_script_json(arguments)

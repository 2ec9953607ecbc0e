"""The counts of a poll, from the getMeetings answer of a server, as observe_server.lua takes them.

The load is computed by that script (`load_of` in redis/lib.lua), which also knows what the meetings
are expected to reach.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import MeetingId, PlacementRules, ServerId
from appliance.pool.records import NOTIFY_AFTER_LOSS_MS
from appliance.redis.store import to_script_json
from appliance.servers.model import DoubleMeeting, Observation, ObservationResult


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one server that operators see, including breakout rooms."""

    meetings: int
    users: int
    largest_meeting: int
    videos: int


def counts(meetings: Sequence[ListedMeeting]) -> Counts:
    """Return the numbers of meetings, users and videos of a server, and its largest meeting."""
    return Counts(
        meetings=len(meetings),
        users=sum(meeting.participants for meeting in meetings),
        largest_meeting=max((meeting.participants for meeting in meetings), default=0),
        videos=sum(meeting.videos for meeting in meetings),
    )


def make_observation(
    server_id: ServerId,
    meetings: Sequence[ListedMeeting],
    *,
    began_ms: int,
    now_ms: int,
    joins_before: float,
    known: Collection[str] | None = None,
) -> Observation:
    """Return the arguments of observe_server.lua for a poll.

    `known` are the meetings that Redis has to know of, None: all. Times are Unix times.
    """
    seen = counts(meetings)
    listed = [one for one in meetings if known is None or one.id in known]
    others = [one for one in meetings if known is not None and one.id not in known]
    return Observation(
        server_id=server_id,
        began_ms=began_ms,
        now_ms=now_ms,
        joins_before=joins_before,
        meetings=seen.meetings,
        users=seen.users,
        largest_meeting=seen.largest_meeting,
        videos=seen.videos,
        listed=tuple(listed),
        others=tuple(one for one in others if not one.is_breakout),
        stray_tenants=frozenset(one.tenant_id or "" for one in others),
    )


def observation_arguments(
    seen: Observation, rules: PlacementRules, *, healthy_threshold: int
) -> str:
    """Return the argument of observe_server.lua."""
    return to_script_json(
        {
            "server_id": seen.server_id,
            "began_ms": seen.began_ms,
            "now_ms": seen.now_ms,
            "joins_before": seen.joins_before,
            "meetings": seen.meetings,
            "users": seen.users,
            "largest_meeting": seen.largest_meeting,
            "videos": seen.videos,
            "listed": [_listed_argument(meeting, rules) for meeting in seen.listed],
            "others": _others_argument(seen, rules),
            "stray_tenants": sorted(seen.stray_tenants),
            "bbb_version": seen.bbb_version,
            "healthy_threshold": healthy_threshold,
            "ttl_s": rules.ttl_s,
            "join_buffer_ms": rules.join_buffer_ms,
            "min_user_count": rules.min_user_count,
            "moderators_twice": rules.count_moderators_twice,
            "weights": rules.weights and rules.weights.to_script(),
            "notify_after_ms": NOTIFY_AFTER_LOSS_MS,
        }
    )


def _listed_argument(meeting: ListedMeeting, rules: PlacementRules) -> dict[str, Any]:
    argument = {**_counts_argument(meeting, rules), "name": meeting.name}
    if meeting.tenant_id:
        argument["tenant_id"] = meeting.tenant_id
    if meeting.recorded:
        argument["recorded"] = True
    return argument


def _others_argument(seen: Observation, rules: PlacementRules) -> list[dict[str, Any]]:
    """Return the meetings that only count: those with the same counts once, and how many there are.

    A young one stands for itself, since a meeting may be expected to grow. Of thousands of old ones
    there are a few kinds, and all other calls to Redis wait for the script.
    """
    young: list[dict[str, Any]] = []
    old: Counter[tuple[int, ...]] = Counter()
    for one in seen.others:
        if seen.now_ms - one.create_time_ms < rules.join_buffer_ms:
            young.append(_counts_argument(one, rules))
        else:
            old[one.participants, one.moderators, one.videos, one.voice] += 1
    kinds = [
        {
            **dict(zip(("participants", "moderators", "videos", "voice"), kind, strict=True)),
            "created_ms": 0,
            "times": times,
        }
        for kind, times in old.items()
    ]
    return kinds + young


def _counts_argument(meeting: ListedMeeting, rules: PlacementRules) -> dict[str, Any]:
    argument: dict[str, Any] = {
        "id": meeting.id,
        "participants": meeting.participants,
        "created_ms": meeting.create_time_ms,
        "moderators": meeting.moderators,
        "videos": meeting.videos,
    }
    if rules.weights:
        argument["voice"] = meeting.voice
    if meeting.is_breakout:
        argument["is_breakout"] = True
    return argument


def parse_observation(reply: str) -> ObservationResult:
    """Parse the JSON of observe_server.lua."""
    found: Mapping[str, Any] = json.loads(reply)
    if not found["known"]:
        return ObservationResult(known=False)
    # cjson writes an empty list as {}: `list` makes both the same.
    return ObservationResult(
        known=True,
        usage_saved=found.get("usage_saved") == 1,
        online=found["online"],
        came_online=found["came_online"],
        auto_disabled=found["auto_disabled"],
        load=float(found["load"]),
        taken_back=tuple(MeetingId(item) for item in list(found["taken_back"])),
        to_end=tuple((MeetingId(item[0]), item[1]) for item in list(found["to_end"])),
        missing=tuple((MeetingId(item[0]), int(item[1])) for item in list(found["missing"])),
        doubles=tuple(_parse_double(item) for item in list(found["doubles"])),
        mark=found.get("mark", ""),
    )


def _parse_double(item: Sequence[Any]) -> DoubleMeeting:
    meeting_id, server_id, placement, joins, new, action = item
    return DoubleMeeting(
        MeetingId(meeting_id), ServerId(server_id), int(placement), int(joins), bool(new), action
    )

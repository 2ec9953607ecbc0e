"""Turn the replies of the Lua scripts into the model. No I/O.

Truth: the reply forms documented at the head of each script in `scripts/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.model import (
    FailureResult,
    Meeting,
    MeetingId,
    ObservationResult,
    Server,
    ServerId,
    ServerState,
    Target,
    Tenant,
    TenantId,
)
from appliance.tenants.lrs_rules import lrs_of
from appliance.tenants.params import calls_of_setting


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
    )


def parse_observation(reply: str) -> ObservationResult:
    """Parse the JSON of observe_server.lua."""
    found: Mapping[str, Any] = json.loads(reply)
    if not found["known"]:
        return ObservationResult(known=False)
    # cjson writes an empty list as {}: `list` makes both the same.
    return ObservationResult(
        known=True,
        online=found["online"],
        came_online=found["came_online"],
        auto_disabled=found["auto_disabled"],
        load=float(found["load"]),
        taken_back=tuple(MeetingId(item) for item in list(found["taken_back"])),
        to_end=tuple((MeetingId(item[0]), item[1]) for item in list(found["to_end"])),
        missing=tuple((MeetingId(item[0]), int(item[1])) for item in list(found["missing"])),
    )


def parse_failure(reply: Sequence[int] | None) -> FailureResult:
    """Parse the reply of fail_server.lua."""
    if reply is None:
        return FailureResult(known=False)
    unhealthy, went_offline, detached = reply
    return FailureResult(True, unhealthy, bool(went_offline), detached)


def parse_tenant(reply: str | None) -> Tenant | None:
    """Parse the JSON of find_tenant.lua."""
    if reply is None:
        return None
    found = json.loads(reply)
    merged: dict[tuple[str, bool], list[tuple[str, str]]] = {}
    for param, value, override, call in list(found["settings"]):
        for kind in calls_of_setting(param, call):
            merged.setdefault((kind, override), []).append((param, value))
    secrets = tuple(secret for secret in found["secrets"].split(":") if secret)
    return Tenant(
        id=TenantId(found["id"]),
        name=found["name"],
        secrets=secrets,
        default_create=tuple(merged.get(("create", False), ())),
        override_create=tuple(merged.get(("create", True), ())),
        default_join=tuple(merged.get(("join", False), ())),
        override_join=tuple(merged.get(("join", True), ())),
        lrs=lrs_of(dict(found["lrs"])),
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

"""Turn the model into what the Lua scripts take as JSON. No I/O.

Truth: the heads of place_meeting.lua, observe_server.lua and save_server.lua.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from appliance.callbacks.ended_rules import TELL_AFTER_LOSS_MS
from appliance.model import (
    Observation,
    PlacementRequest,
    PlacementRules,
    ServerChange,
    ServerId,
)
from appliance.tenants.scoped_id import scoped_id

# Made once: json.dumps makes an encoder for each call that wants something of it.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def placement_arguments(request: PlacementRequest, rules: PlacementRules) -> str:
    """Return the argument of place_meeting.lua. What is not given is absent, not null."""
    arguments: dict[str, Any] = {
        "id": request.meeting_id,
        "scoped_id": scoped_id(request.meeting_id, request.tenant_id)
        if request.tenant_id
        else None,
        "tenant_id": request.tenant_id or "",
        "moderator_pw": request.moderator_pw,
        "new_moderator_pw": request.new_moderator_pw,
        "voice_bridges": request.voice_bridges,
        "now_ms": request.now_ms,
        "tie_breaker": request.tie_breaker,
        "creating_until_ms": request.now_ms + rules.creating_ms,
        "ttl_s": rules.ttl_s,
        "min_user_count": rules.min_user_count,
        "forecast": rules.forecast,
        "size_cap": rules.size_cap,
        "excluded": dict.fromkeys(request.excluded, True),
        "tags": None if request.tag is None else request.tag.tags,
        "tag_required": request.tag is not None and request.tag.required,
        "size_hint": request.size_hint,
        "max_participants": request.max_participants,
    }
    if request.replaces is not None:
        arguments["replaces"] = {
            "server_id": request.replaces.server_id,
            "placement": request.replaces.placement,
            "even_if_confirmed": request.replaces.even_if_confirmed,
            "may_exist": request.replaces.may_exist,
        }
    return _to_json(arguments)


def observation_arguments(
    seen: Observation, rules: PlacementRules, *, healthy_threshold: int
) -> str:
    """Return the argument of observe_server.lua."""
    listed = [
        {"id": m.id, "contribution": m.contribution, "participants": m.participants}
        for m in seen.listed
    ]
    return _to_json(
        {
            "server_id": seen.server_id,
            "began_ms": seen.began_ms,
            "now_ms": seen.now_ms,
            "joins_before": seen.joins_before,
            "load": seen.load,
            "meetings": seen.meetings,
            "users": seen.users,
            "largest_meeting": seen.largest_meeting,
            "videos": seen.videos,
            "listed": listed,
            "bbb_version": seen.bbb_version,
            "healthy_threshold": healthy_threshold,
            "ttl_s": rules.ttl_s,
            "join_buffer_ms": rules.join_buffer_ms,
            "tell_after_ms": TELL_AFTER_LOSS_MS,
        }
    )


def change_arguments(
    server_id: ServerId, change: ServerChange, *, new: bool, fields: Mapping[str, str]
) -> str:
    """Return the argument of save_server.lua; `fields` are set beside what the change names."""
    given = {
        "url": change.url,
        "secret": change.secret,
        "load_multiplier": change.load_multiplier,
        "tag": change.tag or None,
    }
    limits = {"max_meetings": change.max_meetings, "max_users": change.max_users}
    return _to_json(
        {
            "id": server_id,
            "new": new,
            "fields": {**fields, **{k: str(v) for k, v in given.items() if v is not None}},
            "removed": ["tag"] if change.tag == "" else [],
            "limits": {name: str(value) for name, value in limits.items() if value},
            "removed_limits": [name for name, value in limits.items() if value == 0],
            "state": change.state,
        }
    )


def _to_json(arguments: Mapping[str, Any]) -> str:
    """Write JSON for cjson, which reads null as something true: None is left out.

    Not escaped: others' records may hold bytes that are no UTF-8 (lone surrogates here), for
    which cjson knows no escape.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    return _encode(given)

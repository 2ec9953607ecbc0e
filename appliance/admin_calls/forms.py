"""The JSON of the admin API: our values as documents, a request's body as values.

Pure. Names and types of the fields that Scalelite has are Scalelite's (its docs/api-README.md);
further fields are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.meetings.administration import ServerMeetings, ShownMeeting
from appliance.model import Meeting, Server, ServerChange
from appliance.servers.ending import EndedMeeting
from appliance.servers.polling import PollResult
from appliance.servers.status import PoolStatus
from appliance.servers.values import NewServer, host_labels, host_of

Json = dict[str, Any]

UNAVAILABLE = "unavailable"
_TRUE = re.compile(r"true|1|yes|on", re.IGNORECASE).fullmatch
_FALSE = re.compile(r"false|0|no|off|", re.IGNORECASE).fullmatch
_LONE = re.compile("[\ud800-\udfff]").search
"""JSON can spell it, but it is no text that could be stored."""


class BadRequest(Exception):
    """The request cannot be understood; `str()` says why."""


# --- documents -----------------------------------------------------------------------------------


def server_json(server: Server) -> Json:
    """Render a server as getServers does: Scalelite's fields first, with its types."""
    return {
        "id": server.id,
        "url": server.url,
        "secret": server.secret,
        "tag": server.tag or "",
        "bbb_version": server.bbb_version or "",
        "state": server.state.value,
        "load": UNAVAILABLE if server.load is None else server.load,
        "load_multiplier": _multiplier(server),
        "online": _online(server.online),
        "max_meetings": server.max_meetings,
        "max_users": server.max_users,
    }


def status_json(status: PoolStatus) -> Json:
    """Render the state of the pool; it holds no secret."""
    labels = host_labels([server.url for server in status.servers])
    rows = zip(status.servers, labels, strict=True)
    return {
        "servers": [{**server_status_json(server), "hostname": label} for server, label in rows],
        "meetings": status.meetings,
        "users": status.users,
        "available": status.available,
    }


def server_status_json(server: Server) -> Json:
    """Render a row of the status table."""
    return {
        "hostname": host_of(server.url),
        "id": server.id,
        "url": server.url,
        "state": server.state.value,
        "status": _status(server),
        "meetings": server.meetings,
        "users": server.users,
        "largest_meeting": server.largest_meeting,
        "videos": server.videos,
        "load": UNAVAILABLE if server.load is None else server.load,
        "bbb_version": server.bbb_version or "",
        "tag": server.tag or "",
        "load_multiplier": _multiplier(server),
        "online": _online(server.online),
        "max_meetings": server.max_meetings,
        "max_users": server.max_users,
    }


def _multiplier(server: Server) -> str:
    return str(float(server.load_multiplier))


def _online(online: bool) -> str:
    return "online" if online else "offline"


def _status(server: Server) -> str:
    if server.unstable:
        return "unstable"
    return _online(server.online)


def polls_json(results: Sequence[PollResult]) -> list[Json]:
    """Render what polls came to."""
    labels = host_labels([result.server.url for result in results])
    rows = zip(results, labels, strict=True)
    return [{**poll_json(result), "hostname": label} for result, label in rows]


def poll_json(result: PollResult) -> Json:
    """Render what one poll came to."""
    return {
        "id": result.server.id,
        "hostname": host_of(result.server.url),
        "state": result.server.state.value,
        "succeeded": result.succeeded,
        "reason": result.reason,
        "online": _online(result.online),
        "meetings": result.meetings,
        "users": result.users,
        "load": UNAVAILABLE if result.load is None else result.load,
        "bbb_version": result.bbb_version or "",
    }


def meeting_json(meeting: Meeting) -> Json:
    """Render a meeting's record, without its password."""
    return {
        "id": meeting.id,
        "server_id": meeting.server_id,
        "server_url": meeting.server.url if meeting.server else "",
        "tenant_id": meeting.tenant_id or "",
        "voice_bridge": meeting.voice_bridge,
        "reachable": meeting.reachable,
    }


def shown_meeting_json(shown: ShownMeeting) -> Json:
    """Render a meeting with what its server says about it."""
    info = shown.info
    return {
        **meeting_json(shown.meeting),
        "name": info.name,
        "internal_id": info.internal_id,
        "created": info.created,
        "recording": info.recording,
        "running": info.running,
        "participants": info.participants,
        "moderators": info.moderators,
        "videos": info.videos,
        "metadata": dict(info.metadata),
    }


def server_meetings_json(one: ServerMeetings) -> Json:
    """Render what one server says that runs on it."""
    return {
        "id": one.server.id,
        "url": one.server.url,
        "failure": one.failure,
        "meetings": [
            {
                "id": meeting.id,
                "participants": meeting.participants,
                "moderators": meeting.moderators,
                "videos": meeting.videos,
                "breakout": meeting.is_breakout,
            }
            for meeting in one.meetings
        ],
    }


def ended_json(meetings: Sequence[EndedMeeting]) -> list[Json]:
    """Render what became of meetings that were to be ended."""
    return [
        {
            "id": one.id,
            "server_id": one.server_id,
            "outcome": one.outcome.value,
            "reason": one.reason,
        }
        for one in meetings
    ]


# --- bodies --------------------------------------------------------------------------------------


def parse_body(body: bytes) -> Json:
    """Parse a body: a JSON object, or nothing. Raises BadRequest."""
    if not body.strip():
        return {}
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body must be a JSON object")
    if b"\\u" in body and _LONE(json.dumps(document, ensure_ascii=False)):
        raise BadRequest("the body must not hold half a surrogate pair")
    return document


def merge_fields(body: Json, query: Iterable[tuple[str, str]]) -> Json:
    """Return the fields of a request; of several parameters with one name the first counts.

    The query wins, as with Rails: it is what a checksum covers, so nobody can make a signed
    address mean another server by the body.
    """
    merged = dict(body)
    merged.update(reversed(list(query)))
    return merged


def server_fields(body: Json) -> Json:
    """Return the fields of a server: under `server`, or at the top as Rails accepts them too."""
    nested = body.get("server")
    if nested is None:
        return body
    if not isinstance(nested, dict):
        raise BadRequest("server must be a JSON object")
    return nested


def parse_new_server(fields: Json) -> NewServer:
    """Read what addServer is given. Raises BadRequest."""
    url, secret = text(fields, "url"), text(fields, "secret")
    if not url or not secret:
        raise BadRequest("Server needs a URL and a secret")
    return NewServer(
        url=url,
        secret=secret,
        id=text(fields, "id") or None,
        # Scalelite takes 0 for "not given" here, and only here.
        load_multiplier=_number(fields, "load_multiplier") or 1.0,
        tag=text(fields, "tag") or "",
        max_meetings=_whole(fields, "max_meetings") or 0,
        max_users=_whole(fields, "max_users") or 0,
    )


def parse_change(fields: Json) -> ServerChange:
    """Read what updateServer is given; empty means unchanged, but for the tag.

    Raises BadRequest.
    """
    return ServerChange(
        secret=text(fields, "secret") or None,
        load_multiplier=_number(fields, "load_multiplier"),
        tag=text(fields, "tag"),
        max_meetings=_whole(fields, "max_meetings"),
        max_users=_whole(fields, "max_users"),
    )


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a text field; None if it is missing or null. Raises BadRequest: it is no text."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadRequest(f"{name} must be a text")


def texts(fields: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of texts, empty if it is missing. Raises BadRequest."""
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return value
    raise BadRequest(f"{name} must be a list of texts")


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, given as such or as a word; false if it is missing. Raises BadRequest."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and (_TRUE(value) or _FALSE(value)):
        return _TRUE(value) is not None
    raise BadRequest(f"{name} must be true or false")


def limit(fields: Mapping[str, Any], default: int, most: int) -> int:
    """Return how many rows are asked for. Raises BadRequest."""
    given = fields.get("limit")
    if given in (None, ""):
        return default
    word = str(given)
    number = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else 0
    if not 1 <= number <= most:
        raise BadRequest(f"limit must be from 1 to {most}")
    return number


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise BadRequest(f"{name} must be a number")


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    value = _number(fields, name)
    if value is None:
        return None
    if not value.is_integer():
        raise BadRequest(f"{name} must be a whole number")
    return int(value)

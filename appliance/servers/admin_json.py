"""The JSON of the admin calls about servers: values as documents, and fields as values.

Pure. Fields that Scalelite has keep its names and types (Scalelite's docs/api-README.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.admin_calls.forms import BadRequest, Json, number, text, whole
from appliance.bbb.endpoint import host_labels, host_of
from appliance.model import Server, ServerChange
from appliance.pool.ending import EndResult
from appliance.servers.administration import PoolStatus
from appliance.servers.polling import PollResult
from appliance.servers.values import NewServer

UNAVAILABLE = "unavailable"


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
        load_multiplier=number(fields, "load_multiplier") or 1.0,
        tag=text(fields, "tag") or "",
        max_meetings=whole(fields, "max_meetings") or 0,
        max_users=whole(fields, "max_users") or 0,
    )


def parse_change(fields: Json) -> ServerChange:
    """Read what updateServer is given; empty means unchanged, but for the tag.

    Raises BadRequest.
    """
    return ServerChange(
        secret=text(fields, "secret") or None,
        load_multiplier=number(fields, "load_multiplier"),
        tag=text(fields, "tag"),
        max_meetings=whole(fields, "max_meetings"),
        max_users=whole(fields, "max_users"),
    )


def ended_json(meetings: Sequence[EndResult]) -> list[Json]:
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

"""The values of servers that the audit trail shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.admin_calls.call import Audited, Call, Snapshot
from appliance.admin_calls.fields import nested
from appliance.bbb.endpoint import host_of
from appliance.model import Server, ServerId
from appliance.servers.deps import ServerDeps
from appliance.system.threads import run_counted


def server_snapshot(server: Server, **more: Any) -> Snapshot:
    """Return what operators can change of a server."""
    host = host_of(server.url)
    return Snapshot(
        f"server {server.id}" if host == server.id else f"server {server.id} ({host})",
        {
            "url": server.url,
            "secret": server.secret,
            "state": server.state.value,
            "load_multiplier": server.load_multiplier,
            "tag": server.tag or "",
            "max_meetings": server.max_meetings,
            "max_users": server.max_users,
            "dial_in": server.dial_in or "",
            "dial_in_port": server.dial_in_port,
            **more,
        },
    )


async def _read_one(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    """Read the server that a call names or has added; afterwards also what it ended."""
    fields = call.fields
    server_id = fields.get("id") or nested(fields, "server").get("id")
    if answer is not None and hasattr(answer, "id"):
        server_id = answer.id
    if not isinstance(server_id, str) or not server_id:
        return {}
    server = await deps.pool.records.find_server(ServerId(server_id))
    if server is None:
        return {}
    ended = getattr(answer, "ended", None) or getattr(answer, "meetings", None)
    more = {"ended_meetings": len(ended)} if ended and isinstance(ended, list) else {}
    return {server_id: server_snapshot(server, **more)}


async def _read_all(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    servers = await deps.pool.records.list_servers()
    return await run_counted(
        len(servers), lambda: {server.id: server_snapshot(server) for server in servers}
    )


async def _read_emptied(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    return {"pool": Snapshot("pool", {"accepted_empty": answer is not None})}


ONE_SERVER: Audited[ServerDeps] = Audited(_read_one)
ALL_SERVERS: Audited[ServerDeps] = Audited(_read_all, unchanged=False)
EMPTY_POOL: Audited[ServerDeps] = Audited(_read_emptied)

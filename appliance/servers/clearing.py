"""Disable and panic: take a server out of service and end its meetings.

The records are deleted first, in one atomic step, so that the meetings can be created on other
servers immediately; then the meetings are ended on the server. If that fails for one, it is ended
when the server is polled again.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.model import Server, ServerId, ServerState
from appliance.pool.ending import EndOutcome, EndRequest, EndResult, end_on_server
from appliance.servers.administration import find_server, set_server_state
from appliance.servers.deps import ServerDeps


@dataclass(frozen=True, slots=True)
class ClearedServer:
    """A server without meetings, and the results of ending those it had."""

    server: Server
    meetings: tuple[EndResult, ...]


async def disable_server(
    deps: ServerDeps, actor: str, server_id: str, *, confirmed: bool
) -> ClearedServer:
    """Disable a server and end its meetings.

    Raises Refused: it does not exist, or it has load or meetings and `confirmed` is not set.
    """
    server = await find_server(deps, server_id)
    if not confirmed:
        await _refuse_if_in_use(deps, server)
    await set_server_state(deps, actor, server_id, ServerState.DISABLED)
    return await clear_server(deps, actor, server, end=True)


async def _refuse_if_in_use(deps: ServerDeps, server: Server) -> None:
    records = sum(one.server_id == server.id for one in await deps.pool.records.list_meetings())
    meetings = max(records, server.meetings)
    if not meetings and not server.load:
        return
    load = "unavailable" if server.load is None else f"{server.load:g}"
    raise Refused(
        RefusalKind.CONFIRMATION_NEEDED,
        f"server {server.id} is in use (meetings: {meetings}, users: {server.users}, load: {load});"
        " disabling it ends its meetings, cordon or drain it to let them finish",
    )


async def panic_server(
    deps: ServerDeps,
    actor: str,
    server_id: str,
    *,
    keep_state: bool = False,
    skip_end_calls: bool = False,
) -> ClearedServer:
    """Delete the records of a server's meetings, end them, and disable it unless `keep_state`.

    A server that does not answer is not an error. Raises Refused: the server does not exist.
    """
    server = await find_server(deps, server_id)
    if not keep_state:
        await set_server_state(deps, actor, server_id, ServerState.DISABLED)
    return await clear_server(deps, actor, server, end=not skip_end_calls)


async def clear_server(deps: ServerDeps, actor: str, server: Server, *, end: bool) -> ClearedServer:
    """Delete the records of a server's meetings, and end them unless `end` is false.

    Raises Refused: the server does not exist.
    """
    held = await deps.store.clear_server(server.id, now_ms=deps.now_ms(), to_be_ended=end)
    if held is None:
        raise no_server(server.id)
    if end:
        ended = await end_on_server(
            deps.pool,
            server.target,
            [EndRequest(meeting_id, password) for meeting_id, password in held],
            placed=False,
        )
    else:
        ended = tuple(
            EndResult(meeting_id, server.id, EndOutcome.SKIPPED) for meeting_id, _ in held
        )
    _log_cleared(deps, actor, server.id, ended)
    return ClearedServer(await find_server(deps, server.id), ended)


def _log_cleared(
    deps: ServerDeps, actor: str, server_id: ServerId, ended: tuple[EndResult, ...]
) -> None:
    failed = [one for one in ended if one.outcome is EndOutcome.FAILED]
    deps.log.info("server_cleared", server=server_id, meetings=len(ended), by=actor)
    if failed:
        deps.log.warning(
            "meetings_not_ended",
            server=server_id,
            meetings=[one.id for one in failed],
            reason=failed[0].reason,
        )

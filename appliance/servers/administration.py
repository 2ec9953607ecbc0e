"""The servers of the pool as the operator manages them: add, change, enable, cordon, remove.

Every change is logged with who made it. Values are checked by core.server_values; what is atomic
is the store's. Disabling and panicking, which end meetings, are in server_clearing.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from appliance.admin_calls.forms import natural_key
from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.bbb.endpoint import UnacceptableValue, host_of
from appliance.callbacks.hook_sync import leave_server
from appliance.model import Server, ServerChange, ServerId, ServerState
from appliance.servers.deps import ServerDeps
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.sync_plan import named_values
from appliance.servers.values import NewServer, check_change, check_id

FIRST_POLL_S = 5.0
"""How long enabling waits for the first poll before it says that it goes on."""


@dataclass(frozen=True, slots=True)
class EnabledServer:
    """A server after it was enabled, and its first poll."""

    server: Server
    poll: PollResult | None
    """None: no answer within FIRST_POLL_S; the poller goes on."""


async def list_servers(deps: ServerDeps) -> tuple[Server, ...]:
    """Return all servers as people sort them: by host name, bbb2 before bbb10."""
    servers = await deps.pool.records.list_servers()
    return tuple(sorted(servers, key=lambda one: (natural_key(host_of(one.url)), one.id)))


async def find_server(deps: ServerDeps, server_id: str) -> Server:
    """Return one server. Raises Refused: there is no such."""
    server = await deps.pool.records.find_server(ServerId(server_id))
    if server is None:
        raise no_server(server_id)
    return server


async def add_server(
    deps: ServerDeps,
    who: str,
    new: NewServer,
    *,
    new_id: Callable[[], object] = uuid.uuid4,
) -> Server:
    """Add a server, disabled and offline. Raises Refused: a value is bad, or the id is taken."""
    try:
        change = check_change(new.change)
        server_id = _choose_id(deps, new, new_id)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if not await deps.store.add_server(server_id, change):
        raise Refused(RefusalKind.INVALID, f"a server with id {server_id} exists already")
    deps.log.info("server_added", server=server_id, url=new.url, by=who)
    return await find_server(deps, server_id)


def _choose_id(deps: ServerDeps, new: NewServer, new_id: Callable[[], object]) -> ServerId:
    if new.id is not None:
        return check_id(new.id)
    if deps.settings.servers.id_is_hostname:
        return check_id(host_of(new.url))
    return check_id(str(new_id()))


async def update_server(deps: ServerDeps, who: str, server_id: str, change: ServerChange) -> Server:
    """Change what `change` names. Raises Refused: a value is bad, or there is no such server."""
    try:
        checked = check_change(change)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if not await deps.store.update_server(ServerId(server_id), checked):
        raise no_server(server_id)
    deps.log.info("server_changed", server=server_id, **logged_change(checked), by=who)
    return await find_server(deps, server_id)


def logged_change(change: ServerChange) -> dict[str, object]:
    """Return what a log line says of a change: what is set, and to what unless it is a secret."""
    values = named_values(change)
    told = {name: value for name, value in values.items() if name != "secret"}
    if change.state is not None:
        told["state"] = change.state.value
    return {"changed": list(values), **told}


async def enable_server(deps: ServerDeps, who: str, server_id: str) -> EnabledServer:
    """Enable a server and poll it at once. Raises Refused: there is no such."""
    server = await set_server_state(deps, who, server_id, ServerState.ENABLED)
    poll = None
    with trio.move_on_after(FIRST_POLL_S):
        poll = await poll_server(deps, server, read_version=True)
    return EnabledServer(await find_server(deps, server_id), poll)


async def cordon_server(deps: ServerDeps, who: str, server_id: str) -> Server:
    """Let a server take no new meetings; the poller disables it when it is empty."""
    return await set_server_state(deps, who, server_id, ServerState.CORDONED)


async def set_server_state(
    deps: ServerDeps, who: str, server_id: str, state: ServerState
) -> Server:
    """Set a server's state and return the server. Raises Refused: there is no such."""
    before = await deps.store.set_server_state(ServerId(server_id), state)
    if before is None:
        raise no_server(server_id)
    deps.log.info(
        "server_state_set", server=server_id, state=state.value, before=before.value, by=who
    )
    return replace(await find_server(deps, server_id), state=state)


async def remove_server(deps: ServerDeps, who: str, server_id: str, *, force: bool) -> None:
    """Remove a server; with `force` its meetings are forgotten, though they run on.

    Raises Refused: there is no such, or it has meetings (fault 5 of Scalelite: their ids would be
    stuck for a day).
    """
    removed = await deps.pool.records.find_server(ServerId(server_id))
    hooks = (await deps.callbacks.hooks.read(ServerId(server_id))).registered
    held = await deps.store.remove_server(ServerId(server_id), force=force)
    if held == -1:
        raise no_server(server_id)
    if held is not None:
        meetings = "1 meeting" if held == 1 else f"{held} meetings"
        raise Refused(
            RefusalKind.INVALID,
            f"server {server_id} has {meetings}; drain or panic it first, or use force",
        )
    deps.log.info("server_removed", server=server_id, forced=force, by=who)
    if removed is not None and hooks:
        # It may live on elsewhere, and must not tell our front-ends of it.
        deps.later(leave_server, deps.callbacks, removed.target, hooks)

"""The servers of the pool as the operator manages them: add, change, enable, cordon, remove.

Every change is logged with who made it. Values are checked by core.server_values; what is atomic
is the store's. Disabling and panicking, which end meetings, are in server_clearing.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.callbacks.hook_sync import leave_server
from appliance.model import Server, ServerChange, ServerId, ServerState
from appliance.resources import Resources
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.sync_plan import named_values
from appliance.servers.values import (
    NewServer,
    UnacceptableValue,
    check_change,
    check_id,
    host_of,
    natural_key,
)

FIRST_POLL_S = 5.0
"""How long enabling waits for the first poll before it says that it goes on."""


@dataclass(frozen=True, slots=True)
class EnabledServer:
    """A server after it was enabled, and its first poll."""

    server: Server
    poll: PollResult | None
    """None: no answer within FIRST_POLL_S; the poller goes on."""


async def list_servers(res: Resources) -> tuple[Server, ...]:
    """Return all servers as people sort them: by host name, bbb2 before bbb10."""
    servers = await res.store.list_servers()
    return tuple(sorted(servers, key=lambda one: (natural_key(host_of(one.url)), one.id)))


async def find_server(res: Resources, server_id: str) -> Server:
    """Return one server. Raises Refused: there is no such."""
    server = await res.store.find_server(ServerId(server_id))
    if server is None:
        raise no_server(server_id)
    return server


async def add_server(
    res: Resources,
    who: str,
    new: NewServer,
    *,
    new_id: Callable[[], object] = uuid.uuid4,
) -> Server:
    """Add a server, disabled and offline. Raises Refused: a value is bad, or the id is taken."""
    try:
        change = check_change(new.change)
        server_id = _choose_id(res, new, new_id)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if not await res.store.add_server(server_id, change):
        raise Refused(RefusalKind.INVALID, f"a server with id {server_id} exists already")
    res.log.info("server_added", server=server_id, url=new.url, by=who)
    return await find_server(res, server_id)


def _choose_id(res: Resources, new: NewServer, new_id: Callable[[], object]) -> ServerId:
    if new.id is not None:
        return check_id(new.id)
    if res.settings.servers.id_is_hostname:
        return check_id(host_of(new.url))
    return check_id(str(new_id()))


async def update_server(res: Resources, who: str, server_id: str, change: ServerChange) -> Server:
    """Change what `change` names. Raises Refused: a value is bad, or there is no such server."""
    try:
        checked = check_change(change)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if not await res.store.update_server(ServerId(server_id), checked):
        raise no_server(server_id)
    res.log.info("server_changed", server=server_id, **logged_change(checked), by=who)
    return await find_server(res, server_id)


def logged_change(change: ServerChange) -> dict[str, object]:
    """Return what a log line says of a change: what is set, and to what unless it is a secret."""
    values = named_values(change)
    told = {name: value for name, value in values.items() if name != "secret"}
    if change.state is not None:
        told["state"] = change.state.value
    return {"changed": list(values), **told}


async def enable_server(res: Resources, who: str, server_id: str) -> EnabledServer:
    """Enable a server and poll it at once. Raises Refused: there is no such."""
    server = await set_server_state(res, who, server_id, ServerState.ENABLED)
    poll = None
    with trio.move_on_after(FIRST_POLL_S):
        poll = await poll_server(res, server, read_version=True)
    return EnabledServer(await find_server(res, server_id), poll)


async def cordon_server(res: Resources, who: str, server_id: str) -> Server:
    """Let a server take no new meetings; the poller disables it when it is empty."""
    return await set_server_state(res, who, server_id, ServerState.CORDONED)


async def set_server_state(res: Resources, who: str, server_id: str, state: ServerState) -> Server:
    """Set a server's state and return the server. Raises Refused: there is no such."""
    before = await res.store.set_server_state(ServerId(server_id), state)
    if before is None:
        raise no_server(server_id)
    res.log.info(
        "server_state_set", server=server_id, state=state.value, before=before.value, by=who
    )
    return replace(await find_server(res, server_id), state=state)


async def remove_server(res: Resources, who: str, server_id: str, *, force: bool) -> None:
    """Remove a server; with `force` its meetings are forgotten, though they run on.

    Raises Refused: there is no such, or it has meetings (fault 5 of Scalelite: their ids would be
    stuck for a day).
    """
    removed = await res.store.find_server(ServerId(server_id))
    hooks = (await res.hooks.read(ServerId(server_id))).registered
    held = await res.store.remove_server(ServerId(server_id), force=force)
    if held == -1:
        raise no_server(server_id)
    if held is not None:
        meetings = "1 meeting" if held == 1 else f"{held} meetings"
        raise Refused(
            RefusalKind.INVALID,
            f"server {server_id} has {meetings}; drain or panic it first, or use force",
        )
    res.log.info("server_removed", server=server_id, forced=force, by=who)
    if removed is not None and hooks:
        # It may live on elsewhere, and must not tell our front-ends of it.
        res.later(leave_server, res, removed.target, hooks)

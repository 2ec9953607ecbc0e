"""The operator's commands for servers: list, add, change, enable, cordon, remove.

Every change is logged with the actor who made it. values.py checks the values. Disabling and
panicking, which end meetings, are in clearing.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from appliance.admin_calls.fields import natural_key
from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.bbb.endpoint import UnacceptableValue, host_of, url_key
from appliance.callbacks.hook_sync import remove_server_hooks
from appliance.model import Server, ServerId, ServerState
from appliance.pool.retired import RetiredServer
from appliance.servers.deps import ServerDeps
from appliance.servers.model import RemovalResult
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.sync.plan import named_values
from appliance.servers.values import NewServer, ServerChange, check_change, check_id
from appliance.system.threads import run_counted
from appliance.usage.debts import with_debts

FIRST_POLL_DEADLINE_S = 5.0
"""How long enabling waits for the first poll before it answers that the poll is still running."""


@dataclass(frozen=True, slots=True)
class EnabledServer:
    """A server after it was enabled, with the result of its first poll."""

    server: Server
    poll: PollResult | None
    """None: no answer within FIRST_POLL_DEADLINE_S; the poller continues."""


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The servers of the pool, sorted by host name, as of their last polls."""

    servers: tuple[Server, ...]

    @property
    def meetings(self) -> int:
        """Return the number of meetings, including those that the appliance did not place."""
        return sum(server.meetings for server in self.servers)

    @property
    def users(self) -> int:
        """Return the number of users."""
        return sum(server.users for server in self.servers)

    @property
    def available(self) -> int:
        """Return the number of servers that take new meetings."""
        return sum(server.takes_meetings for server in self.servers)


async def read_status(deps: ServerDeps) -> PoolStatus:
    """Return the state of the pool. Raises StoreDown."""
    return PoolStatus(await list_servers(deps))


async def list_servers(deps: ServerDeps) -> tuple[Server, ...]:
    """Return all servers in natural order of their host names: bbb2 before bbb10."""
    servers = await with_debts(deps.usage, await deps.pool.records.list_servers())

    def by_host() -> list[Server]:
        return sorted(servers, key=lambda one: (natural_key(host_of(one.url)), one.id))

    return tuple(await run_counted(len(servers), by_host))


async def find_server(deps: ServerDeps, server_id: str) -> Server:
    """Return one server. Raises Refused: it does not exist."""
    server = await deps.pool.records.find_server(ServerId(server_id))
    if server is None:
        raise no_server(server_id)
    return (await with_debts(deps.usage, [server]))[0]


async def add_server(
    deps: ServerDeps,
    actor: str,
    new: NewServer,
    *,
    new_id: Callable[[], object] = uuid.uuid4,
    registering: bool = False,
    retired: Sequence[ServerId] | None = None,
    url_is_new: bool = False,
) -> Server:
    """Add a server, disabled and offline; one that was retired gets its id again.

    `registering`: polls enable it (registration.py). For callers that add many, and have read the
    pool: `retired`, the ids of retired servers with its URL; `url_is_new`, no server has its URL.

    Raises Refused: a value is invalid, or the id or the URL is in the pool already.
    """
    if retired is None:
        retired = [one.server.id for one in await find_retired(deps, new.url)]
    try:
        change = check_change(new.change)
        server_id = _choose_id(deps, new, new_id, retired)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if not url_is_new:
        await _refuse_known_url(deps, new.url, server_id)
    if not await deps.store.add_server(
        server_id, change, retired, registering=registering, unique_url=True
    ):
        await _refuse_known_url(deps, new.url, server_id)  # if it was added meanwhile
        raise Refused(RefusalKind.INVALID, f"a server with id {server_id} exists already")
    deps.log.info("server_added", server=server_id, url=new.url, by=actor)
    return await find_server(deps, server_id)


async def _refuse_known_url(deps: ServerDeps, url: str, server_id: str) -> None:
    """Refuse the URL of another server: the load of a server that is there twice counts twice."""
    for server in await deps.pool.records.list_servers():
        if server.id != server_id and url_key(server.url) == url_key(url):
            raise Refused(RefusalKind.INVALID, f"server {server.id} has this url already")


async def find_retired(deps: ServerDeps, url: str) -> list[RetiredServer]:
    """Return the servers with this URL that were removed. Raises StoreDown."""
    return await deps.pool.retired.of_url(url, now_ms=deps.now_ms())


def _choose_id(
    deps: ServerDeps,
    new: NewServer,
    new_id: Callable[[], object],
    retired: Sequence[ServerId],
) -> ServerId:
    if new.id is not None:
        return check_id(new.id)
    if retired:
        return retired[0]
    if deps.settings.servers.id_is_hostname:
        return check_id(host_of(new.url))
    return check_id(str(new_id()))


async def update_server(
    deps: ServerDeps, actor: str, server_id: str, change: ServerChange
) -> Server:
    """Apply `change`.

    Raises Refused: a value is invalid, the server does not exist, or another one has the URL.
    """
    try:
        checked = check_change(change)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if checked.url is not None:
        await _refuse_known_url(deps, checked.url, server_id)
    if not await deps.store.update_server(ServerId(server_id), checked, unique_url=True):
        if checked.url is not None:
            await _refuse_known_url(deps, checked.url, server_id)  # if it was given to it meanwhile
        raise no_server(server_id)
    deps.log.info("server_changed", server=server_id, **logged_change(checked), by=actor)
    return await find_server(deps, server_id)


def logged_change(change: ServerChange) -> dict[str, object]:
    """Return the log fields of a change: the names that are set, and all values but the secret."""
    values = named_values(change)
    shown = {name: value for name, value in values.items() if name != "secret"}
    if change.state is not None:
        shown["state"] = change.state.value
    return {"changed": list(values), **shown}


async def enable_server(deps: ServerDeps, actor: str, server_id: str) -> EnabledServer:
    """Enable a server and poll it immediately. Raises Refused: it does not exist."""
    server = await set_server_state(deps, actor, server_id, ServerState.ENABLED)
    poll = None
    with trio.move_on_after(FIRST_POLL_DEADLINE_S):
        poll = await poll_server(deps, server, read_version=True)
    return EnabledServer(await find_server(deps, server_id), poll)


async def cordon_server(deps: ServerDeps, actor: str, server_id: str) -> Server:
    """Stop placing meetings on a server; the poller disables it once it is empty."""
    return await set_server_state(deps, actor, server_id, ServerState.CORDONED)


async def set_server_state(
    deps: ServerDeps, actor: str, server_id: str, state: ServerState
) -> Server:
    """Set a server's state and return the server. Raises Refused: it does not exist."""
    before = await deps.store.set_server_state(ServerId(server_id), state)
    if before is None:
        raise no_server(server_id)
    deps.log.info(
        "server_state_set", server=server_id, state=state.value, before=before.value, by=actor
    )
    return replace(await find_server(deps, server_id), state=state)


async def remove_server(
    deps: ServerDeps, actor: str, server_id: str, *, force: bool, only_disabled: bool = False
) -> None:
    """Remove a server; with `force` also the records of its meetings, although they continue.

    Raises Refused: it does not exist, or has meetings or owes recordings and `force` is not set, or
    is not disabled although `only_disabled` is set.
    """
    removed = await deps.pool.records.find_server(ServerId(server_id))
    hooks = (await deps.callbacks.hooks.read(ServerId(server_id))).registered
    result = await deps.store.remove_server(
        ServerId(server_id),
        force=force,
        now_ms=deps.now_ms(),
        only_disabled=only_disabled,
        may_owe=deps.usage is not None,
    )
    if not result.known:
        raise no_server(server_id)
    if not result.done:
        reason = _why_kept(server_id, result) + ("" if only_disabled else ", or use force")
        raise Refused(RefusalKind.INVALID, reason)
    deps.log.info("server_removed", server=server_id, forced=force, by=actor)
    if removed is not None and hooks:
        # The server may be used elsewhere, and must not send events to these front-ends any more.
        deps.later(remove_server_hooks, deps.callbacks, removed.target, hooks)


def _why_kept(server_id: str, result: RemovalResult) -> str:
    if result.in_service:
        return f"server {server_id} is not disabled; cordon it, and wait until it is empty"
    advice = "drain or panic it first"
    if not result.meetings:
        advice = "wait for " + ("it" if result.owed == 1 else "them")
    return f"server {server_id} has {result.reason}; {advice}"


async def accept_empty(deps: ServerDeps, actor: str) -> None:
    """Accept that the pool is empty, so that it is not reported as lost any more.

    Raises Refused: it has servers.
    """
    if servers := await deps.pool.records.list_servers():
        counted = "1 server" if len(servers) == 1 else f"{len(servers)} servers"
        raise Refused(RefusalKind.INVALID, f"the pool is not empty, it has {counted}")
    await deps.store.accept_empty()
    await deps.remembered.observe(0, accepted=True)
    deps.log.info("empty_pool_accepted", by=actor)

"""Poll a server: one getMeetings call yields its load, its counts and its meetings.

poll_recording.py records what a poll has found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from appliance.bbb.meeting_list import HashedList
from appliance.callbacks.hook_sync import sync_server_hooks
from appliance.faults import BbbError, StoreDown
from appliance.instruments import LastPoll
from appliance.model import Server, ServerState
from appliance.servers.deps import ServerDeps
from appliance.servers.load import counts
from appliance.servers.model import ObservationResult, PollMemory, PollStart
from appliance.servers.poll_recording import record_failure, record_list, record_unchanged
from appliance.system.tasks import for_each


@dataclass(frozen=True, slots=True)
class PollResult:
    """Result of one poll of one server."""

    server: Server
    succeeded: bool
    reason: str = ""
    """Why it failed; safe to show."""
    own_limit: bool = False
    """It failed for lack of descriptors or memory of this process, and was not recorded."""
    online: bool = False
    unhealthy_count: int = 0
    meetings: int = 0
    users: int = 0
    load: float | None = None
    bbb_version: str | None = None
    registering: bool = False
    """It has registered itself, and has to be polled again soon."""


async def poll_server(
    deps: ServerDeps,
    server: Server,
    *,
    read_version: bool,
    start: PollStart | None = None,
    memory: PollMemory | None = None,
) -> PollResult:
    """Poll one server and record the result; a disabled server is only asked for its version.

    `start`: its state in the store, if that was just read. `memory`: that of its polls, so that a
    list which has not changed costs little.
    Takes at most POLLER_WAIT_TIMEOUT each for the poll, reading the version and following up.
    Raises StoreDown.
    """
    began_s = trio.current_time()
    memory = memory or PollMemory()
    result = await _poll(deps, server, memory, read_version=read_version, start=start)
    took_s = trio.current_time() - began_s
    deps.metrics.last_polls[server.id] = LastPoll(deps.now_ms(), took_s, result.reason)
    return result


async def _poll(
    deps: ServerDeps,
    server: Server,
    memory: PollMemory,
    *,
    read_version: bool,
    start: PollStart | None = None,
) -> PollResult:
    start = start or await deps.store.begin_poll(server.id)
    if start is None:
        return PollResult(server, succeeded=False, reason="not in the pool any more")
    if start.registering:
        return await _poll_registering(deps, server)
    if start.state is ServerState.DISABLED:
        return await _poll_disabled(deps, server)
    began_ms = deps.now_ms()
    found = await _list_meetings(deps, server, memory.found)
    if isinstance(found, _Failure):
        if found.own_limit:
            return _report_own_limit(deps, server, found.reason)
        return await _fail(deps, server, found.reason)
    listed = found.meetings.listed
    if found is memory.found and memory.is_valid(start.mark, trio.current_time()):
        result = await record_unchanged(deps, server, start, memory, listed)
    else:
        memory.found, memory.mark = found, ""
        result = await record_list(deps, server, start, began_ms, listed, memory)
    # A server that comes back may have been upgraded.
    is_due = read_version or result.came_online
    version = await check_version(deps, server) if is_due else None
    if start.has_hooks:
        await _sync_hooks(deps, server, result, verify=read_version)
    return PollResult(
        server,
        succeeded=True,
        online=result.online,
        meetings=len(listed),
        users=counts(listed).users,
        load=result.load,
        bbb_version=(version and version.bbb_version) or server.bbb_version,
    )


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a server has not listed its meetings."""

    reason: str
    own_limit: bool = False


async def _list_meetings(
    deps: ServerDeps, server: Server, before: HashedList | None = None
) -> HashedList | _Failure:
    try:
        with trio.fail_after(deps.settings.polling.deadline_s):
            found = await deps.pool.bbb.poll_meetings(server.target, before)
    except BbbError as error:
        return _Failure(error.reason, error.own_limit)
    except trio.TooSlowError:
        return _Failure("no answer within POLLER_WAIT_TIMEOUT")
    return found if found.meetings.succeeded else _Failure("the server answered FAILED")


async def _sync_hooks(
    deps: ServerDeps, server: Server, result: ObservationResult, *, verify: bool
) -> None:
    """Synchronise the web hooks of a server that was just polled; the next poll continues.

    StoreDown is only logged, since the result of the poll is already recorded.
    """
    if not result.online:
        return
    with trio.move_on_after(deps.settings.polling.deadline_s):
        try:
            await sync_server_hooks(deps.callbacks, server, verify=verify or result.came_online)
        except StoreDown as error:
            deps.faults.note("hooks_not_kept", server.id, reason=str(error))


async def _poll_disabled(deps: ServerDeps, server: Server) -> PollResult:
    """Ask a disabled server for its version, and record whether it is reachable."""
    result = await check_version(deps, server)
    if result.own_limit:
        return result
    if not result.succeeded:
        return await _fail(deps, server, result.reason, disabled=True)
    if server.online and not server.unhealthy_count:
        return result
    threshold = deps.settings.polling.healthy_threshold
    if await deps.store.reach_server(server.id, healthy_threshold=threshold):
        deps.log.info("server_online", server=server.id, state=ServerState.DISABLED.value)
        return replace(result, online=True)
    return result


async def _poll_registering(deps: ServerDeps, server: Server) -> PollResult:
    """Ask a server that has registered itself for its meetings; enough such polls enable it."""
    found = await _list_meetings(deps, server)
    reason = found.reason if isinstance(found, _Failure) else ""
    if isinstance(found, _Failure) and found.own_limit:
        return _report_own_limit(deps, server, reason)
    if await deps.store.count_good_poll(server.id, good=not reason):
        enabled = {"state": ServerState.ENABLED.value, "before": ServerState.DISABLED.value}
        deps.log.info("server_state_set", server=server.id, **enabled, by="self-registration")
        return await _poll(deps, server, PollMemory(), read_version=True)
    return PollResult(server, succeeded=not reason, reason=reason, registering=True)


async def check_version(deps: ServerDeps, server: Server) -> PollResult:
    """Ask a server for its BBB version, which also shows whether it is reachable."""
    try:
        with trio.fail_after(deps.settings.polling.deadline_s):
            version = await deps.pool.bbb.version(server.target)
    except BbbError as error:
        if error.own_limit:
            return _report_own_limit(deps, server, error.reason)
        return PollResult(server, succeeded=False, reason=error.reason)
    except trio.TooSlowError:
        return PollResult(server, succeeded=False, reason="no answer within POLLER_WAIT_TIMEOUT")
    if version is not None and version != server.bbb_version:
        await deps.store.record_version(server.id, version)
    return PollResult(server, succeeded=True, online=server.online, bbb_version=version)


def _report_own_limit(deps: ServerDeps, server: Server, reason: str) -> PollResult:
    """Return the result of a poll that was not possible: it does not count."""
    deps.faults.note("own_limit_reached", "polls", reason=reason)
    return PollResult(server, succeeded=False, reason=reason, online=server.online, own_limit=True)


async def _fail(
    deps: ServerDeps, server: Server, reason: str, *, disabled: bool = False
) -> PollResult:
    result = await record_failure(deps, server, reason, disabled=disabled)
    return PollResult(
        server,
        succeeded=False,
        reason=reason,
        online=server.online and not result.went_offline,
        unhealthy_count=result.unhealthy_count,
    )


async def poll_pool(deps: ServerDeps, *, versions_only: bool = False) -> list[PollResult]:
    """Poll every server now, regardless of leases; return the results, sorted by server id.

    Raises StoreDown.
    """
    results: dict[str, PollResult] = {}
    down: list[StoreDown] = []
    servers = await deps.pool.records.list_servers(in_background=True)

    async def poll(server: Server) -> None:
        try:
            if versions_only:
                results[server.id] = await check_version(deps, server)
            else:
                results[server.id] = await poll_server(deps, server, read_version=True)
        except StoreDown as error:
            down.append(error)  # raised below: the nursery would wrap it in a group
            scope.cancel()

    with trio.CancelScope() as scope:
        await for_each(servers, poll, deps.settings.polling.concurrency)
    if down:
        raise down[0]
    return [results[server.id] for server in servers]

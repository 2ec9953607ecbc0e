"""Poll a server: one getMeetings call yields its load, its counts and its meetings.

observe_server.lua and fail_server.lua decide what a poll changes. This file calls the server, logs,
and follows up: it checks meetings that were not listed and ends those that belong elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import trio

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.bbb.meeting_list import MeetingList
from appliance.callbacks.hook_sync import sync_server_hooks
from appliance.faults import BbbError, StoreDown
from appliance.instruments import LastPoll
from appliance.model import MeetingId, Server, ServerState
from appliance.pool.ending import end_unwanted, forget_if_gone
from appliance.servers.deps import ServerDeps
from appliance.servers.duplicate_meetings import log_double, resolve_double
from appliance.servers.load import counts, make_observation
from appliance.servers.model import (
    FailureResult,
    ObservationResult,
    PollStart,
)
from appliance.servers.store import CHUNK
from appliance.system.tasks import for_each
from appliance.usage.observer import PreparedUsage, confirm_usage, prepare_usage
from appliance.usage.tally import Poll, gap_limit_ms

_FOLLOW_UPS_AT_ONCE = 8


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


async def poll_server(deps: ServerDeps, server: Server, *, read_version: bool) -> PollResult:
    """Poll one server and record the result; a disabled server is only asked for its version.

    Takes at most POLLER_WAIT_TIMEOUT each for the poll, reading the version and following up.
    Raises StoreDown.
    """
    began_s = trio.current_time()
    result = await _poll(deps, server, read_version=read_version)
    took_s = trio.current_time() - began_s
    deps.metrics.last_polls[server.id] = LastPoll(deps.now_ms(), took_s, result.reason)
    return result


async def _poll(deps: ServerDeps, server: Server, *, read_version: bool) -> PollResult:
    start = await deps.store.begin_poll(server.id)
    if start is None:
        return PollResult(server, succeeded=False, reason="not in the pool any more")
    if start.registering:
        return await _poll_registering(deps, server)
    if start.state is ServerState.DISABLED:
        return await _poll_disabled(deps, server)
    began_ms = deps.now_ms()
    found = await _list_meetings(deps, server)
    if isinstance(found, _Failure):
        if found.own_limit:
            return _report_own_limit(deps, server, found.reason)
        return await _record_failure(deps, server, found.reason)
    listed = found.listed
    result = await _record_success(deps, server, start, began_ms, listed)
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


async def _list_meetings(deps: ServerDeps, server: Server) -> MeetingList | _Failure:
    try:
        with trio.fail_after(deps.settings.polling.deadline_s):
            found = await deps.pool.bbb.list_meetings(server.target, keeps_elements=False)
    except BbbError as error:
        return _Failure(error.reason, error.own_limit)
    except trio.TooSlowError:
        return _Failure("no answer within POLLER_WAIT_TIMEOUT")
    return found if found.succeeded else _Failure("the server answered FAILED")


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
        return await _record_failure(deps, server, result.reason, disabled=True)
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
        return await _poll(deps, server, read_version=True)
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


async def _record_success(
    deps: ServerDeps,
    server: Server,
    start: PollStart,
    began_ms: int,
    listed: Sequence[ListedMeeting],
) -> ObservationResult:
    now_ms = deps.now_ms()
    observation = make_observation(
        server.id,
        listed,
        began_ms=began_ms,
        now_ms=now_ms,
        joins_before=start.joins,
        known=await _known_meetings(deps, server, listed),
    )
    usage = await _prepare_usage(deps, server, start, now_ms, listed)
    result = await deps.store.observe_server(
        observation,
        healthy_threshold=deps.settings.polling.healthy_threshold,
        usage=usage.arguments if usage else (),
    )
    if deps.usage is not None and usage is not None and result.known:
        await confirm_usage(deps.usage, usage, saved=result.usage_saved)
    _log_success(deps, server, result)
    await _follow_up(deps, server, result)
    return result


async def _prepare_usage(
    deps: ServerDeps,
    server: Server,
    start: PollStart,
    now_ms: int,
    listed: Sequence[ListedMeeting],
) -> PreparedUsage | None:
    if deps.usage is None:
        return None
    poll = Poll(
        server=server.id,
        tag=server.tag or "",
        at_ms=now_ms,
        listed=listed,
        records=await deps.store.listed_records([meeting.id for meeting in listed]),
        gap_limit_ms=gap_limit_ms(deps.settings.polling.interval_s),
        keep_names=deps.settings.usage.meeting_names,
    )
    return await prepare_usage(deps.usage, poll, start.usage_version)


async def _known_meetings(
    deps: ServerDeps, server: Server, listed: Sequence[ListedMeeting]
) -> frozenset[str] | None:
    """Return the meetings of a long list that Redis has to know of; None: all, it is short.

    The script that records a poll holds up all others for as long as it runs.
    """
    if len(listed) <= CHUNK:
        return None
    return await deps.store.known_meetings(server.id, [meeting.id for meeting in listed])


def _log_success(deps: ServerDeps, server: Server, result: ObservationResult) -> None:
    if result.came_online:
        deps.log.info("server_online", server=server.id)
    if result.taken_back:
        deps.log.warning("meetings_taken_back", server=server.id, meetings=len(result.taken_back))
    for double in result.doubles:
        log_double(deps, server, double)
    if result.auto_disabled:
        deps.log.info("cordoned_server_is_empty", server=server.id, state="disabled")


async def _follow_up(deps: ServerDeps, server: Server, result: ObservationResult) -> None:
    """End and check meetings until the deadline of a poll; the next poll continues."""
    if not (result.to_end or result.doubles or result.missing):
        return
    limiter = trio.CapacityLimiter(_FOLLOW_UPS_AT_ONCE)

    async def follow(work: Callable[..., Awaitable[None]], *args: object) -> None:
        # Caught here, since a nursery would wrap it in a group. The next poll repeats the work.
        with suppress(StoreDown):
            async with limiter:
                await work(deps, server, *args)

    with trio.move_on_after(deps.settings.polling.deadline_s):
        async with trio.open_nursery() as nursery:
            for meeting_id, password in result.to_end:
                nursery.start_soon(follow, _end_duplicate, meeting_id, password)
            for double in result.doubles:
                if double.action:
                    nursery.start_soon(follow, resolve_double, double)
            for meeting_id, placement in result.missing:
                nursery.start_soon(follow, _check_missing, meeting_id, placement)


async def _end_duplicate(
    deps: ServerDeps, server: Server, meeting_id: MeetingId, password: str
) -> None:
    """End a meeting that was created on another server while this one was offline."""
    succeeded = await end_unwanted(deps.pool, server.target, meeting_id, password)
    if succeeded is not None:
        deps.log.warning(
            "duplicate_ended", server=server.id, meeting=meeting_id, succeeded=succeeded
        )


async def _check_missing(
    deps: ServerDeps, server: Server, meeting_id: MeetingId, placement: int
) -> None:
    """Forget a meeting that was not listed if its server confirms that it does not know it."""
    meeting = await deps.pool.records.find_meeting(meeting_id, now_ms=deps.now_ms())
    if meeting is None or (meeting.server_id, meeting.placement) != (server.id, placement):
        return
    if await forget_if_gone(deps.pool, meeting):
        deps.log.debug("meeting_over", server=server.id, meeting=meeting_id)


async def _record_failure(
    deps: ServerDeps, server: Server, reason: str, *, disabled: bool = False
) -> PollResult:
    result = await deps.store.fail_server(
        server.id,
        now_ms=deps.now_ms(),
        unhealthy_threshold=deps.settings.polling.unhealthy_threshold,
        disabled=disabled,
    )
    if result.known:
        # A disabled server that does not answer is usually under maintenance.
        report = deps.log.info if disabled else deps.log.warning
        _log_failure(deps, server, result, reason, report)
    return PollResult(
        server,
        succeeded=False,
        reason=reason,
        online=server.online and not result.went_offline,
        unhealthy_count=result.unhealthy_count,
    )


def _log_failure(
    deps: ServerDeps,
    server: Server,
    result: FailureResult,
    reason: str,
    report: Callable[..., object],
) -> None:
    if result.went_offline:
        deps.metrics.detached.add(amount=result.detached)
        report("server_offline", server=server.id, reason=reason, detached_meetings=result.detached)
    elif server.online:
        report("server_unstable", server=server.id, reason=reason, failures=result.unhealthy_count)
    else:
        deps.log.debug("server_still_offline", server=server.id, reason=reason)


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

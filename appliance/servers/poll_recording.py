"""Records what a poll has found, and follows up: observe_server.lua and fail_server.lua decide.

Meetings that were not listed are checked, and those that belong elsewhere are ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.faults import StoreDown
from appliance.model import MeetingId, Server
from appliance.pool.ending import end_unwanted, forget_if_gone
from appliance.servers.deps import ServerDeps
from appliance.servers.duplicate_meetings import END_HERE, MOVE_HERE, log_double, resolve_double
from appliance.servers.load import make_observation
from appliance.servers.model import (
    FailureResult,
    ObservationResult,
    PollMemory,
    PollStart,
)
from appliance.servers.store import CHUNK
from appliance.usage.deps import UsageDeps
from appliance.usage.observer import PreparedUsage, confirm_usage, prepare_usage
from appliance.usage.tally import Poll, gap_limit_ms

RECORD_EVERY_S = 600.0
"""A list that has not changed is recorded so often all the same, or every hundredth of the lifetime
of a record: records expire, and a Scalelite on the same stores may change
them."""
_FOLLOW_UPS_AT_ONCE = 8


async def record_list(
    deps: ServerDeps,
    server: Server,
    start: PollStart,
    began_ms: int,
    listed: Sequence[ListedMeeting],
    memory: PollMemory,
) -> ObservationResult:
    """Record a poll, and remember under which mark the same list needs not be recorded."""
    now_ms = deps.now_ms()
    observation = make_observation(
        server.id,
        listed,
        began_ms=began_ms,
        now_ms=now_ms,
        joins_before=start.joins,
        known=await _known_meetings(deps, server, listed),
    )
    usage = None
    if deps.usage is not None:
        memory.records = await deps.store.listed_records([meeting.id for meeting in listed])
        usage = await _prepare_usage(deps, deps.usage, server, start, memory, listed)
    result = await deps.store.observe_server(
        observation,
        healthy_threshold=deps.settings.polling.healthy_threshold,
        usage=usage.arguments if usage else (),
    )
    if deps.usage is not None and usage is not None and result.known:
        await confirm_usage(deps.usage, usage, saved=result.usage_saved)
    _log_success(deps, server, result)
    await _follow_up(deps, server, result)
    memory.mark, memory.load = result.mark, result.load
    memory.until_s = trio.current_time() + min(RECORD_EVERY_S, deps.store.rules.ttl_s / 100)
    return result


async def record_unchanged(
    deps: ServerDeps,
    server: Server,
    start: PollStart,
    memory: PollMemory,
    listed: Sequence[ListedMeeting],
) -> ObservationResult:
    """Add the usage up of a poll that has nothing else to record."""
    if deps.usage is not None:
        usage = await _prepare_usage(deps, deps.usage, server, start, memory, listed)
        saved = await deps.usage.store.save(server.id, usage.arguments)
        await confirm_usage(deps.usage, usage, saved=saved)
    return ObservationResult(online=True, load=memory.load)


async def _prepare_usage(
    deps: ServerDeps,
    usage: UsageDeps,
    server: Server,
    start: PollStart,
    memory: PollMemory,
    listed: Sequence[ListedMeeting],
) -> PreparedUsage:
    poll = Poll(
        server=server.id,
        tag=server.tag or "",
        at_ms=deps.now_ms(),
        listed=listed,
        records=memory.records,
        gap_limit_ms=gap_limit_ms(deps.settings.polling.interval_s),
        keep_names=deps.settings.usage.meeting_names,
    )
    return await prepare_usage(usage, poll, start.usage_version)


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
                if double.action in (END_HERE, MOVE_HERE):
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


async def record_failure(
    deps: ServerDeps, server: Server, reason: str, *, disabled: bool
) -> FailureResult:
    """Record a failed poll, of a disabled server that was only asked for its version."""
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
    return result


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

"""Ended meetings: reports of servers are accepted, front-ends are notified.

A server may report the end, or a call or poll may detect it; in any case the front-end is notified
once. Until the callback queue has the notification, it waits in Redis. The rules are in the scripts
(lib.lua, `notify_later`). Source: docs/callbacks.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import trio

from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.end_callback_url import read_end_callback
from appliance.callbacks.ended_rules import EndNotification, EndReport, read_end_report
from appliance.callbacks.rules import meeting_ended
from appliance.faults import StoreDown
from appliance.model import Meeting, TenantId
from appliance.pool.ending import forget_if_gone
from appliance.tenants.end_callback import END_CALLBACK_CALL

MAX_PER_CLAIM = 100
PAUSE_S = 1.0


async def record_end(deps: CallbackDeps, query: bytes) -> bool:
    """Record that a server reported the end of a meeting; False: the signature is invalid.

    If the report may be about the current run although its time differs, the server is asked.
    Raises StoreDown.
    """
    call = read_end_report(query, deps.secret_key_base)
    if call is None:
        return False
    if await deps.ended.end_meeting(call, now_ms=deps.now_ms()):
        deps.log.debug("meeting_ended", meeting=call.meeting_id, server=call.server_id)
        deps.later(notify_ended, deps)
        return True
    meeting = await deps.pool.records.find_meeting(call.meeting_id, now_ms=deps.now_ms())
    if (
        meeting is not None
        and meeting.confirmed
        and meeting.server_id == call.server_id
        and (meeting.run_ms is None or meeting.run_ms < call.began_ms)
    ):
        deps.later(_ask_server, deps, call, meeting)
    return True


async def _ask_server(deps: CallbackDeps, call: EndReport, meeting: Meeting) -> None:
    """Ask whether a meeting is over; if so, the report was about the recorded run."""
    if await forget_if_gone(deps.pool, meeting):
        known = replace(call, began_ms=meeting.run_ms or 0)
        await deps.ended.end_meeting(known, now_ms=deps.now_ms())
        await notify_ended(deps)


async def relay_end(deps: CallbackDeps, query: bytes) -> bool:
    """Queue the call of a front-end's meta_endCallbackUrl; False: the signature is invalid.

    Raises StoreDown.
    """
    call = read_end_callback(query, deps.secret_key_base)
    if call is None:
        return False
    callback = meeting_ended(call.target, meeting_id=call.meeting_id, tenant_id=call.tenant_id)
    await deps.queue.enqueue(callback, dedup_key=f"{END_CALLBACK_CALL}:{call.name}")
    return True


async def notify_ended(deps: CallbackDeps) -> int:
    """Move due notifications to the callback queue; return their number. Raises StoreDown.

    Those that the queue cannot take now are claimed again later.
    """
    claimed = await deps.ended.claim(now_ms=deps.now_ms(), at_most=MAX_PER_CLAIM)
    done: list[str] = []
    for meeting in claimed:
        try:
            await _enqueue(deps, meeting)
        except StoreDown as error:
            deps.faults.note("meeting_end_not_queued", "callbacks", reason=str(error))
            break
        except Exception as error:  # a defect must not delay the other notifications
            deps.log.error("meeting_end_not_queued", meeting=meeting.meeting_id, exc_info=error)
            continue
        done.append(meeting.key)
    if done:
        await deps.ended.drop(done)
    return len(done)


async def notify_ended_forever(deps: CallbackDeps, *, pause_s: float = PAUSE_S) -> NoReturn:
    """Move due notifications to the callback queue, every `pause_s` seconds."""
    while True:
        try:
            await notify_ended(deps)
        except StoreDown as error:
            deps.faults.note("ended_meetings_wait_for_store", "redis", reason=str(error))
        await trio.sleep(pause_s)


async def _enqueue(deps: CallbackDeps, meeting: EndNotification) -> None:
    tenant_id = TenantId(meeting.tenant_id) if meeting.tenant_id else None
    callback = meeting_ended(
        meeting.target,
        meeting_id=meeting.front_end_id,
        tenant_id=tenant_id,
    )
    await deps.queue.enqueue(callback, dedup_key=f"meeting_ended:{meeting.key}")

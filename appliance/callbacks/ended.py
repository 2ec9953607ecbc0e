"""The end of meetings: taken from their servers, told to their front-ends.

A meeting that has ended waits in Redis until the queue of callbacks has what is to be told: its
server may tell us of the end, a call or a poll may find it, and either way the front-end is told
once. Truth: docs/callbacks.md; the rules are in the scripts (lib.lua, `notify_later`).
"""

from __future__ import annotations

from dataclasses import replace

from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.end_callback_url import read_end_callback
from appliance.callbacks.ended_rules import EndedCall, EndedMeeting, read_ended_call
from appliance.callbacks.rules import meeting_ended
from appliance.faults import StoreDown
from appliance.model import Meeting, TenantId
from appliance.pool.ending import forget_if_gone
from appliance.tenants.end_callback import END_CALLBACK_CALL

AT_ONCE = 100


async def take_end(deps: CallbackDeps, query: bytes) -> bool:
    """Take a server's word that a meeting has ended; False: it is not what we have signed.

    Where the run that its server has may be this one all the same, the server is asked.
    Raises StoreDown.
    """
    call = read_ended_call(query, deps.secret_key_base)
    if call is None:
        return False
    if await deps.ended.end_meeting(call, now_ms=deps.now_ms()):
        deps.log.debug("meeting_ended", meeting=call.meeting_id, server=call.server_id)
        deps.later(tell_ended, deps)
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


async def _ask_server(deps: CallbackDeps, call: EndedCall, meeting: Meeting) -> None:
    """Ask whether a meeting is over; if so, its server has spoken of the run that we knew."""
    if await forget_if_gone(deps.pool, meeting):
        known = replace(call, began_ms=meeting.run_ms or 0)
        await deps.ended.end_meeting(known, now_ms=deps.now_ms())
        await tell_ended(deps)


async def pass_on_end(deps: CallbackDeps, query: bytes) -> bool:
    """Take a server's call for a front-end that has asked for it by metadata, and queue it.

    False: it is not what we have signed. Raises StoreDown.
    """
    call = read_end_callback(query, deps.secret_key_base)
    if call is None:
        return False
    callback = meeting_ended(call.target, meeting_id=call.meeting_id, tenant_id=call.tenant_id)
    await deps.queue.enqueue(callback, dedup_key=f"{END_CALLBACK_CALL}:{call.name}")
    return True


async def tell_ended(deps: CallbackDeps) -> int:
    """Put what front-ends are to be told now into the queue; return how many. Raises StoreDown.

    What cannot be put there now is taken on again later.
    """
    claimed = await deps.ended.claim(now_ms=deps.now_ms(), at_most=AT_ONCE)
    done: list[str] = []
    for meeting in claimed:
        try:
            await _enqueue(deps, meeting)
        except StoreDown as error:
            deps.faults.note("meeting_end_not_told", "callbacks", reason=str(error))
            break
        except Exception as error:  # a defect met at one meeting must not hold up the others
            deps.log.error("meeting_end_not_told", meeting=meeting.meeting_id, exc_info=error)
            continue
        done.append(meeting.key)
    if done:
        await deps.ended.drop(done)
    return len(done)


async def _enqueue(deps: CallbackDeps, meeting: EndedMeeting) -> None:
    tenant_id = TenantId(meeting.tenant_id) if meeting.tenant_id else None
    callback = meeting_ended(
        meeting.target,
        meeting_id=meeting.front_end_id,
        tenant_id=tenant_id,
    )
    await deps.queue.enqueue(callback, dedup_key=f"meeting_ended:{meeting.key}")

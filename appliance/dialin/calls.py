"""A call comes in: ask for a pin, and connect it to the server of the pin's meeting.

A pin names one meeting of the whole pool, whichever tenant's it is: callers have no host label.
What is answered is dialin/dialplan.py; pin, meeting and count of wrong pins are one round trip.
"""

from __future__ import annotations

import hashlib

from appliance.dialin.deps import DialInDeps
from appliance.dialin.dialplan import (
    Bridge,
    IncomingCall,
    PinLookup,
    PinOutcome,
    Step,
    is_pin,
    mask_number,
    media_host,
    parent_pin,
    shown_name,
)
from appliance.faults import StoreDown
from appliance.tenants.scoped_id import front_end_id


async def answer_call(deps: DialInDeps, call: IncomingCall, gateway: str) -> Step | Bridge:
    """Return what is done with a call; `gateway` is the address of the FreeSWITCH that asks.

    Never raises for want of a store: a caller who hears "bad pin" can try again, one whose gateway
    gets an error is hung up on.
    """
    if not call.pin:
        return Step.PROMPT
    if not is_pin(call.pin):
        return Step.REPROMPT
    try:
        found = await deps.voice_bridges.find_voice_bridge(
            call.pin,
            parent_pin(call.pin),
            caller=_caller_key(call, gateway),
            most_wrong=deps.settings.fsapi.max_attempts_per_min,
            now_ms=deps.now_ms(),
        )
    except StoreDown as error:
        deps.faults.note("call_without_store", "redis", reason=str(error))
        return Step.REPROMPT
    _log_guessing(deps, call, gateway, found)
    return _connect(deps, call, found)


def _connect(deps: DialInDeps, call: IncomingCall, found: PinLookup) -> Step | Bridge:
    meeting = found.meeting
    if meeting is None or meeting.server is None or not meeting.reachable:
        return Step.REPROMPT
    host = media_host(meeting.server.url)
    if host is None:
        deps.faults.note("server_without_host", meeting.server_id)
        return Step.REPROMPT
    deps.log.info("call_connected", meeting=meeting.id, server=meeting.server_id)
    meeting_id = front_end_id(meeting.id, meeting.tenant_id)
    return Bridge(meeting_id, shown_name(call), call.pin, host)


def _caller_key(call: IncomingCall, gateway: str) -> str:
    """Name the counter of a caller: no telephone number is kept, and no text grows without end."""
    caller = f"{gateway}\n{call.caller_number.strip()}"
    return hashlib.sha256(caller.encode("utf-8", "replace")).hexdigest()


def _log_guessing(deps: DialInDeps, call: IncomingCall, gateway: str, found: PinLookup) -> None:
    """Say once a minute that a caller is being turned away."""
    most = deps.settings.fsapi.max_attempts_per_min
    if found.outcome is PinOutcome.UNKNOWN and most and found.wrong == most:
        caller = mask_number(call.caller_number)
        deps.log.warning("pins_guessed", gateway=gateway, caller=caller, wrong=found.wrong)

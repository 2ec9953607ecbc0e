"""Handle an incoming call: ask for a pin, and connect the call to the server of its meeting.

A pin identifies one meeting of the whole pool, regardless of its tenant, since calls have no host
label. dialplan.py renders the answer.
"""

from __future__ import annotations

import hashlib

from appliance.dialin.deps import DialInDeps
from appliance.dialin.dialplan import (
    Bridge,
    CallStep,
    IncomingCall,
    PinLookup,
    PinOutcome,
    is_pin,
    mask_number,
    media_host,
    parent_pin,
    shown_name,
)
from appliance.faults import StoreDown
from appliance.tenants.scoped_id import front_end_id


async def answer_call(deps: DialInDeps, call: IncomingCall, gateway: str) -> CallStep | Bridge:
    """Return the next step of a call; `gateway` is the address of the FreeSWITCH that asks.

    While Redis is down the caller is asked for the pin again: after an error FreeSWITCH would hang
    up.
    """
    if not call.pin:
        return CallStep.PROMPT
    if not is_pin(call.pin):
        return CallStep.REPROMPT
    try:
        found = await deps.voice_bridges.find_voice_bridge(
            call.pin,
            parent_pin(call.pin),
            caller=_caller_key(call, gateway),
            max_wrong=deps.settings.fsapi.max_attempts_per_min,
            now_ms=deps.now_ms(),
        )
    except StoreDown as error:
        deps.faults.note("call_without_store", "redis", reason=str(error))
        return CallStep.REPROMPT
    _log_guessing(deps, call, gateway, found)
    return _connect(deps, call, found)


def _connect(deps: DialInDeps, call: IncomingCall, found: PinLookup) -> CallStep | Bridge:
    meeting = found.meeting
    if meeting is None or meeting.server is None or not meeting.reachable:
        return CallStep.REPROMPT
    host = media_host(meeting.server.url)
    if host is None:
        deps.faults.note("server_without_host", meeting.server_id)
        return CallStep.REPROMPT
    deps.log.info("call_connected", meeting=meeting.id, server=meeting.server_id)
    meeting_id = front_end_id(meeting.id, meeting.tenant_id)
    return Bridge(meeting_id, shown_name(call), call.pin, host)


def _caller_key(call: IncomingCall, gateway: str) -> str:
    """Return the key of a caller's counter: a hash, so that no telephone number is stored."""
    caller = f"{gateway}\n{call.caller_number.strip()}"
    return hashlib.sha256(caller.encode("utf-8", "replace")).hexdigest()


def _log_guessing(deps: DialInDeps, call: IncomingCall, gateway: str, found: PinLookup) -> None:
    """Log once per window that a caller has reached the limit of wrong pins."""
    most = deps.settings.fsapi.max_attempts_per_min
    if found.outcome is PinOutcome.UNKNOWN and most and found.wrong == most:
        caller = mask_number(call.caller_number)
        deps.log.warning("pins_guessed", gateway=gateway, caller=caller, wrong=found.wrong)

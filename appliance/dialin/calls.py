"""Answer calls: ask for a PIN, and connect the call to the server of the PIN's meeting.

A PIN names one meeting of the whole pool, whichever tenant it belongs to: callers have no host
name. The answers are in dialin/dialplan.py; looking a PIN up and counting it is one round trip.
"""

from __future__ import annotations

import hashlib

import trio

from appliance.dialin.caller import (
    IncomingCall,
    is_telephone_number,
    mask_number,
    shown_name,
    shown_number,
)
from appliance.dialin.deps import DialInDeps
from appliance.dialin.dialplan import (
    Bridge,
    CallStep,
    GuessLimits,
    WrongPins,
    first_step,
    is_guessing,
    media_host,
    parent_pin,
    step_after_wrong_pin,
)
from appliance.dialin.store import FoundMeeting, GuessCounters
from appliance.faults import StoreDown
from appliance.settings.dial_string import (
    DEFAULT_BRIDGE,
    DEFAULT_PORT,
    check_dial_string,
    fill_dial_string,
)
from appliance.tenants.scoped_id import front_end_id

GUESSING_DELAY_S = 0.5
"""Delay of the answer to a wrong PIN of a number or gateway that is guessing."""


async def answer_call(deps: DialInDeps, call: IncomingCall, gateway: str) -> CallStep | Bridge:
    """Return the answer to a call; `gateway` is the address of the FreeSWITCH that asks.

    Redis being down is answered like a wrong PIN: the caller can try again, whereas FreeSWITCH
    hangs up if it gets an error.
    """
    step = first_step(call, deps.settings.fsapi.context)
    if step is not None:
        return step
    try:
        found = await deps.voice_bridges.find_voice_bridge(
            call.pin,
            parent_pin(call.pin),
            counters=_counters(call, gateway),
            now_ms=deps.now_ms(),
        )
    except StoreDown as error:
        deps.faults.note("call_without_store", "redis", reason=str(error))
        return CallStep.REPROMPT
    if isinstance(found, WrongPins):
        return await _refuse(deps, call, gateway, found)
    return _connect(deps, call, found)


def _connect(deps: DialInDeps, call: IncomingCall, found: FoundMeeting) -> CallStep | Bridge:
    meeting = found.meeting
    if meeting.server is None or not meeting.reachable:
        return CallStep.REPROMPT
    host = media_host(meeting.server.url)
    if host is None:
        deps.faults.note("server_without_host", meeting.server_id)
        return CallStep.REPROMPT
    template = found.dial_in or deps.settings.fsapi.bridge
    if template is None:
        template = DEFAULT_BRIDGE + (":{port}" if found.port else "")
    try:
        # That of a server is in Redis, where others may have written it.
        template = check_dial_string(template)
    except ValueError as error:
        deps.faults.note("dial_in_refused", meeting.server_id, reason=str(error))
        return CallStep.REPROMPT
    deps.log.info("call_connected", meeting=meeting.id, server=meeting.server_id)
    meeting_id = front_end_id(meeting.id, meeting.tenant_id)
    port = found.port or DEFAULT_PORT
    target = fill_dial_string(template, pin=call.pin, host=host, port=port, meeting=meeting.id)
    return Bridge(meeting_id, shown_name(call), shown_number(call), target)


async def _refuse(deps: DialInDeps, call: IncomingCall, gateway: str, wrong: WrongPins) -> CallStep:
    fsapi = deps.settings.fsapi
    limits = GuessLimits(fsapi.max_attempts_per_min, fsapi.max_guesses_per_gateway_per_min)
    _log_guessing(deps, call, gateway, wrong, limits)
    if is_guessing(wrong, limits):
        await trio.sleep(GUESSING_DELAY_S)
    return step_after_wrong_pin(wrong, limits)


def _counters(call: IncomingCall, gateway: str) -> GuessCounters:
    """Name the counters of a call. Numbers are hashed: none is stored.

    A withheld number is none: everyone without a number would share its counter.
    """
    number = call.caller_number.strip()
    counted = not call.hide_number and is_telephone_number(number)
    return GuessCounters(
        call=_name("call", gateway, call.call_id) if call.call_id else "",
        number=_name("number", gateway, number) if counted else "",
        gateway=_name("gateway", gateway),
    )


def _name(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def _log_guessing(
    deps: DialInDeps, call: IncomingCall, gateway: str, wrong: WrongPins, limits: GuessLimits
) -> None:
    """Warn once a minute about a number, and about a gateway, whose wrong PINs are delayed."""
    if limits.per_number and wrong.of_number == limits.per_number + 1:
        caller = mask_number(call.caller_number)
        deps.log.warning("pins_guessed", gateway=gateway, caller=caller, wrong=wrong.of_number)
    if limits.per_gateway and wrong.of_gateway == limits.per_gateway + 1:
        deps.log.warning("pins_guessed", gateway=gateway, wrong=wrong.of_gateway)

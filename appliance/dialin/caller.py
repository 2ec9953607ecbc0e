"""Read the form that FreeSWITCH posts about a call, and decide what a meeting sees of the caller.

Source of the fields: `switch_caller_profile_event_set_data` in FreeSWITCH's src/switch_caller.c,
which writes `Caller-` and, for the context that is searched, `Hunt-`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.dialin.escaping import defuse

UNAVAILABLE = "Unavailable"

SECTION = "section"
NUMBER = "Caller-Destination-Number"
PIN = "variable_pin"
CALLER_NAME = "Caller-Caller-ID-Name"
CALLER_NUMBER = "Caller-Caller-ID-Number"
HIDE_NAME = "Caller-Privacy-Hide-Name"
HIDE_NUMBER = "Caller-Privacy-Hide-Number"
CALL_ID = "Unique-ID"
CONTEXT = "Caller-Context"
HUNT_CONTEXT = "Hunt-Context"
FIELDS = frozenset(
    {
        *(SECTION, NUMBER, PIN, CALLER_NAME, CALLER_NUMBER, HIDE_NAME, HIDE_NUMBER),
        *(CALL_ID, CONTEXT, HUNT_CONTEXT),
    }
)
"""The fields that are read; FreeSWITCH posts hundreds."""

_HIDDEN_DIGITS = 4

_SPELLING = re.compile(r"[\s()./+-]")
_RESERVED = re.compile(r"(?<=GLOBAL)_(?=AUDIO_)|-(?=bbbID-)|_(?=[0-9]+-)", re.IGNORECASE)
"""In the names of BBB's own voice users: `GLOBAL_AUDIO_…`, `w_abc_1-bbbID-Anna`. Source: the
patterns of VoiceConferenceService and ESLEventListener in BBB's akka-apps and bbb-fsesl-client."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """One request for a dialplan: a call that has just come in, or whose PIN was entered."""

    number: str
    """The dialled number; once a PIN was entered, the PIN: the call is transferred to it."""
    pin: str
    """Empty: not asked for yet."""
    caller_name: str
    caller_number: str
    hide_name: bool
    hide_number: bool
    call_id: str = ""
    """FreeSWITCH's id of the call; empty: not given."""
    context: str = ""
    """Dialplan context that is searched; empty: not given."""


def read_call(fields: Mapping[str, str]) -> IncomingCall | None:
    """Parse a form; None: it is not a dialplan request for a call."""
    number = fields.get(NUMBER, "")
    if fields.get(SECTION) != "dialplan" or not number.strip():
        return None
    return IncomingCall(
        number=number,
        pin=fields.get(PIN, "").strip(),
        caller_name=fields.get(CALLER_NAME, ""),
        caller_number=fields.get(CALLER_NUMBER, ""),
        hide_name=fields.get(HIDE_NAME, "").strip().lower() == "true",
        hide_number=fields.get(HIDE_NUMBER, "").strip().lower() == "true",
        call_id=fields.get(CALL_ID, "").strip(),
        context=fields.get(HUNT_CONTEXT, "").strip() or fields.get(CONTEXT, "").strip(),
    )


def shown_name(call: IncomingCall) -> str:
    """Return the caller's name as the meeting sees it.

    A name of digits without letters (`4930123456`, `+49 30 123456`), in whatever spelling, is a
    telephone number and loses its last four digits; a hidden one is not shown; one that BBB uses
    itself is broken up.
    """
    given = defuse(call.caller_name).strip()
    if any(map(str.isdigit, given)) and not any(map(str.isalpha, given)):
        return UNAVAILABLE if call.hide_number else mask_number(given)
    name = _RESERVED.sub(" ", given)
    return UNAVAILABLE if call.hide_name or not name else name


def shown_number(call: IncomingCall) -> str:
    """Return the caller's number as the BBB server gets it: masked, without spelling.

    `Unavailable` if it is hidden, or not a telephone number.
    """
    number = call.caller_number.strip()
    if call.hide_number or not number.isascii() or not is_telephone_number(number):
        return UNAVAILABLE
    sign = "+" if number.startswith("+") else ""
    return sign + mask_number(_SPELLING.sub("", number))


def is_telephone_number(text: str) -> bool:
    """Return whether a text is digits and what separates them; `anonymous` is not."""
    return _SPELLING.sub("", text).isdecimal()


def mask_number(number: str) -> str:
    """Return a telephone number with `X` for each of its last four digits."""
    masked = list(number)
    hidden = 0
    for at in reversed(range(len(masked))):
        if masked[at].isdigit() and hidden < _HIDDEN_DIGITS:
            masked[at] = "X"
            hidden += 1
    return "".join(masked)

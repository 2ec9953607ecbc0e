"""Parses dialplan requests of FreeSWITCH and renders the answers.

All text of a request is escaped by escaping.py. The answers are those of Scalelite, for which
gateways are configured. Pure. Source: docs/dial-in.md; the form fields of mod_xml_curl are those of
`switch_caller_profile_event_set_data` in FreeSWITCH's src/switch_caller.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from urllib.parse import urlsplit

from appliance.dialin.escaping import (
    attribute,
    clean,
    defuse,
    escape_expansion,
    is_altered_by_expansion,
    match_exactly,
)
from appliance.model import Meeting

UNAVAILABLE = "Unavailable"

SECTION = "section"
NUMBER = "Caller-Destination-Number"
PIN = "variable_pin"
CALLER_NAME = "Caller-Caller-ID-Name"
CALLER_NUMBER = "Caller-Caller-ID-Number"
HIDE_NAME = "Caller-Privacy-Hide-Name"
HIDE_NUMBER = "Caller-Privacy-Hide-Number"
FIELDS = frozenset({SECTION, NUMBER, PIN, CALLER_NAME, CALLER_NUMBER, HIDE_NAME, HIDE_NUMBER})
"""The form fields that are read; FreeSWITCH posts some hundred."""

WRONG_PINS_WINDOW_MS = 60_000
"""FSAPI_MAX_ATTEMPTS is a rate per minute."""

_BREAKOUT_MIN_DIGITS = 6
"""A breakout room's pin is its parent's with one more digit; shorter pins belong to no room."""
_MAX_PIN_DIGITS = 21
"""VOICE_BRIDGE_MAX is at most 20; a breakout room has one digit more."""
_HIDDEN_DIGITS = 4

_SPELLING = re.compile(r"[\s()./+-]")
_HOST = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*").fullmatch
_IPV6 = re.compile(r"[0-9a-f:.]+").fullmatch


NOT_FOUND = (
    b'<document type="freeswitch/xml"><section name="result"><result status="not found"/></section>'
    b"</document>"
)


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """One dialplan request: for a new call, or after a pin was entered."""

    number: str
    """The dialled number; after a pin was entered the pin, to which the call is transferred."""
    pin: str
    """Empty: not entered yet."""
    caller_name: str
    caller_number: str
    hide_name: bool
    hide_number: bool


class CallStep(Enum):
    """The next step of a call that is not connected."""

    NOT_FOUND = "not found"
    PROMPT = "prompt"
    REPROMPT = "reprompt"


@dataclass(frozen=True, slots=True)
class Bridge:
    """The next step of a call that is connected to a meeting."""

    meeting_id: str
    caller_name: str
    """As shown to the other users of the meeting."""
    pin: str
    host: str


@dataclass(frozen=True, slots=True)
class PromptRules:
    """Settings for pin prompts."""

    pin_min: int
    pin_max: int
    max_duration_s: int
    """0: no limit."""


class PinOutcome(StrEnum):
    """Result of looking a pin up."""

    FOUND = "found"
    UNKNOWN = "unknown"
    LIMITED = "limited"
    """Not looked up: the caller has entered too many wrong pins."""


@dataclass(frozen=True, slots=True)
class PinLookup:
    """Result of looking a pin up, with the meeting if it was found."""

    outcome: PinOutcome
    wrong: int = 0
    """Number of wrong pins of this caller within the window, including this one."""
    meeting: Meeting | None = None


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
    )


def is_pin(text: str) -> bool:
    """Whether a text can be a pin; FreeSWITCH also passes `*` and letters."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_PIN_DIGITS


def parent_pin(pin: str) -> str | None:
    """Return the parent's pin if `pin` were that of a breakout room; None: it is too short."""
    return pin[:-1] if len(pin) >= _BREAKOUT_MIN_DIGITS else None


def shown_name(call: IncomingCall) -> str:
    """Return the name of a caller that the meeting shows.

    The last four digits of a name that is a telephone number (`4930123456`, `+49 30 123456`) are
    masked; a hidden name or number is not shown.
    """
    name = clean(call.caller_name).strip()
    digits = _SPELLING.sub("", name)
    if digits.isdecimal():
        return UNAVAILABLE if call.hide_number else mask_number(name)
    return UNAVAILABLE if call.hide_name or not name else name


def mask_number(number: str) -> str:
    """Return a telephone number with `X` for each of its last four digits."""
    masked = list(number)
    hidden = 0
    for at in reversed(range(len(masked))):
        if masked[at].isdecimal() and hidden < _HIDDEN_DIGITS:
            masked[at] = "X"
            hidden += 1
    return "".join(masked)


def media_host(server_url: str) -> str | None:
    """Return the host to which calls for a BBB server are sent, None if its URL has none."""
    try:
        host = urlsplit(server_url).hostname or ""
    except ValueError:
        return None
    if ":" in host:
        return f"[{host}]" if _IPV6(host) else None
    return host if _HOST(host) else None


def render_answer(answer: CallStep | Bridge, number: str, rules: PromptRules) -> bytes:
    """Return the XML document with the next step of a call to `number`."""
    if answer is CallStep.NOT_FOUND:
        return NOT_FOUND
    if isinstance(answer, Bridge):
        return _render("bridge_to_bbb_server", number, _bridge_actions(answer))
    if answer is CallStep.REPROMPT:
        return _render("reprompt_for_pin", number, [*_REPROMPT, *_ask_actions(rules)])
    actions = [("answer", "")]
    if rules.max_duration_s:
        actions.append(("sched_hangup", f"+{rules.max_duration_s} normal_clearing"))
    actions += [*_WELCOME, *_ask_actions(rules)]
    return _render("match_did_and_prompt_for_pin", number, actions)


_Action = tuple[str, str]
"""Application and data."""

_WELCOME = (("sleep", "500"), ("playback", "ivr/ivr-welcome.wav"), ("sleep", "200"))
_REPROMPT = (("playback", "conference/conf-bad-pin.wav"), ("sleep", "500"))
_EXPAND_ONCE = "app_disable_expand_variables"


def _ask_actions(rules: PromptRules) -> list[_Action]:
    sounds = "conference/conf-enter_conf_pin.wav conference/conf-bad-pin.wav"
    return [
        (
            "play_and_get_digits",
            rf"{rules.pin_min} {rules.pin_max} 3 7000 # {sounds} pin \d+",
        ),
        ("transfer", "${pin} XML public"),
    ]


def _bridge_actions(bridge: Bridge) -> list[_Action]:
    meeting_id = defuse(clean(bridge.meeting_id))
    actions = [
        ("set", f"meeting_id={escape_expansion(meeting_id)}"),
        ("set", f"effective_caller_id_name={escape_expansion(bridge.caller_name)}"),
    ]
    if is_altered_by_expansion(meeting_id) or is_altered_by_expansion(bridge.caller_name):
        # `set` is expanded twice, so the second expansion would evaluate the result of the first.
        # With this variable (since FreeSWITCH 1.10.7) only `set` itself expands.
        actions = [("set", f"{_EXPAND_ONCE}=true"), *actions, ("set", f"{_EXPAND_ONCE}=false")]
    return [*actions, ("bridge", f"sofia/external/{bridge.pin}@{bridge.host}")]


def _render(extension: str, number: str, actions: Iterable[_Action]) -> bytes:
    expression = attribute(f"^{match_exactly(number)}$")
    # One element per line and no XML declaration: FreeSWITCH's preprocessor drops whole lines that
    # contain `<?`.
    lines = [
        '<document type="freeswitch/xml">',
        '<section name="dialplan">',
        '<context name="public">',
        f'<extension name="{extension}">',
        f'<condition field="destination_number" expression="{expression}">',
        *(_render_action(application, data) for application, data in actions),
        "</condition>\n</extension>\n</context>\n</section>\n</document>\n",
    ]
    return "\n".join(lines).encode("utf-8", "replace")


def _render_action(application: str, data: str) -> str:
    if not data:
        return f'<action application="{application}"/>'
    return f'<action application="{application}" data="{attribute(data)}"/>'

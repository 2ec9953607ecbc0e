"""Decide on the answer to a call, and render it as a dialplan of FreeSWITCH.

dialin/calls.py finds the meeting of a PIN; every text of a caller or front-end goes through
dialin/escaping.py. The answers are those of Scalelite, for which gateways are set up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from appliance.dialin.caller import IncomingCall
from appliance.dialin.escaping import attribute, defuse, match_exactly

GOODBYE = "goodbye"
"""The number to which a call is transferred when its caller has entered nothing."""

WRONG_PINS_PER_CALL = 3
"""A call ends after so many, as it does when its caller enters nothing three times."""
WRONG_PINS_WINDOW_MS = 60_000
"""FSAPI_MAX_ATTEMPTS and FSAPI_MAX_GUESSES_PER_GATEWAY are rates per minute."""
CALL_WINDOW_MS = 3_600_000
"""Time after which the wrong PINs of a call are forgotten."""
BRIDGE_TIMEOUT_S = 15
"""BBB answers at once. A firewall that drops packets would mean 32 s of silence (RFC 3261, timer
B)."""

_BREAKOUT_MIN_DIGITS = 6
"""A breakout room's pin is its parent's with one more digit; shorter pins belong to no room."""
_MAX_PIN_DIGITS = 21
"""VOICE_BRIDGE_MAX is at most 20; a breakout room has one digit more."""
_HOST = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*").fullmatch
_IPV6 = re.compile(r"[0-9a-f:.]+").fullmatch


NOT_FOUND = (
    b'<document type="freeswitch/xml"><section name="result"><result status="not found"/></section>'
    b"</document>"
)


class CallStep(Enum):
    """The next step of a call that is not connected."""

    NOT_FOUND = "not found"
    PROMPT = "prompt"
    REPROMPT = "reprompt"
    REFUSE = "refuse"
    """Bad PIN, goodbye."""
    GOODBYE = "goodbye"


@dataclass(frozen=True, slots=True)
class Bridge:
    """The next step of a call that is connected to a meeting."""

    meeting_id: str
    caller_name: str
    """As the meeting sees it."""
    caller_number: str
    """As the meeting sees it."""
    dial_string: str
    """Where the call is sent."""


@dataclass(frozen=True, slots=True)
class PromptRules:
    """How PINs are asked for."""

    pin_min: int
    pin_max: int
    max_duration_s: int
    """0: no limit."""
    context: str = "public"
    """Context of the gateway in which calls come in."""


@dataclass(frozen=True, slots=True)
class WrongPins:
    """Wrong PINs so far, the present one included; 0 where it is not counted."""

    of_call: int = 0
    of_number: int = 0
    """Of this caller's number at this gateway within a minute."""
    of_gateway: int = 0
    """Within a minute."""


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """Limits of wrong PINs. 0: no limit."""

    per_number: int
    per_gateway: int


def first_step(call: IncomingCall, context: str) -> CallStep | None:
    """Return the answer to a call whose PIN need not be looked up; None: look it up.

    A call in another context than FSAPI_CONTEXT belongs to another dialplan of the gateway.
    """
    if call.context and call.context != context:
        return CallStep.NOT_FOUND
    if call.number == GOODBYE:
        return CallStep.GOODBYE
    if not call.pin:
        return CallStep.PROMPT
    return None if is_pin(call.pin) else CallStep.REPROMPT


def step_after_wrong_pin(wrong: WrongPins, limits: GuessLimits) -> CallStep:
    """Return whether a caller may try again within the same call."""
    if wrong.of_call >= WRONG_PINS_PER_CALL or _is_above(wrong.of_number, limits.per_number):
        return CallStep.REFUSE
    return CallStep.REPROMPT


def is_guessing(wrong: WrongPins, limits: GuessLimits) -> bool:
    """Return whether a number or a gateway has entered more wrong PINs than it may.

    Answers to wrong PINs are then delayed. A right PIN is not affected: withheld and invented
    numbers are shared by callers who did not guess.
    """
    return _is_above(wrong.of_number, limits.per_number) or _is_above(
        wrong.of_gateway, limits.per_gateway
    )


def _is_above(count: int, limit: int) -> bool:
    return 0 < limit < count


def is_pin(text: str) -> bool:
    """Whether a text can be a pin; FreeSWITCH also passes `*` and letters."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_PIN_DIGITS


def parent_pin(pin: str) -> str | None:
    """Return the parent's pin if `pin` were that of a breakout room; None: it is too short."""
    return pin[:-1] if len(pin) >= _BREAKOUT_MIN_DIGITS else None


def media_host(server_url: str) -> str | None:
    """Return the host to which calls for a BBB server are sent, None if its URL has none."""
    try:
        host = urlsplit(server_url).hostname or ""
    except ValueError:
        return None
    if ":" in host:
        return f"[{host}]" if _IPV6(host) else None
    return host if _HOST(host) else None


_Action = tuple[str, str]
"""Application and data."""

_WELCOME = (("sleep", "500"), ("playback", "ivr/ivr-welcome.wav"), ("sleep", "200"))
_BAD_PIN = (("playback", "conference/conf-bad-pin.wav"), ("sleep", "500"))
_HANG_UP = (("playback", "voicemail/vm-goodbye.wav"), ("hangup", "NORMAL_CLEARING"))
_EXPAND_ONCE = "app_disable_expand_variables"


def render_answer(answer: CallStep | Bridge, number: str, rules: PromptRules) -> bytes:
    """Return the XML document with the next step of a call to `number`."""
    if answer is CallStep.NOT_FOUND:
        return NOT_FOUND
    extension, actions = _extension_for(answer, rules)
    return _render(extension, number, actions, rules.context)


def _extension_for(answer: CallStep | Bridge, rules: PromptRules) -> tuple[str, list[_Action]]:
    if isinstance(answer, Bridge):
        return "bridge_to_bbb_server", _bridge_actions(answer)
    if answer is CallStep.REPROMPT:
        return "reprompt_for_pin", [*_BAD_PIN, *_ask_actions(rules)]
    if answer is CallStep.REFUSE:
        return "refuse_pin", [*_BAD_PIN, *_HANG_UP]
    if answer is CallStep.GOODBYE:
        return "goodbye", [*_HANG_UP]
    actions = [("answer", "")]
    if rules.max_duration_s:
        actions.append(("sched_hangup", f"+{rules.max_duration_s} normal_clearing"))
    return "match_did_and_prompt_for_pin", [*actions, *_WELCOME, *_ask_actions(rules)]


def _ask_actions(rules: PromptRules) -> list[_Action]:
    sounds = "conference/conf-enter_conf_pin.wav conference/conf-bad-pin.wav"
    digits = rf"{rules.pin_min} {rules.pin_max} 3 7000 # {sounds} pin \d+"
    # The last argument is the destination of a call whose caller has entered nothing, or too
    # little, three times: `pin` is then empty or too short. 7000 ms between digits is the default.
    failed = f"'{GOODBYE} XML {rules.context}'"
    return [
        ("play_and_get_digits", f"{digits} 7000 {failed}"),
        ("transfer", f"${{pin}} XML {rules.context}"),
    ]


def _bridge_actions(bridge: Bridge) -> list[_Action]:
    return [
        # `set` expands its value twice. There is nothing left to expand; with this variable
        # (FreeSWITCH 1.10.7) it would be expanded only once all the same.
        ("set", f"{_EXPAND_ONCE}=true"),
        ("set", f"meeting_id={defuse(bridge.meeting_id)}"),
        ("set", f"effective_caller_id_name={defuse(bridge.caller_name)}"),
        ("set", f"effective_caller_id_number={defuse(bridge.caller_number)}"),
        # Without it FreeSWITCH sends a P-Asserted-Identity or Remote-Party-ID if the trunk did.
        ("set", "sip_cid_type=none"),
        ("set", f"call_timeout={BRIDGE_TIMEOUT_S}"),
        ("set", f"{_EXPAND_ONCE}=false"),
        ("bridge", bridge.dial_string),
    ]


def _render(extension: str, number: str, actions: Iterable[_Action], context: str) -> bytes:
    expression = attribute(f"^{match_exactly(number)}$")
    # One element per line and no XML declaration: FreeSWITCH's preprocessor drops whole lines that
    # contain `<?`.
    lines = [
        '<document type="freeswitch/xml">',
        '<section name="dialplan">',
        f'<context name="{attribute(context)}">',
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

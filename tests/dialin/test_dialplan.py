"""What a call is answered: the four documents, the caller's name, and pins.

The documents are executed by a model of FreeSWITCH: what it does counts, not how they are spelled.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from appliance.dialin.caller import IncomingCall, shown_name, shown_number
from appliance.dialin.dialplan import (
    BRIDGE_TIMEOUT_S,
    Bridge,
    CallStep,
    PromptRules,
    first_step,
    is_pin,
    media_host,
    parent_pin,
    render_answer,
)
from appliance.dialin.escaping import defuse
from tests.doubles.freeswitch import (
    EXPAND_ONCE,
    Gateway,
    decode_url,
    name_at_server,
    post_value,
    receive_caller_id,
    split_arguments,
)

RULES = PromptRules(pin_min=5, pin_max=9, max_duration_s=0)
NUMBER = "49305550100"
CALL = IncomingCall(NUMBER, "", "Anna", "+4930123456", hide_name=False, hide_number=False)
TARGET = "sofia/external/123456789@bbb1.example"
BRIDGE = Bridge("math-101", "Anna", "+493012XXXX", TARGET)

ASK = [
    (
        "play_and_get_digits",
        "5 9 3 7000 # conference/conf-enter_conf_pin.wav conference/conf-bad-pin.wav pin \\d+"
        " 7000 'goodbye XML public'",
    ),
    ("transfer", "${pin} XML public"),
]
HOSTILE = st.text(st.sampled_from("$$$\\\\{{}'() \"<>&;,^|%#[]=-\n\tsystem0")) | st.text()
BITS = st.sampled_from(["$", "\\", "{", "}", "'", "system id", "${system id}", "0", "(", "x"])
HOSTILE_NAME = HOSTILE | st.lists(BITS).map("".join)
CODED = st.text("${}\\'\"%/:@ab 4").map(
    lambda text: "".join(f"%25{ord(char):02X}" if char in "${}\\'\"" else char for char in text)
)
"""What passes the cleaning of FreeSWITCH encoded."""

ATTACKS = [
    "${system touch /tmp/x}",
    "$${system touch /tmp/x}",
    r"\${system id}",
    r"$\{system id}",
    r"$\'{system id}",
    "${${x}}",
    '"/><action application="system" data="id',
    "a;b,c'd|e^f",
    "^^:a:b",
    "%[api_hangup_hook=system id]x",
    "x\r\nVia: y",
    "<X-PRE-PROCESS cmd='exec' data='id'/>",
    "X-pre-process",
    "<!--#exec system id-->",
    "<?xml",
    "&#36;{system id}",
    "&lt;&amp;${x}",
    "a\\",
    "$0 $1 ${0}",
    "%2524%257Bsystem touch /tmp/x}",
    "%24%7Bsystem id%7D",
    r"it\'s",
]


def actions_of(document: bytes) -> list[tuple[str | None, str | None]]:
    """Return (application, data) of every action, as written."""
    actions = etree.fromstring(document).iterfind(".//action")
    return [(action.get("application"), action.get("data")) for action in actions]


def place_of(document: bytes) -> tuple[str, ...]:
    """Return type, section, context, extension, field and expression."""
    root = etree.fromstring(document)
    found = [root.get("type")]
    for path in ("section", "section/context", "section/context/extension"):
        (element,) = root.findall(path)
        found.append(element.get("name"))
    (condition,) = root.findall("section/context/extension/condition")
    return tuple(
        str(word) for word in (*found, condition.get("field"), condition.get("expression"))
    )


# --- the four answers ----------------------------------------------------------------------------


def test_not_found_is_the_document_that_freeswitch_knows() -> None:
    assert render_answer(CallStep.NOT_FOUND, NUMBER, RULES) == (
        b'<document type="freeswitch/xml"><section name="result"><result status="not found"/>'
        b"</section></document>"
    )


def test_prompt_answers_and_asks_for_a_pin() -> None:
    document = render_answer(CallStep.PROMPT, NUMBER, RULES)

    assert place_of(document) == (
        *("freeswitch/xml", "dialplan", "public", "match_did_and_prompt_for_pin"),
        *("destination_number", f"^{NUMBER}$"),
    )
    assert actions_of(document) == [
        ("answer", None),
        ("sleep", "500"),
        ("playback", "ivr/ivr-welcome.wav"),
        ("sleep", "200"),
        *ASK,
    ]


def test_prompt_limits_the_call_when_a_duration_is_set() -> None:
    document = render_answer(CallStep.PROMPT, NUMBER, replace(RULES, max_duration_s=5400))

    assert actions_of(document)[:2] == [
        ("answer", None),
        ("sched_hangup", "+5400 normal_clearing"),
    ]


def test_reprompt_asks_again() -> None:
    document = render_answer(CallStep.REPROMPT, "123456789", RULES)

    assert place_of(document)[3:] == ("reprompt_for_pin", "destination_number", "^123456789$")
    assert actions_of(document) == [
        ("playback", "conference/conf-bad-pin.wav"),
        ("sleep", "500"),
        *ASK,
    ]


@pytest.mark.parametrize("step", [CallStep.PROMPT, CallStep.REPROMPT])
def test_pins_are_as_long_as_the_settings_say(step: CallStep) -> None:
    document = render_answer(step, NUMBER, PromptRules(3, 12, 0))

    (data,) = [data for application, data in actions_of(document) if application == ASK[0][0]]
    assert data is not None
    assert split_arguments(data) == [
        *("3", "12", "3", "7000", "#", "conference/conf-enter_conf_pin.wav"),
        *("conference/conf-bad-pin.wav", "pin", r"\d+", "7000", "goodbye XML public"),
    ]


def test_freeswitch_transfers_the_call_to_the_pin_that_was_entered() -> None:
    gateway = Gateway(variables={"pin": "123456789"})

    assert gateway.run(render_answer(CallStep.PROMPT, NUMBER, RULES), NUMBER)

    assert gateway.executed[-1] == ("transfer", "123456789 XML public")
    assert gateway.evaluated == ["pin"]


def test_bridge_connects_the_call() -> None:
    document = render_answer(BRIDGE, "123456789", RULES)

    assert place_of(document)[3:] == ("bridge_to_bbb_server", "destination_number", "^123456789$")
    assert actions_of(document) == [
        ("set", f"{EXPAND_ONCE}=true"),
        ("set", "meeting_id=math-101"),
        ("set", "effective_caller_id_name=Anna"),
        ("set", "effective_caller_id_number=+493012XXXX"),
        ("set", "sip_cid_type=none"),
        ("set", f"call_timeout={BRIDGE_TIMEOUT_S}"),
        ("set", f"{EXPAND_ONCE}=false"),
        ("bridge", "sofia/external/123456789@bbb1.example"),
    ]


@pytest.mark.parametrize("step", [CallStep.PROMPT, CallStep.REPROMPT])
def test_caller_who_enters_nothing_hears_goodbye(step: CallStep) -> None:
    """play_and_get_digits transfers the call to its last argument."""
    gateway = Gateway()
    gateway.run(render_answer(step, NUMBER, RULES), NUMBER)
    (data,) = [data for name, data in gateway.executed if name == "play_and_get_digits"]
    number, dialplan, context = split_arguments(data)[10].split()
    assert (dialplan, context) == ("XML", "public")
    call = replace(CALL, number=number, pin="12", context=context)

    assert first_step(call, context) is CallStep.GOODBYE
    document = render_answer(CallStep.GOODBYE, number, RULES)
    assert place_of(document)[3] == "goodbye"
    assert actions_of(document) == [
        ("playback", "voicemail/vm-goodbye.wav"),
        ("hangup", "NORMAL_CLEARING"),
    ]


def test_refused_caller_hears_that_the_pin_was_wrong_and_goodbye() -> None:
    document = render_answer(CallStep.REFUSE, "12345", RULES)

    assert place_of(document)[3] == "refuse_pin"
    assert [data for _, data in actions_of(document)] == [
        *("conference/conf-bad-pin.wav", "500"),
        *("voicemail/vm-goodbye.wav", "NORMAL_CLEARING"),
    ]


@pytest.mark.parametrize("step", [CallStep.PROMPT, CallStep.REPROMPT, CallStep.GOODBYE, BRIDGE])
def test_document_stays_in_the_context_of_the_settings(step: CallStep | Bridge) -> None:
    document = render_answer(step, NUMBER, replace(RULES, context="from-trunk"))

    assert place_of(document)[2] == "from-trunk"
    assert b"public" not in document


def test_document_has_one_element_a_line_and_no_declaration() -> None:
    """FreeSWITCH drops a whole line where it finds `<?`."""
    lines = render_answer(BRIDGE, NUMBER, RULES).splitlines()

    assert all(line.count(b"<") <= 1 for line in lines)
    assert not any(b"<?" in line for line in lines)


# --- what comes from outside ---------------------------------------------------------------------


@pytest.mark.parametrize("knows_expand_once", [True, False])
@pytest.mark.parametrize("text", ATTACKS)
def test_attack_is_shown_as_text_and_nothing_runs(text: str, knows_expand_once: bool) -> None:
    bridge = replace(BRIDGE, meeting_id=text, caller_name=text, caller_number=text)
    gateway = Gateway(knows_expand_once)

    assert gateway.run(render_answer(bridge, text, RULES), text)

    assert gateway.evaluated == gateway.dropped == []
    assert gateway.variables["effective_caller_id_name"] == defuse(text)
    assert gateway.variables["effective_caller_id_number"] == defuse(text)
    assert gateway.variables["meeting_id"] == defuse(text)
    assert [application for application, _ in gateway.executed if application != "set"] == [
        "bridge"
    ]
    assert gateway.executed[-1] == ("bridge", "sofia/external/123456789@bbb1.example")


@pytest.mark.parametrize("step", CallStep)
@pytest.mark.parametrize("number", ATTACKS)
def test_attack_by_the_number_dialled_runs_nothing(number: str, step: CallStep) -> None:
    gateway = Gateway(variables={"pin": "1"})

    matched = gateway.run(render_answer(step, number, RULES), number)

    assert matched == (step is not CallStep.NOT_FOUND)
    assert gateway.evaluated == (["pin"] if step in (CallStep.PROMPT, CallStep.REPROMPT) else [])


def test_variable_of_a_meeting_is_harmless_where_it_is_read() -> None:
    """A template of call records that reads ${meeting_id} expands its value once more."""
    gateway = Gateway()
    bridge = replace(BRIDGE, meeting_id=r"a ${system id} $\'{system id}")
    gateway.run(render_answer(bridge, NUMBER, RULES), NUMBER)

    gateway.execute("set", "copy=${meeting_id}")
    gateway.execute("set", "copy=${copy}")

    assert gateway.evaluated == ["meeting_id", "copy"]


@given(HOSTILE_NAME | CODED, HOSTILE_NAME, HOSTILE_NAME, st.booleans())
def test_nothing_that_a_caller_sends_is_evaluated(
    name: str, meeting_id: str, number: str, knows_expand_once: bool
) -> None:
    posted = decode_url(post_value(receive_caller_id(name)))
    call = replace(CALL, caller_name=posted, caller_number=posted, number=number)
    bridge = Bridge(meeting_id, shown_name(call), shown_number(call), TARGET)
    gateway = Gateway(knows_expand_once)

    gateway.run(render_answer(bridge, number, RULES), number)
    if gateway.executed:
        seen = gateway.variables["effective_caller_id_name"]
        assert seen == bridge.caller_name
        assert name_at_server(seen) == seen
        assert gateway.variables["effective_caller_id_number"] == bridge.caller_number
        assert gateway.variables["meeting_id"] == defuse(meeting_id)
        assert gateway.executed[-1] == ("bridge", TARGET)
        for variable in ("meeting_id", "effective_caller_id_name"):
            gateway.execute("set", f"copy=${{{variable}}}")
            assert gateway.evaluated == [variable]  # and nothing within its value
            gateway.evaluated.clear()
    assert gateway.evaluated == gateway.dropped == []


def test_set_would_evaluate_what_is_escaped_for_one_expansion_only() -> None:
    """Why characters are replaced instead of escaped: the model of `set` finds the hole."""
    gateway = Gateway(knows_expand_once=False)

    gateway.execute("set", r"effective_caller_id_name=\${system id}")

    assert gateway.evaluated == ["system id"]


# --- pins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("12345", True),
        ("0", True),
        ("1" * 21, True),
        ("1" * 22, False),
        ("", False),
        ("12*4", False),
        ("12 4", False),
        ("12345#", False),
        ("١٢٣٤٥", False),
        ("²", False),
        ("${pin}", False),
        ("123@evil.example", False),
    ],
)
def test_pin_is_digits_only(text: str, good: bool) -> None:
    assert is_pin(text) == good


@pytest.mark.parametrize(
    ("pin", "parent"), [("12345", None), ("123456", "12345"), ("1234567890", "123456789")]
)
def test_breakout_room_has_a_digit_more_than_its_parent(pin: str, parent: str | None) -> None:
    assert parent_pin(pin) == parent


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bbb1.example/bigbluebutton/api", "bbb1.example"),
        ("https://BBB1.example:8443/bigbluebutton/api/", "bbb1.example"),
        ("http://10.0.0.5/api", "10.0.0.5"),
        ("https://user:pw@bbb1.example/api", "bbb1.example"),
        ("https://[2001:db8::1]:443/api", "[2001:db8::1]"),
        ("https://a,b.example/api", None),
        ("https://${x}/api", None),
        ("https://[2001:db8::1%25eth0]/api", None),
        ("https://[broken/api", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_call_goes_to_the_host_of_the_server(url: str, host: str | None) -> None:
    assert media_host(url) == host

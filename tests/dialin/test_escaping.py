"""Text of callers and front-ends, read by the model of FreeSWITCH's own rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from appliance.dialin.escaping import attribute, defuse, match_exactly
from tests.doubles.freeswitch import (
    Gateway,
    decode_caller_id,
    decode_url,
    is_expanded,
    name_at_server,
    post_value,
    receive_caller_id,
    split_arguments,
)

HOSTILE = st.text(st.sampled_from("$$$\\\\{{}'() \"<>&;,^|%%#[]=-+/:@\n\tsystem02457bB")) | st.text(
    st.characters(exclude_categories=["Cs"])
)
"""Text made mostly of characters that mean something to one of the readers."""

COMMANDS = re.compile(r"[$\\{}'\"/:@,|\x00-\x1f\x7f-\x9f]|%[0-9A-Fa-f]{2}")


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("Anna Müller", "Anna Müller"),
        ("Ünïcødé 😀", "Ünïcødé 😀"),
        ("", ""),
        ("Sinéad O'Connor", "Sinéad O\u2019Connor"),
        ('Anna "Ann" M.', "Anna \u2019Ann\u2019 M."),
        ("${system id}", "  system id "),
        (r"$\'{x}", "  \u2019 x "),
        ("a/b:c@d,e|f\\g", "a b c d e f g"),
        ("100 %", "100 %"),
        ("100% Anna", "100  Anna"),
        ("50% off", "50% off"),
        ("%24%7Bsystem id%7D", " 24 7Bsystem id 7D"),
        ("%%41", "  41"),
        ("% 41", "  41"),
        ("%'41", "%\u201941"),
        ("%/41", "  41"),
        ("%-1", " -1"),
        ("Anna\r\nVia: x", "Anna  Via  x"),
        ("a\x00\x1b[31mb\x7f\x85c", "a  [31mb  c"),
        ("a\u2028b\ufffec\ud800d", "a b c d"),
    ],
)
def test_text_is_defused_and_stays_readable(text: str, harmless: str) -> None:
    assert defuse(text) == harmless


@given(HOSTILE)
def test_defused_text_holds_no_command(text: str) -> None:
    assert COMMANDS.search(defuse(text)) is None
    assert defuse(defuse(text)) == defuse(text)


@given(HOSTILE, st.integers(1, 5))
def test_defused_text_is_the_same_to_every_reader(text: str, times: int) -> None:
    gateway = Gateway()
    found = defuse(text)
    for _ in range(times):
        found = gateway.expand(receive_caller_id(found))
    assert found == defuse(text)
    assert name_at_server(found) == found
    assert gateway.evaluated == []


@pytest.mark.parametrize(
    ("number", "expression"),
    [
        ("49305550100", "49305550100"),
        ("+49305550100", r"\x2b49305550100"),
        ("1.2", r"1\x2e2"),
        ("a*b", r"a\x2ab"),
        ("^$", r"\x5e\x24"),
        ("${x}", r"\x24\x7bx\x7d"),
        ("(1)", r"\x281\x29"),
        ("a\\b", r"a\x5cb"),
        ("1\n2", r"1\x0a2"),
        ("ü", "ü"),
    ],
)
def test_number_is_written_by_codes_in_the_expression(number: str, expression: str) -> None:
    assert match_exactly(number) == expression
    assert not is_expanded(f"^{expression}$")


@given(HOSTILE, HOSTILE)
def test_number_is_matched_by_itself_alone(number: str, other: str) -> None:
    number, other = (text.replace("\ufffe", "").replace("\uffff", "") for text in (number, other))
    if not number:
        return
    for called in (number, other):
        gateway = Gateway()
        document = (
            '<d><section><context><extension><condition expression="'
            + attribute(f"^{match_exactly(number)}$")
            + '"><action application="answer" data="$0 ${0} $1"/>'
            "</condition></extension></context></section></d>"
        )
        matched = gateway.run(document.encode(), called)

        # A `$` matches before the end of a line too, to FreeSWITCH as well.
        assert matched == (called in (number, f"{number}\n"))
        # Not even what the caller dialled got into the action.
        assert gateway.executed == ([("answer", "$0 " + " $1")] if matched else [])
        assert gateway.evaluated == (["0"] if matched else [])


@given(HOSTILE)
def test_attribute_is_read_as_it_was_written(text: str) -> None:
    gateway = Gateway()
    written = f'<a b="{attribute(defuse(text))}"/>'

    (line,) = gateway.preprocess(written)
    assert etree.fromstring(line).get("b") == defuse(text)
    assert gateway.evaluated == []


@pytest.mark.parametrize(
    "text",
    [
        "X-PRE-PROCESS",
        '<X-PRE-PROCESS cmd="exec" data="id"/>',
        "<!--#exec id-->",
        "<include>",
        "<?",
    ],
)
def test_attribute_is_nothing_to_the_preprocessor(text: str) -> None:
    gateway = Gateway()

    (line,) = gateway.preprocess(f'<a b="{attribute(text)}"/>')

    assert etree.fromstring(line).get("b") == text
    assert gateway.evaluated == []


# --- the model itself ----------------------------------------------------------------------------


def test_model_evaluates_text_that_is_not_defused() -> None:
    gateway = Gateway(variables={"x": "${system id}"})
    gateway.expand("${x}")
    assert gateway.evaluated == ["x", "system id"]
    assert is_expanded(r"$\{x}")
    assert gateway.expand(r"a\\b\'c\$d") == r"a\bc$d"
    gateway.execute("set", "copy=${copy}")


def test_model_lets_an_encoded_command_arrive_decoded() -> None:
    """The display name of an INVITE with which a caller can run a program on an old gateway."""
    received = receive_caller_id("%2524%257Bsystem touch /tmp/x}")

    assert received == "%24%7Bsystem touch /tmp/x}"
    assert post_value(received) == "%24%7Bsystem%20touch%20%2Ftmp%2Fx%7D"
    assert decode_url(post_value(received)) == "${system touch /tmp/x}"


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("%41", "A"),
        ("% 41", "A1"),
        ("%+4x", "\x04x"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("%2541", "%41"),
    ],
)
def test_model_decodes_as_sscanf_reads(text: str, decoded: str) -> None:
    assert decode_url(text) == decoded


def test_model_cuts_names() -> None:
    assert decode_caller_id('Anna "Ann" M') == "Ann"
    assert [name_at_server(name) for name in ("a/b", "a:b", "a@b", "Anna")] == [
        "b",
        "a",
        "a",
        "Anna",
    ]


def test_model_leaves_an_action_out_whose_data_holds_an_escaped_quote() -> None:
    document = (
        "<d><section><context><extension><condition expression='^1$'>"
        '<action application="set" data="a=\\\'b"/><action application="answer"/>'
        "</condition></extension></context></section></d>"
    )
    gateway = Gateway()

    assert gateway.run(document.encode(), "1")
    assert gateway.executed == [("answer", "")]
    assert gateway.dropped == ["a=\\'b"]


def test_model_splits_arguments_at_blanks_but_not_in_quotes() -> None:
    assert split_arguments(r"1 'a b c' \d+") == ["1", "a b c", r"\d+"]

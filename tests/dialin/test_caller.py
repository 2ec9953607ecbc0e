"""Reading the form of a call, and what a meeting sees of the caller."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dialin.caller import (
    FIELDS,
    IncomingCall,
    mask_number,
    read_call,
    shown_name,
    shown_number,
)

NUMBER = "49305550100"
CALL = IncomingCall(NUMBER, "", "Anna", "+4930123456", hide_name=False, hide_number=False)
FORM = {"section": "dialplan", "Caller-Destination-Number": NUMBER}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"section": "dialplan"},
        {"section": "dialplan", "Caller-Destination-Number": ""},
        {"section": "dialplan", "Caller-Destination-Number": " "},
        {**FORM, "section": "directory"},
        {**FORM, "section": ""},
        {"Caller-Destination-Number": NUMBER},
    ],
)
def test_form_that_asks_for_no_dialplan_is_no_call(fields: dict[str, str]) -> None:
    assert read_call(fields) is None


def test_form_is_read() -> None:
    fields = {
        **FORM,
        "variable_pin": "12345",
        "Caller-Caller-ID-Name": "Anna",
        "Caller-Caller-ID-Number": "030",
        "Caller-Privacy-Hide-Name": "true",
        "Caller-Privacy-Hide-Number": "false",
        "Unique-ID": "0c8f1e5a",
        "Caller-Context": "old",
        "Hunt-Context": "public",
    }

    assert read_call(fields) == IncomingCall(
        NUMBER, "12345", "Anna", "030", True, False, "0c8f1e5a", "public"
    )
    assert set(fields) == FIELDS


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Anna Müller", "Anna Müller"),
        ("  Anna  ", "Anna"),
        ("4930123456", "493012XXXX"),
        ("+4930123456", "+493012XXXX"),
        ("+49 (30) 123-456", "+49 (30) 12X-XXX"),
        ("030/123.456", "030 12X.XXX"),
        ('Anna "Ann" Müller', "Anna \u2019Ann\u2019 Müller"),
        ("GLOBAL_AUDIO_12345", "GLOBAL AUDIO_12345"),
        ("global_audio_12345", "global audio_12345"),
        ("w_abc_1-bbbID-Anna", "w_abc 1 bbbID-Anna"),
        ("w_abc_12-Anna", "w_abc 12-Anna"),
        ("a-bbbID-bbbID-b", "a bbbID bbbID-b"),
        ("a_b-c", "a_b-c"),
        ("1234", "XXXX"),
        ("12", "XX"),
        ("+", "+"),
        ("Room 101", "Room 101"),
        ("\u0664\u0669\u0663\u0660\u0661\u0662\u0663\u0664", "\u0664\u0669\u0663\u0660XXXX"),
        ("+49\u201130\u2011123456", "+49\u201130\u201112XXXX"),
        ("\u202a+4930123456\u202c", "\u202a+493012XXXX\u202c"),
        ("\u20664930123456\u2069", "\u2066493012XXXX\u2069"),
        ("\u200e030 \u2013 123456", "\u200e030 \u2013 12XXXX"),
        ("*31#030123456", "*31#03012XXXX"),
        ('"030123456"', "\u201903012XXXX\u2019"),
        ("\u2460\u2461\u2462\u2463\u2464", "\u2460XXXX"),
        ("", "Unavailable"),
        (" \t", "Unavailable"),
        ("a\r\nb", "a  b"),
    ],
)
def test_caller_is_shown_without_the_end_of_a_number(name: str, shown: str) -> None:
    assert shown_name(replace(CALL, caller_name=name)) == shown


@pytest.mark.parametrize(
    ("name", "hide_name", "hide_number", "shown"),
    [
        ("Anna", True, False, "Unavailable"),
        ("Anna", False, True, "Anna"),
        ("Anna", True, True, "Unavailable"),
        ("4930123456", True, False, "493012XXXX"),
        ("4930123456", False, True, "Unavailable"),
        ("+4930123456", False, True, "Unavailable"),
        ("", False, True, "Unavailable"),
    ],
)
def test_hidden_caller_is_unavailable(
    name: str, hide_name: bool, hide_number: bool, shown: str
) -> None:
    call = replace(CALL, caller_name=name, hide_name=hide_name, hide_number=hide_number)

    assert shown_name(call) == shown


@pytest.mark.parametrize(
    ("number", "hide_number", "shown"),
    [
        ("+4930123456", False, "+493012XXXX"),
        (" +49 (30) 123-456", False, "+493012XXXX"),
        ("030123456", False, "03012XXXX"),
        ("123", False, "XXX"),
        ("+4930123456", True, "Unavailable"),
        ("anonymous", False, "Unavailable"),
        ("anna.4930123456", False, "Unavailable"),
        ("\u0664\u0669\u0663\u0660\u0661", False, "Unavailable"),
        ("", False, "Unavailable"),
    ],
)
def test_number_is_masked_for_the_server(number: str, hide_number: bool, shown: str) -> None:
    assert shown_number(replace(CALL, caller_number=number, hide_number=hide_number)) == shown


@given(st.text(st.sampled_from("0123456789+-. ()"), min_size=1))
def test_masked_number_keeps_all_but_four_digits(number: str) -> None:
    masked = mask_number(number)

    assert len(masked) == len(number)
    assert masked.count("X") == min(4, sum(char.isdigit() for char in number))

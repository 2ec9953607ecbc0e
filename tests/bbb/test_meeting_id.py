"""The meetingID of a call: how it is read, and which a create accepts."""

from __future__ import annotations

import pytest

from appliance.bbb.errors import (
    FORMAT_ERROR,
    INTERNAL_ID,
    INVALID_MEETING_ID,
    MISSING_MEETING_ID,
    SIZE_ERROR,
    ApiError,
    Failure,
)
from appliance.bbb.meeting_id import check_meeting_id, read_meeting_id

INTERNAL = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"


@pytest.mark.parametrize(
    ("meeting_id", "outcome"),
    [
        (None, MISSING_MEETING_ID),
        ("", MISSING_MEETING_ID),
        ("a", SIZE_ERROR),
        ("ab", None),
        ("ü" * 256, None),
        ("a" * 257, SIZE_ERROR),
        ("," * 300, SIZE_ERROR),
        ("a,b", FORMAT_ERROR),
        (",,", FORMAT_ERROR),
        ("a;b/c ?&d", None),
        (INTERNAL, INTERNAL_ID),
        (f" {INTERNAL[:9]}\x07{INTERNAL[9:]}\n", INTERNAL_ID),  # BBB strips these characters
        (INTERNAL.upper(), None),
        (INTERNAL[1:], None),
        (f"{INTERNAL}0", None),
        (f"{INTERNAL}~t1", None),
    ],
)
def test_meeting_id_is_checked_as_bbb_does(meeting_id: str | None, outcome: Failure | None) -> None:
    assert check_meeting_id(meeting_id) == outcome


@pytest.mark.parametrize(
    ("text", "meeting_id"),
    [
        ("room", "room"),
        (" room ", "room"),
        ("\t\r\nroom\x00", "room"),
        ("a b", "a b"),
        ("\u00a0room\u2003", "\u00a0room\u2003"),
    ],
)
def test_meeting_id_is_trimmed_as_bbb_does(text: str, meeting_id: str) -> None:
    assert read_meeting_id(text) == meeting_id


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (None, MISSING_MEETING_ID),
        ("", MISSING_MEETING_ID),
        (" \n", MISSING_MEETING_ID),
        ("a\nb", INVALID_MEETING_ID),
        ("\x85room", INVALID_MEETING_ID),
    ],
)
def test_meeting_id_is_refused_when_nothing_usable_is_left(
    text: str | None, failure: Failure
) -> None:
    with pytest.raises(ApiError) as failed:
        read_meeting_id(text)
    assert failed.value.failure == failure


def test_internal_id_is_accepted_where_it_is_scoped() -> None:
    assert check_meeting_id(INTERNAL, scoped=True) is None

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
from appliance.bbb.meeting_id import (
    beginning_of_internal_id,
    check_meeting_id,
    may_begin_internal_id,
    read_meeting_id,
)

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
        (INTERNAL[:-1], None),
        (INTERNAL[:40], None),
        ("2026", None),
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


@pytest.mark.parametrize("size", [1, 2, 39, 40, 41, 53, 54])
def test_beginning_of_an_internal_id_is_known_as_one(size: int) -> None:
    assert may_begin_internal_id(INTERNAL[:size])


@pytest.mark.parametrize(
    "meeting_id",
    [
        *("room", "2026-1", "2026g", "-", "ABC", "ü", "20~t1", f"{INTERNAL}0", f"{INTERNAL[:40]}0"),
        *(f"{INTERNAL[:39]}-1", f"{INTERNAL[:40]}-4-7", "2026\n", "\u0662"),
    ],
)
def test_other_id_is_not_taken_for_the_beginning_of_an_internal_id(meeting_id: str) -> None:
    assert not may_begin_internal_id(meeting_id)


def test_internal_id_begins_with_the_digest_of_the_meeting_id() -> None:
    # From an answer of a real server (tests/data/bbb-responses).
    assert beginning_of_internal_id("Demo Meeting") == INTERNAL[:41]

"""Scoped meeting ids: made of meetingID and tenant, never too long, and turned back."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.meeting_id import MAX_CHARACTERS, check_meeting_id
from appliance.tenants.scoped_id import front_end_id, is_reversible, scoped_id

TENANT = "588d7588-5557-41f9-9533-a75d5f42cb21"
OTHER = "981810d6-1b91-4022-9f8d-71c128cd378e"
LONGEST = "x" * (MAX_CHARACTERS - len(TENANT) - 1)

meeting_ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), min_size=2)


def test_scoped_id_names_the_meeting_and_the_tenant() -> None:
    assert scoped_id("room", TENANT) == f"room~{TENANT}"


@pytest.mark.parametrize("meeting_id", [LONGEST + "x", "x" * MAX_CHARACTERS, "\U0001f600" * 120])
def test_scoped_id_holds_a_hash_when_it_would_be_too_long(meeting_id: str) -> None:
    scoped = scoped_id(meeting_id, TENANT)
    assert scoped == f"{hashlib.sha256(meeting_id.encode()).hexdigest()}~{TENANT}"
    assert not is_reversible(scoped, meeting_id)


@pytest.mark.parametrize("meeting_id", [LONGEST, "\U0001f600" * 105, "a~b", f"a~{TENANT}"])
def test_scoped_id_holds_the_meeting_id_when_it_fits(meeting_id: str) -> None:
    scoped = scoped_id(meeting_id, TENANT)
    assert scoped == f"{meeting_id}~{TENANT}"
    assert is_reversible(scoped, meeting_id)
    assert front_end_id(scoped, TENANT) == meeting_id


@given(meeting_id=meeting_ids)
def test_scoped_id_is_turned_back_and_accepted_by_bbb(meeting_id: str) -> None:
    scoped = scoped_id(meeting_id, TENANT)
    assert check_meeting_id(scoped) is None
    assert len(scoped.encode("utf-16-le")) // 2 <= MAX_CHARACTERS
    assert front_end_id(scoped, TENANT, meeting_id) == meeting_id


@pytest.mark.parametrize(
    ("meeting_id", "tenant_id"),
    [
        ("room", TENANT),
        ("ro~om", TENANT),
        (f"room~{OTHER}", TENANT),
        (f"room~{TENANT}x", TENANT),
        (f"room~{TENANT}", None),
        (f"room~{TENANT}", ""),
    ],
)
def test_front_end_id_is_the_id_itself_when_it_is_not_scoped(
    meeting_id: str, tenant_id: str | None
) -> None:
    assert front_end_id(meeting_id, tenant_id) == meeting_id


def test_front_end_id_believes_no_original_that_the_id_was_not_made_of() -> None:
    long = "x" * MAX_CHARACTERS
    assert front_end_id("breakout-of-it", TENANT, long) == "breakout-of-it"
    assert front_end_id(f"room~{TENANT}", TENANT, long) == "room"
    assert front_end_id(scoped_id(long, TENANT), TENANT, long + "y") != long

"""Derived attendee passwords: stable, different from everything else, one-way by construction."""

from __future__ import annotations

from appliance.meetings.passwords import LENGTH, attendee_password


def test_attendee_password_is_the_same_for_a_repeated_create() -> None:
    # A literal: another value after an upgrade would refuse the repeated create of a meeting.
    assert attendee_password("math", "secret") == "Bayg7Qqwzwij"


def test_attendee_password_differs_by_meeting_and_moderator_password() -> None:
    seen = {attendee_password(m, p) for m in ("a", "b") for p in ("x", "y")}
    assert len(seen) == 4


def test_attendee_password_needs_no_encoding_and_is_not_the_moderator_password() -> None:
    password = attendee_password("ünï", "mp")
    assert len(password) == LENGTH
    assert password.isascii()
    assert password.isalnum()
    assert password != attendee_password("ünï", password)

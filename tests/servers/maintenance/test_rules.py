"""Maintenance windows: what is accepted, when they come again, and which are at the same time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import ServerId
from appliance.servers.maintenance.rules import (
    DAY_MS,
    WEEK_MS,
    Phase,
    Window,
    check_window,
    dump_window,
    load_window,
    overlaps,
    parse_lead,
    parse_time,
)

HOUR_MS = 3_600_000
NOW_MS = 1_764_500_000_000
WINDOW = Window(
    id="w1",
    server_id=ServerId("bbb-1"),
    from_ms=NOW_MS + 5 * HOUR_MS,
    until_ms=NOW_MS + 6 * HOUR_MS,
    lead_ms=HOUR_MS,
)
WEEKLY = replace(WINDOW, every="weekly")


def at(text: str) -> int:
    """Return milliseconds of a time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-12-01T22:00:00+01:00", "2026-12-01T21:00:00+00:00"),
        ("2026-12-01T21:00:00Z", "2026-12-01T21:00:00+00:00"),
        ("2026-12-01 21:00:00.250z", "2026-12-01T21:00:00.250+00:00"),
        ("2026-12-01T16:30:00-0430", "2026-12-01T21:00:00+00:00"),
        ("2026-12-01T22:00:00+01:00[Europe/Berlin]", "2026-12-01T21:00:00+00:00"),
    ],
)
def test_time_is_read(text: str, same: str) -> None:
    assert parse_time("from", text).ms == at(same)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tomorrow", "seconds and zone"),
        ("", "seconds and zone"),
        ("2026-12-01T22:00:00", "seconds and zone"),
        ("2026-12-01T22:00+01:00", "seconds and zone"),
        ("2026-12-01T22:00:00 CET", "seconds and zone"),
        ("2026-12-01T22:00:00Z\0", "seconds and zone"),
        ("2026-12-01T22:00:00Z" + "0" * 500, "seconds and zone"),
        ("٢026-12-01T22:00:00Z", "seconds and zone"),
        ("2026-02-30T22:00:00Z", "not a time that exists"),
        ("2026-12-01T25:00:00Z", "not a time that exists"),
        ("0000-12-01T22:00:00Z", "not a time that exists"),
        ("0001-01-01T00:00:00+14:00", "past"),
        ("2026-12-01T22:00:00+99:00", "not a time that exists"),
        ("2026-12-01T22:00:00+01:00[Europe/Nowhere]", "no time zone 'Europe/Nowhere'"),
        ("2026-12-01T22:00:00+01:00[../../etc/passwd]", "no time zone"),
        ("2026-12-01T22:00:00+05:00[Europe/Berlin]", "another offset"),
    ],
)
def test_other_times_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UnacceptableValue, match=reason):
        check_window(replace(WINDOW, from_ms=parse_time("from", text).ms), NOW_MS)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("90s", 90)]
)
def test_lead_is_read(text: str, seconds: int) -> None:
    assert parse_lead(text) == seconds * 1000


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-5m", "1.5h", "30 m", "9d", "999999d", "0x1", "٣m"]
)
def test_other_leads_are_refused(text: str) -> None:
    with pytest.raises(UnacceptableValue, match="lead must"):
        parse_lead(text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"until_ms": WINDOW.from_ms}, "until must be after from"),
        ({"until_ms": WINDOW.from_ms - 1}, "until must be after from"),
        ({"from_ms": NOW_MS - HOUR_MS}, "in the past"),
        ({"from_ms": NOW_MS + 3 * 366 * DAY_MS, "until_ms": None}, "two years"),
        ({"until_ms": NOW_MS + 200 * DAY_MS}, "90 days"),
        ({"until_ms": None, "every": "weekly"}, "needs until"),
        ({"every": "weekly", "until_ms": WINDOW.from_ms + 6 * DAY_MS + 22 * HOUR_MS}, "weekly"),
        ({"every": "weekly", "lead_ms": 7 * DAY_MS}, "weekly"),
        ({"reason": "x" * 201}, "200"),
        ({"reason": "a\0b"}, "control"),
        ({"reason": "a\nb"}, "line breaks"),
    ],
)
def test_window_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UnacceptableValue, match=reason):
        check_window(replace(WINDOW, **changes), NOW_MS)  # type: ignore[arg-type]


def test_window_that_begins_now_is_accepted() -> None:
    window = replace(WINDOW, from_ms=NOW_MS - 1000, until_ms=None)

    assert check_window(window, NOW_MS) is window


def test_weekly_window_keeps_the_hour_of_its_zone() -> None:
    zone = "Europe/Berlin"
    window = replace(
        WEEKLY, from_ms=at("2026-10-24T02:30:00+02:00"), until_ms=at("2026-10-24T04:30:00+02:00")
    )

    in_zone = replace(window, zone=zone).next_occurrence(window.from_ms, None)
    without = window.next_occurrence(window.from_ms, None)

    assert in_zone is not None
    assert without is not None
    assert in_zone.from_ms == at("2026-10-31T02:30:00+01:00")
    assert without.from_ms == at("2026-10-31T01:30:00+01:00")
    assert in_zone.until_ms == at("2026-10-31T04:30:00+01:00")


def test_next_occurrence_is_one_that_has_not_begun_and_as_planned() -> None:
    late = replace(WEEKLY, phase=Phase.ENDING, postponed_ms=1, shifted_ms=HOUR_MS)
    late = replace(late, from_ms=late.from_ms + HOUR_MS, until_ms=NOW_MS + 7 * HOUR_MS)

    found = late.next_occurrence(NOW_MS + 15 * DAY_MS, None)
    usual = replace(late, lead_is_usual=True).next_occurrence(NOW_MS, 2 * HOUR_MS)

    assert found == replace(
        WEEKLY, from_ms=WEEKLY.from_ms + 3 * WEEK_MS, until_ms=NOW_MS + 6 * HOUR_MS + 3 * WEEK_MS
    )
    assert usual is not None
    assert usual.lead_ms == 2 * HOUR_MS
    assert WINDOW.next_occurrence(NOW_MS, None) is None
    assert replace(WEEKLY, cancelled=True).next_occurrence(NOW_MS, None) is None


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (WINDOW, True),
        (replace(WINDOW, from_ms=NOW_MS + 8 * HOUR_MS, until_ms=NOW_MS + 9 * HOUR_MS), False),
        (replace(WINDOW, from_ms=NOW_MS + 7 * HOUR_MS, until_ms=NOW_MS + 9 * HOUR_MS), False),
        (
            replace(
                WINDOW, from_ms=NOW_MS + 7 * HOUR_MS, until_ms=NOW_MS + 9 * HOUR_MS,
                lead_ms=2 * HOUR_MS,
            ),
            True,
        ),
        (replace(WINDOW, from_ms=NOW_MS + 3 * HOUR_MS, until_ms=None), True),
        (replace(WINDOW, from_ms=NOW_MS + 8 * HOUR_MS, until_ms=None), False),
        (replace(WEEKLY, from_ms=WINDOW.from_ms - 3 * WEEK_MS,
                 until_ms=WINDOW.from_ms - 3 * WEEK_MS + HOUR_MS), True),
    ],
)  # fmt: skip
def test_windows_overlap(other: Window, expected: bool) -> None:
    assert overlaps(WINDOW, other) is expected
    assert overlaps(other, WINDOW) is expected


def test_window_is_stored_as_it_is() -> None:
    full = replace(
        WEEKLY, reason="upgrade", by="uid=0 (root)", zone="Europe/Berlin", phase=Phase.OPEN,
        postponed_ms=1, shifted_ms=2, cancelled=True, lead_is_usual=True,
    )  # fmt: skip

    assert load_window(dump_window(full)) == full
    assert load_window(dump_window(replace(WINDOW, until_ms=None))).until_ms is None
